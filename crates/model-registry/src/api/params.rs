//! What the address of a request says.

use http::Uri;

use super::failure::Failure;
use crate::model::Id;

/// The parameters after the `?`.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Those of an address, which may hold no NUL bytes anywhere.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Failure> {
        let query = uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let in_query = pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0'));
        if in_query || uri.path().contains("%00") {
            return Err(Failure::bad_request("the address of the request holds a NUL byte"));
        }
        Ok(Self(pairs))
    }

    /// The first of that name; an empty one says nothing.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let first = self.0.iter().find(|(given, _)| given == name)?;
        Some(first.1.as_str()).filter(|value| !value.is_empty())
    }

    /// All of that name; empty ones say nothing.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let given = self.0.iter().filter(move |(given, value)| given == name && !value.is_empty());
        given.map(|(_, value)| value.as_str())
    }

    /// The same as text of its own.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// The same as an id.
    pub(super) fn id(&self, name: &str) -> Result<Option<Id>, Failure> {
        self.get(name).map(|text| id(name, text)).transpose()
    }
}

/// The id that is called `name`.
pub(super) fn id(name: &str, text: &str) -> Result<Id, Failure> {
    text.parse().map_err(|error| Failure::bad_request(format!("{name} is not valid: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(uri: &'static str) -> Result<Params, Failure> {
        Params::of(&Uri::from_static(uri))
    }

    #[test]
    fn the_first_value_counts_and_an_empty_one_is_none() {
        let params = params("/x?a=1&a=2&b=&c=a+b%20c%C3%A4").unwrap();
        assert_eq!(params.get("a"), Some("1"));
        assert_eq!(params.get("b"), None);
        assert_eq!(params.get("c"), Some("a b cä"));
        assert_eq!(params.get("d"), None);
    }

    #[test]
    fn nul_bytes_are_refused_wherever_they_are() {
        for uri in ["/x%00", "/x?a=%00", "/x?a%00=1", "/x?unknown=a%00b"] {
            assert_eq!(params(uri).unwrap_err().parts().0, 400, "{uri}");
        }
        params("/x%2500?a=%2500").unwrap();
    }
}
