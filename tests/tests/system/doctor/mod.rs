//! `check`: each situation that it is to find, with scripted peers.

mod backstage;
mod cluster;
mod registries;
mod services;
mod storage;

use std::time::Duration;

use serde_json::Value;
use system_tests::{Process, Settings};
use tempfile::TempDir;
use testkit::backstage::ScriptedBackstage;
use testkit::kube::KubeApi;
use testkit::registry::ScriptedRegistry;

const A_WHILE: Duration = Duration::from_mins(1);

/// Settings, and what they lead to.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) directory: TempDir,
}

impl World {
    /// No cluster, one registry that is named, an SQLite file that is missing.
    pub(crate) fn with_registry(registry: &ScriptedRegistry) -> Self {
        let world = Self { settings: Settings::new(), directory: tempfile::tempdir().unwrap() };
        let home = world.directory.path().display().to_string();
        let file = world.directory.path().join("storage.sqlite").display().to_string();
        world
            .with("HOME", &home)
            .with("MR_URL", &format!("main={}", registry.url()))
            .with("STORAGE_TYPE", "Sqlite")
            .with("SQLITE_PATH", &file)
            // Where surely nothing listens.
            .with("NORMALIZER_ADMIN_ADDRESS", "127.0.0.1:9")
    }

    /// The same with a cluster, entries in its ConfigMaps, and this token.
    pub(crate) fn with_cluster(registry: &ScriptedRegistry, kube: &KubeApi, token: &str) -> Self {
        let world = Self::with_registry(registry).with("STORAGE_TYPE", "ConfigMap");
        let file = kube.write_kubeconfig_for(world.directory.path(), token, "rhdh");
        world.with("KUBECONFIG", &file.display().to_string())
    }

    /// A Backstage that entries are registered in.
    pub(crate) fn pushing_to(self, backstage: &ScriptedBackstage) -> Self {
        self.with("BKSTG_URL", backstage.url().as_str()).with("RHDH_TOKEN", "right").with("PUSH_TO_RHDH", "true")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What the doctor finds.
    pub(crate) async fn check(&self) -> Diagnosis {
        self.check_with(&[]).await
    }

    pub(crate) async fn check_with(&self, arguments: &[&str]) -> Diagnosis {
        let arguments = [&["check", "--output", "json"], arguments].concat();
        let mut process = Process::run("model-catalog-bridge", &arguments, &self.settings, A_WHILE).await;
        let said = process.output();
        let report = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {}", process.said()));
        Diagnosis { code: process.code(), report, said }
    }
}

/// What the doctor has found.
pub(crate) struct Diagnosis {
    pub(crate) code: Option<i32>,
    report: Value,
    pub(crate) said: String,
}

impl Diagnosis {
    /// Level, message and advice of a check, which must be there once.
    pub(crate) fn of(&self, section: &str, check: &str) -> (String, String, String) {
        let sections = self.report["sections"].as_array().unwrap();
        let found = sections.iter().find(|found| found["name"] == section).unwrap()["checks"].as_array().unwrap();
        let mut found = found.iter().filter(|found| found["check"] == check);
        let one = found.next().unwrap_or_else(|| panic!("no {section}: {check} in {}", self.said));
        assert!(found.next().is_none(), "{check} is there twice in {}", self.said);
        let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
        (text("level"), text("message"), text("advice"))
    }

    /// Asserts the level of a check, and words of its message and advice together.
    #[track_caller]
    pub(crate) fn says(&self, section: &str, check: &str, level: &str, words: &[&str]) {
        let (found, message, advice) = self.of(section, check);
        let said = format!("{message} -> {advice}");
        assert_eq!(found, level, "{check}: {said}");
        for word in words {
            assert!(said.contains(word), "{check}: no `{word}` in: {said}");
        }
        if matches!(level, "warning" | "failure") {
            assert!(!advice.is_empty(), "{check}: {message}, and nothing to do about it");
        }
    }
}
