//! Get, list and the start of a watch: resource versions, paging, and the representation that the caller wants.

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::failure::Failure;
use super::object::{name, namespace, set_field};
use super::request::Query;
use super::selectors::Selector;
use super::store::{Key, Message, State};
use super::types::{Origin, ResourceType};
use super::write::Place;

/// How objects are written into the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The whole object, in this `apiVersion`.
    Full { api_version: String },
    /// Only its metadata.
    Metadata,
}

impl Form {
    /// What the `Accept` header asks for.
    pub(crate) fn wanted(accept: &str, resource: &ResourceType, version: &str) -> Self {
        let first = accept.split(',').next().unwrap_or_default();
        if first.contains("as=PartialObjectMetadata") {
            Self::Metadata
        } else {
            Self::Full { api_version: resource.api_version(version) }
        }
    }

    pub(crate) fn write(&self, object: &Value) -> Value {
        match self {
            Self::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"],
            }),
            Self::Full { api_version } => {
                let mut object = object.clone();
                set_field(&mut object, "apiVersion", Some(json!(api_version)));
                object
            }
        }
    }

    /// A bookmark: an object of the watched kind that holds a resource version and nothing else.
    pub(crate) fn bookmark(&self, kind: &str, revision: u64, annotations: Option<&Value>) -> Value {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if let Some(annotations) = annotations {
            metadata["annotations"] = annotations.clone();
        }
        self.write(&json!({"kind": kind, "apiVersion": "", "metadata": metadata}))
    }

    /// The list of these objects. A real server leaves out the kind of each built-in item.
    pub(crate) fn list(&self, resource: &ResourceType, items: &[Arc<Value>], metadata: &Value) -> Value {
        let (kind, api_version) = match self {
            Self::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1"),
            Self::Full { api_version } => (format!("{}List", resource.kind), api_version.as_str()),
        };
        let bare = *self != Self::Metadata && resource.origin == Origin::BuiltIn;
        let items: Vec<Value> = items
            .iter()
            .map(|item| {
                let mut item = self.write(item);
                if bare {
                    set_field(&mut item, "kind", None);
                    set_field(&mut item, "apiVersion", None);
                }
                item
            })
            .collect();
        json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items})
    }
}

impl State {
    pub(crate) fn read(&self, place: &Place<'_>, query: &Query) -> Result<Arc<Value>, Failure> {
        self.refuse_future(revision_of(query)?)?;
        self.get(&place.resource.id(), place.namespace, place.name)
            .cloned()
            .ok_or_else(|| Failure::not_found(place.resource, place.name))
    }

    /// One page of a list, with the list's metadata.
    pub(crate) fn list(
        &self,
        resource: &ResourceType,
        selector: &Selector,
        query: &Query,
    ) -> Result<(Vec<Arc<Value>>, Value), Failure> {
        let wanted = revision_of(query)?;
        let limit = limit_of(query)?;
        check_match(query)?;
        let (revision, after) = match query.get("continue").filter(|token| !token.is_empty()) {
            Some(_) if wanted.is_some_and(|revision| revision > 0) => {
                return Err(Failure::bad_request("specifying resource version is not allowed when using continue"));
            }
            Some(token) => parse_token(token).map(|(revision, after)| (revision, Some(after)))?,
            None => (self.list_revision(query, wanted)?, None),
        };
        let objects = self.all_at(&resource.id(), revision).map_err(|failure| match failure {
            Failure::Status(status) if status.code == 410 && after.is_some() => Failure::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
            ),
            other => other,
        })?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut matching = objects
            .range((start, Bound::Unbounded))
            .map(|(_, object)| object)
            .filter(|object| selector.matches(object));
        // The cache answers version 0, and the cache does not page.
        let limit = if wanted == Some(0) { usize::MAX } else { limit };
        let items: Vec<Arc<Value>> = matching.by_ref().take(limit).cloned().collect();
        let remaining = matching.count();
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let Some(last) = items.last().filter(|_| remaining > 0) {
            metadata["continue"] = json!(token(revision, namespace(last), name(last)));
            if !selector.is_narrow() {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        Ok((items, metadata))
    }

    /// The revision that a first page shows: the named one when it must be exact, else the newest.
    fn list_revision(&self, query: &Query, wanted: Option<u64>) -> Result<u64, Failure> {
        if let (Some("Exact"), Some(revision)) = (query.get("resourceVersionMatch"), wanted) {
            return Ok(revision);
        }
        self.refuse_future(wanted)?;
        Ok(self.revision)
    }

    /// Opens a watch: what it has to be told first is queued already. Returns its id.
    pub(crate) fn watch(
        &mut self,
        resource: &ResourceType,
        selector: Selector,
        query: &Query,
    ) -> Result<(u64, UnboundedReceiver<Message>), Failure> {
        let wanted = revision_of(query)?;
        let streams_list = query.flag("sendInitialEvents");
        if query.get("sendInitialEvents").is_some() && query.get("resourceVersionMatch") != Some("NotOlderThan") {
            return Err(Failure::status(
                422,
                "Invalid",
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        let (sender, receiver) = unbounded_channel();
        let mut first: Vec<Message> = Vec::new();
        match wanted {
            Some(revision) if revision > 0 && !streams_list => {
                let oldest = self.oldest_watchable(&resource.id());
                if revision < oldest {
                    let message = format!("too old resource version: {revision} ({oldest})");
                    first.push(Message::Error(Failure::expired(message).object()));
                } else {
                    first = self.events_since(revision, &resource.id(), &selector);
                }
            }
            _ if streams_list || query.get("sendInitialEvents").is_none() => {
                first.extend(
                    self.all(&resource.id())
                        .filter(|object| selector.matches(object))
                        .map(|object| Message::Event("ADDED", Arc::clone(object))),
                );
                if streams_list {
                    first.push(Message::InitialEventsEnd(self.revision));
                }
            }
            _ => {}
        }
        for message in first {
            // The receiver is in our hands still.
            let _ = sender.send(message);
        }
        let id = self.add_watcher(resource.id(), selector, sender);
        Ok((id, receiver))
    }

    fn refuse_future(&self, wanted: Option<u64>) -> Result<(), Failure> {
        match wanted {
            Some(revision) if revision > self.revision => Err(Failure::too_large_revision(revision, self.revision)),
            _ => Ok(()),
        }
    }
}

/// The resource version that a request names; unset and empty are the same.
fn revision_of(query: &Query) -> Result<Option<u64>, Failure> {
    match query.get("resourceVersion").filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Failure::bad_request(format!(
                "Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
            ))
        }),
    }
}

fn limit_of(query: &Query) -> Result<usize, Failure> {
    match query.get("limit").filter(|text| !text.is_empty()) {
        None | Some("0") => Ok(usize::MAX),
        Some(text) => text
            .parse()
            .map_err(|_| Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
    }
}

fn check_match(query: &Query) -> Result<(), Failure> {
    let version = query.get("resourceVersion").unwrap_or_default();
    let problem = match query.get("resourceVersionMatch").unwrap_or_default() {
        "Exact" if version == "0" => "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        "Exact" | "NotOlderThan" if version.is_empty() => {
            "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        }
        "" | "Exact" | "NotOlderThan" => return Ok(()),
        _ => "Unsupported value: supported values: \"Exact\", \"NotOlderThan\"",
    };
    let message = format!("ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: {problem}");
    Err(Failure::status(422, "Invalid", message))
}

fn token(revision: u64, namespace: &str, name: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": [namespace, name]}).to_string())
}

fn parse_token(token: &str) -> Result<(u64, Key), Failure> {
    let parse = || -> Option<(u64, Key)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        let text = |index: usize| value["start"][index].as_str().map(str::to_owned);
        Some((value["rv"].as_u64()?, (text(0)?, text(1)?)))
    };
    parse().ok_or_else(|| Failure::bad_request("continue key is not valid: illegal base64 data or JSON"))
}
