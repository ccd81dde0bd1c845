//! Whether a custom resource is installed, by API discovery. Only a successful answer can say that it is not.

use kube::Client;

use crate::request::{RequestError, bounded};

/// A resource that exists only where its API is installed.
pub(crate) struct CustomResource {
    pub(crate) group: &'static str,
    /// The versions that can be read, the best first.
    pub(crate) versions: &'static [&'static str],
    pub(crate) plural: &'static str,
}

/// The best version in which the resource is served; `None`: it is not installed.
pub(crate) async fn served_version(
    client: &Client,
    custom: &CustomResource,
) -> Result<Option<&'static str>, RequestError> {
    let groups = bounded("get /apis", client.list_api_groups()).await?;
    // Every API server has groups: an answer without any is an answer of something else.
    if groups.groups.is_empty() {
        return Err(RequestError::unreadable("get /apis", "the answer names no API group"));
    }
    let served: Vec<&str> = groups
        .groups
        .iter()
        .filter(|group| group.name == custom.group)
        .flat_map(|group| group.versions.iter().map(|version| version.version.as_str()))
        .collect();
    // Kinds of one group come in different versions: that the group has the version does not say that the kind has.
    for version in custom.versions.iter().filter(|version| served.contains(version)) {
        if is_listed(client, custom, version).await? {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

async fn is_listed(client: &Client, custom: &CustomResource, version: &str) -> Result<bool, RequestError> {
    let version = format!("{}/{version}", custom.group);
    let what = format!("get /apis/{version}");
    let resources = bounded(&what, client.list_api_group_resources(&version)).await?;
    if resources.group_version != version {
        return Err(RequestError::unreadable(&what, "the answer is about another API group"));
    }
    Ok(resources.resources.iter().any(|resource| resource.name == custom.plural))
}
