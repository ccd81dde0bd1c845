//! Whether a custom resource is installed, by API discovery. Only a successful answer can say that it is not.

use kube::Client;

use crate::request::{RequestError, bounded};

/// A resource that exists only where its API is installed.
pub(crate) struct CustomResource {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
}

pub(crate) enum Presence {
    Installed,
    Missing,
}

pub(crate) async fn presence(client: &Client, custom: &CustomResource) -> Result<Presence, RequestError> {
    let groups = bounded("get /apis", client.list_api_groups()).await?;
    // Every API server has groups: an answer without any is an answer of something else.
    if groups.groups.is_empty() {
        return Err(RequestError::unreadable("get /apis", "the answer names no API group"));
    }
    let version = format!("{}/{}", custom.group, custom.version);
    let served = groups
        .groups
        .iter()
        .filter(|group| group.name == custom.group)
        .any(|group| group.versions.iter().any(|served| served.group_version == version));
    if !served {
        return Ok(Presence::Missing);
    }
    let what = format!("get /apis/{version}");
    let resources = bounded(&what, client.list_api_group_resources(&version)).await?;
    if resources.group_version != version {
        return Err(RequestError::unreadable(&what, "the answer is about another API group"));
    }
    let listed = resources.resources.iter().any(|resource| resource.name == custom.plural);
    Ok(if listed { Presence::Installed } else { Presence::Missing })
}
