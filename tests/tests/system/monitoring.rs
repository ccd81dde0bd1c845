//! What there is to be seen of running services is what the alert rules, the dashboard and the documentation speak of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use model_catalog::render::Format::CatalogInfoYaml;
use regex::Regex;
use serde_json::Value;
use system_tests::Kept::InConfigMap;
use system_tests::{Bridge, SOON, Service, Sources};
use testkit::backstage::ScriptedBackstage;
use testkit::eventually;

/// What Prometheus adds to what it scrapes.
const OF_THE_SCRAPE: [&str; 4] = ["job", "instance", "namespace", "pod"];
/// What is there only with a certificate.
const ONLY_WITH_TLS: &str = "_tls_certificate_expiry_timestamp_seconds";
const PREFIXES: [&str; 3] = ["normalizer_", "storage_rest_", "location_"];

/// The samples of all services by name, each with its labels.
type Samples = BTreeMap<String, Vec<BTreeMap<String, String>>>;

struct Running {
    bridge: Bridge,
    sources: Sources,
    backstage: ScriptedBackstage,
}

/// A bridge that reads a registry and a cluster, keeps ConfigMaps and imports to Backstage.
async fn running() -> Running {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", 3);
    let bridge = Bridge::new(CatalogInfoYaml, InConfigMap, &sources);
    let backstage = ScriptedBackstage::start().await.with_token("backstage-secret");
    let location = bridge.url(Service::Location);
    let bridge = bridge
        .with(Service::Storage, "PUSH_TO_RHDH", "true")
        .with(Service::Storage, "BKSTG_URL", backstage.url().as_str())
        .with(Service::Storage, "RHDH_TOKEN", "backstage-secret")
        .with(Service::Storage, "BRIDGE_URL", &location)
        .started();
    bridge.serves_truth_of(&sources).await;
    eventually(SOON, "Backstage is in step", async || {
        match bridge.counted(Service::Storage, "storage_rest_backstage_in_step", &[]).await? {
            1 => Ok(()),
            other => Err(format!("{other}")),
        }
    })
    .await;
    Running { bridge, sources, backstage }
}

async fn scraped(bridge: &Bridge) -> String {
    let mut all = String::new();
    for service in Service::ALL {
        let (status, text) = bridge.get(service, "/metrics").await.unwrap();
        assert_eq!(status, 200);
        all.push_str(&text);
    }
    all
}

fn samples(text: &str) -> Samples {
    static SAMPLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^([a-z_]+)(?:\{(.*)\})? \S+").unwrap());
    static LABEL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"([a-z_]+)="((?:[^"\\]|\\.)*)""#).unwrap());
    let mut samples = Samples::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let found = SAMPLE.captures(line).unwrap_or_else(|| panic!("not a sample: {line}"));
        let labels = found.get(2).map_or("", |labels| labels.as_str());
        let labels = LABEL.captures_iter(labels).map(|label| (label[1].to_owned(), label[2].to_owned())).collect();
        samples.entry(found[1].to_owned()).or_default().push(labels);
    }
    samples
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_dashboard_and_documentation_speak_of_metrics_that_there_are() {
    let running = running().await;
    assert_changes_are_timed(&running).await;
    let text = scraped(&running.bridge).await;
    let samples = samples(&text);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();

    let resource: Value = serde_yaml::from_str(&read("deploy/monitoring/prometheusrule.yaml")).unwrap();
    let plain: Value = serde_yaml::from_str(&read("deploy/monitoring/rules.yaml")).unwrap();
    assert_eq!(resource["spec"], plain, "rules.yaml is stale: run make generate-monitoring");
    let listed = read("deploy/monitoring/README.md");
    for rule in plain["groups"][0]["rules"].as_array().unwrap() {
        assert_is_whole(rule, &listed);
        assert_exists(rule["expr"].as_str().unwrap(), &samples);
    }

    let dashboard: Value = serde_json::from_str(&read("deploy/monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions: Vec<&str> = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(expressions.len() > 20, "{expressions:?}");
    for expression in expressions {
        assert_exists(expression, &samples);
    }
    assert_documented(&read("docs/observability.md"), &text, &samples);
    drop(running.backstage);
}

/// What a start brings was there before and is not timed; a change that the bridge sees is, once.
async fn assert_changes_are_timed(running: &Running) {
    let Running { bridge, sources, .. } = running;
    let timed = async || bridge.counted(Service::Location, "location_change_to_served_seconds_count", &[]).await;
    assert_eq!(timed().await.unwrap(), 0, "a first sync is no change");
    bridge.compares().await;
    let version = sources.register("changed", "v1");
    bridge.serves_truth_of(sources).await;
    eventually(SOON, "the change is timed", async || match timed().await? {
        1 => Ok(()),
        other => Err(format!("{other}")),
    })
    .await;
    sources.describe(&version, "otherwise");
    bridge.serves_truth_of(sources).await;
    eventually(SOON, "the second change is timed", async || match timed().await? {
        2 => Ok(()),
        other => Err(format!("{other}")),
    })
    .await;
}

fn assert_is_whole(rule: &Value, listed: &str) {
    let name = rule["alert"].as_str().unwrap();
    let annotations = &rule["annotations"];
    for annotation in ["summary", "description"] {
        assert!(annotations[annotation].as_str().is_some_and(|text| text.len() > 10), "{name} has a {annotation}");
    }
    let anchor = format!("docs/operations.md#alert-{}", name.to_lowercase());
    assert_eq!(annotations["runbook"], anchor.as_str(), "{name}");
    assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning" | "info")), "{name}");
    assert!(listed.contains(&format!("`{name}`")), "deploy/monitoring/README.md explains {name}");
}

/// Each metric of a PromQL expression is among the samples, with the labels that are asked for.
fn assert_exists(expression: &str, samples: &Samples) {
    static SELECTOR: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b((?:normalizer|storage_rest|location)_[a-z_]+)(?:\{([^}]*)\})?").unwrap());
    static MATCHER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"([a-z_]+)(=~|=)"([^"]*)""#).unwrap());
    static GROUPING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bby \(([^)]*)\)").unwrap());
    let mut labels: BTreeSet<&str> = OF_THE_SCRAPE.into();
    let mut found = 0;
    for selector in SELECTOR.captures_iter(expression) {
        found += 1;
        let name = &selector[1];
        let of_name = samples.get(name).unwrap_or_else(|| panic!("there is no {name}: {expression}"));
        labels.extend(of_name.iter().flat_map(|sample| sample.keys().map(String::as_str)));
        for matcher in MATCHER.captures_iter(selector.get(2).map_or("", |matchers| matchers.as_str())) {
            let (label, values) = (&matcher[1], &matcher[3]);
            if OF_THE_SCRAPE.contains(&label) {
                continue;
            }
            let held: BTreeSet<&str> =
                of_name.iter().filter_map(|sample| sample.get(label)).map(String::as_str).collect();
            assert!(!held.is_empty(), "{name} has no label {label}: {expression}");
            // A class of statuses may well have nobody in it.
            let named = values.split('|').filter(|_| label != "status");
            for value in named {
                assert!(held.contains(value), "{label} of {name} is never {value}: {held:?}");
            }
        }
    }
    assert!(found > 0, "no metric of the bridge: {expression}");
    for grouping in GROUPING.captures_iter(expression) {
        for label in grouping[1].split(',').map(str::trim) {
            assert!(labels.contains(label), "nothing has the label {label}: {expression}");
        }
    }
}

/// The table of the documentation has each metric with its kind and labels, and no other. A name that begins with `*_` is one
/// that all services have.
fn assert_documented(document: &str, text: &str, samples: &Samples) {
    static ROW: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^\| `([a-z_*]+)` \| (counter|gauge|histogram) \| ([^|]*) \| [^|]{10,} \|$").unwrap()
    });
    let mut documented = BTreeSet::new();
    for row in ROW.captures_iter(document).filter(|row| !row[1].ends_with(ONLY_WITH_TLS)) {
        let labels: BTreeSet<String> = row[3].split(", ").map(|label| label.trim_matches('`').to_owned()).collect();
        let labels: BTreeSet<String> = labels.into_iter().filter(|label| !label.is_empty()).collect();
        let names = match row[1].strip_prefix("*_") {
            Some(rest) => PREFIXES.map(|prefix| format!("{prefix}{rest}")).to_vec(),
            None => vec![row[1].to_owned()],
        };
        documented.extend(names.into_iter().map(|name| (name, row[2].to_owned(), labels.clone())));
    }
    let there: BTreeSet<(String, String, BTreeSet<String>)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| {
            let sample = match kind {
                "counter" => format!("{name}_total"),
                "histogram" => format!("{name}_count"),
                _ => name.to_owned(),
            };
            let labels = samples[&sample].iter().flat_map(|labels| labels.keys().cloned()).collect();
            let shown = if kind == "counter" { sample } else { name.to_owned() };
            (shown, kind.to_owned(), labels)
        })
        .collect();
    assert_eq!(documented, there, "left: docs/observability.md, right: what running services have");
}
