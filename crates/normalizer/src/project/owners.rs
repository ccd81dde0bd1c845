//! Owners: of what kind bare names are (`OWNER_KIND`), and who owns what is in a namespace (`NAMESPACE_OWNERS`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use model_catalog::names::Owner;

/// What an owner is that is given by its name alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OwnerKind {
    /// A user, as RHDH takes it.
    #[default]
    User,
    /// A group.
    Group,
}

impl FromStr for OwnerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_lowercase().as_str() {
            "user" => Ok(Self::User),
            "group" => Ok(Self::Group),
            _ => Err(format!("`{text}` is no kind of owner: use user or group")),
        }
    }
}

impl fmt::Display for OwnerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
        })
    }
}

/// Owners by namespace: `NAMESPACE=OWNER,...`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceOwners(BTreeMap<String, Owner>);

impl FromStr for NamespaceOwners {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut owners = BTreeMap::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (namespace, owner) =
                item.split_once('=').ok_or_else(|| format!("`{item}` is not of the form NAMESPACE=OWNER"))?;
            let namespace = namespace.trim();
            if namespace.is_empty() {
                return Err(format!("`{item}` names no namespace: write NAMESPACE=OWNER"));
            }
            let owner: Owner = owner.trim().parse().map_err(|error| format!("{error}"))?;
            if owners.insert(namespace.to_owned(), owner).is_some() {
                return Err(format!("namespace `{namespace}` has two owners"));
            }
        }
        Ok(Self(owners))
    }
}

impl fmt::Display for NamespaceOwners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<String> = self.0.iter().map(|(namespace, owner)| format!("{namespace}={owner}")).collect();
        f.write_str(&items.join(","))
    }
}

/// Who owns what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// What bare names are.
    pub kind: OwnerKind,
    /// Owners of services that name none, by their namespace.
    pub by_namespace: NamespaceOwners,
}

impl Owners {
    pub(super) fn of_namespace(&self, namespace: &str) -> Option<&Owner> {
        self.by_namespace.0.get(namespace)
    }

    /// The owner with its kind, where that is not what a bare name is anyhow.
    pub(super) fn of_kind(&self, owner: Owner) -> Owner {
        match self.kind {
            OwnerKind::Group if !owner.is_qualified() => format!("group:{owner}").parse().unwrap_or(owner),
            _ => owner,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn owners_are_read_by_namespace() {
        let owners: NamespaceOwners = " a=group:default/ml-team , b=jane,".parse().unwrap();
        assert_eq!(owners.to_string(), "a=group:default/ml-team,b=jane");
        assert_eq!("".parse(), Ok(NamespaceOwners::default()));
    }

    #[rstest]
    #[case("a", "NAMESPACE=OWNER")]
    #[case("=jane", "names no namespace")]
    #[case("a=", "owner")]
    #[case("a=robot:x", "robot:x")]
    #[case("a=jane,a=joe", "two owners")]
    fn what_says_no_owner_is_refused(#[case] text: &str, #[case] reason: &str) {
        let error = text.parse::<NamespaceOwners>().unwrap_err();
        assert!(error.contains(reason), "{error}");
    }

    #[rstest]
    #[case(OwnerKind::User, "jane", "jane")]
    #[case(OwnerKind::Group, "ml", "group:ml")]
    #[case(OwnerKind::Group, "user:jane", "user:jane")]
    fn a_bare_name_is_of_the_kind_that_is_set(#[case] kind: OwnerKind, #[case] given: &str, #[case] owner: &str) {
        let owners = Owners { kind, ..Owners::default() };
        assert_eq!(owners.of_kind(given.parse().unwrap()).as_str(), owner);
    }
}
