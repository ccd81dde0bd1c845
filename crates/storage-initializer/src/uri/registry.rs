//! `model-registry://`.
//!
//! A `/` within a name is written `%2F`. What is percent-encoded is never a host: so the model `iris.example` is told from a
//! host of that name by writing it `iris%2Eexample`.

use std::fmt;

use super::encoding::{decoded, encoded, encoded_value, has_credentials, is_host};
use super::error::{Part, Refused};
use super::{Reading, RegistryUri};

pub(super) fn parse(rest: &str) -> Result<RegistryUri, Refused> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let namespace = namespace(query)?;
    let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    if segments.iter().any(|segment| has_credentials(segment)) {
        let reason = "it carries credentials: a token has settings of its own; an @ in a name is %40";
        return Err(Refused::new(Part::Whole, reason));
    }
    let readings = match (segments.as_slice(), &namespace) {
        ([model], _) => vec![Reading { host: None, model: name(model, Part::Model)?, version: None }],
        ([host, model], None) if is_host(host) => {
            let of_model = versioned(None, host, model)?;
            let of_host = Reading { host: Some((*host).to_owned()), model: name(model, Part::Model)?, version: None };
            vec![of_host, of_model]
        }
        ([model, version], _) => vec![versioned(None, model, version)?],
        ([_, _, _], Some(_)) => {
            let reason = "with a host there is no namespace: the host says where the registry is";
            return Err(Refused::new(Part::Query, reason));
        }
        ([host, model, version], None) if is_host(host) => vec![versioned(Some(host), model, version)?],
        ([host, _, _], None) => {
            return Err(Refused::new(Part::Host, format!("{host:?} is no host; a / in a name is %2F")));
        }
        _ => return Err(Refused::new(Part::Path, "it has more than three segments; a / in a name is %2F")),
    };
    Ok(RegistryUri { readings, namespace })
}

fn versioned(host: Option<&str>, model: &str, version: &str) -> Result<Reading, Refused> {
    Ok(Reading {
        host: host.map(str::to_owned),
        model: name(model, Part::Model)?,
        version: Some(name(version, Part::Version)?),
    })
}

fn name(segment: &str, part: Part) -> Result<String, Refused> {
    let name = decoded(segment, part)?;
    if name.is_empty() {
        return Err(Refused::new(part, "it is empty"));
    }
    if name.contains('\0') {
        return Err(Refused::new(part, "it has a NUL byte"));
    }
    Ok(name)
}

fn namespace(query: &str) -> Result<Option<String>, Refused> {
    let mut namespace = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key != "namespace" {
            return Err(Refused::new(Part::Query, "it may have a namespace only; a ? in a name is %3F"));
        }
        let value = decoded(value, Part::Query)?;
        let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if value.is_empty() || value.len() > 63 || value.starts_with('-') || !value.bytes().all(is_label) {
            let reason = format!("{value:?} is no name of a namespace: lower-case letters, digits and dashes");
            return Err(Refused::new(Part::Query, reason));
        }
        if namespace.replace(value).is_some() {
            return Err(Refused::new(Part::Query, "it names two namespaces"));
        }
    }
    Ok(namespace)
}

impl RegistryUri {
    /// The path's text, so that it parses to the same readings.
    fn path(&self, first: &Reading) -> String {
        let mut model = encoded(&first.model);
        let Reading { host, version, .. } = first;
        // Read anew, a model that looks like a host would be one.
        let looks_like_host = host.is_none() && version.is_some() && self.namespace.is_none() && is_host(&model);
        if let (true, Some(byte)) = (looks_like_host, model.bytes().next()) {
            model.replace_range(..1, &format!("%{byte:02X}"));
        }
        let host = host.iter().cloned();
        let version = version.as_deref().map(encoded);
        host.chain([model]).chain(version).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for RegistryUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("model-registry://")?;
        if let Some(first) = self.readings.first() {
            f.write_str(&self.path(first))?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, "?namespace={}", encoded_value(namespace)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reading {
    /// For messages: `model "iris" version "1"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model {:?}", self.model)?;
        match &self.version {
            Some(version) => write!(f, " version {version:?}"),
            None => Ok(()),
        }
    }
}
