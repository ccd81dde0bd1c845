//! The containers of the manifests, and the settings that they give to the services.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches};
use serde_json::Value;

use crate::manifests::{Manifests, items, text};

/// The three services, by the names of their containers and images.
pub(crate) const SERVICES: [&str; 3] = ["normalizer", "storage-rest", "location"];

/// A container and the pod that it is in.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    /// The pod's labels; empty in a Backstage resource, whose pod the operator labels.
    pub(crate) labels: &'a Value,
    /// The pod.
    pub(crate) pod: &'a Value,
    /// The container.
    pub(crate) spec: &'a Value,
}

impl Manifests {
    /// The containers of Deployments, Jobs, and of what is merged into RHDH's pod.
    pub(crate) fn containers(&self) -> Vec<Container<'_>> {
        let templates = self.all().filter_map(|object| match object["kind"].as_str()? {
            "Deployment" | "Job" => Some(&object["spec"]["template"]),
            "Backstage" => Some(&object["spec"]["deployment"]["patch"]["spec"]["template"]),
            _ => None,
        });
        templates
            .flat_map(|template| {
                items(&template["spec"]["containers"]).map(|spec| Container {
                    labels: &template["metadata"]["labels"],
                    pod: &template["spec"],
                    spec,
                })
            })
            .collect()
    }

    /// The container of a service.
    pub(crate) fn container(&self, service: &str) -> Container<'_> {
        self.containers().into_iter().find(|container| container.name() == service).expect("a container")
    }

    /// What a container finds in its environment, as the kubelet would make it. `None` where there is only a reference to
    /// what the cluster fills in.
    pub(crate) fn environment(&self, container: &Container<'_>) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for source in items(&container.spec["envFrom"]) {
            if let Some(name) = source["configMapRef"]["name"].as_str() {
                let map = self.find("ConfigMap", name).unwrap_or_else(|| panic!("there is no ConfigMap {name}"));
                let data = map["data"].as_object().into_iter().flatten();
                environment.extend(data.map(|(key, value)| (key.clone(), text(value))));
            }
        }
        for variable in items(&container.spec["env"]) {
            if let Some(value) = self.value(variable) {
                let value = expanded(&value, &environment);
                environment.insert(text(&variable["name"]), value);
            }
        }
        environment
    }

    fn value(&self, variable: &Value) -> Option<String> {
        if let Some(value) = variable["value"].as_str() {
            return Some(value.to_owned());
        }
        let from = &variable["valueFrom"];
        match from["fieldRef"]["fieldPath"].as_str() {
            Some("metadata.namespace") => return Some(self.namespace()),
            Some("status.podIP") => return Some("192.0.2.7".to_owned()),
            Some(other) => panic!("{other} is not foreseen here"),
            None => {}
        }
        let reference = &from["secretKeyRef"];
        let secret = self.find("Secret", &text(&reference["name"]))?;
        let encoded = secret["data"][text(&reference["key"])].as_str()?;
        Some(String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap())
    }
}

impl Container<'_> {
    pub(crate) fn name(&self) -> String {
        text(&self.spec["name"])
    }
}

/// `$(NAME)` stands for a variable that was given before.
fn expanded(value: &str, known: &BTreeMap<String, String>) -> String {
    known.iter().fold(value.to_owned(), |value, (name, text)| value.replace(&format!("$({name})"), text))
}

/// The names of the variables that a service takes.
pub(crate) fn variables(command: &clap::Command) -> Vec<String> {
    let names = command.get_arguments().filter_map(clap::Arg::get_env);
    names.map(|name| name.to_str().expect("an ASCII name").to_owned()).collect()
}

/// Settings as a service takes them from this environment, and from nothing else.
pub(crate) fn settings<S: CommandFactory + FromArgMatches>(environment: &BTreeMap<String, String>) -> S {
    let flags = S::command()
        .get_arguments()
        .filter_map(|argument| {
            let value = environment.get(argument.get_env()?.to_str()?).filter(|value| !value.is_empty())?;
            Some(format!("--{}={value}", argument.get_long()?))
        })
        .collect::<Vec<_>>();
    let command = S::command().mut_args(|argument| argument.env(Resettable::Reset));
    let matches = command.try_get_matches_from([vec!["service".to_owned()], flags].concat());
    let settings = matches.and_then(|matches| S::from_arg_matches(&matches));
    settings.unwrap_or_else(|error| panic!("{environment:?}: {error}"))
}
