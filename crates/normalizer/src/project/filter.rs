//! Filters: which models and services become entries at all (`INCLUDE`, `EXCLUDE`).

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};

/// What begins a selector of properties.
const PROPERTY: &str = "property:";

/// Which entries there are: those that `include` selects (all, where it is empty) and `exclude` does not.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// `INCLUDE`
    pub include: Vec<Selector>,
    /// `EXCLUDE`
    pub exclude: Vec<Selector>,
}

/// One item of a filter.
#[derive(Debug, Clone)]
pub struct Selector {
    text: String,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    /// `REGISTRY/MODEL` or `NAMESPACE/SERVICE`
    Name(GlobMatcher),
    /// `property:KEY` or `property:KEY=GLOB`
    Property { key: String, value: Option<GlobMatcher> },
}

/// What a filter looks at.
pub(super) struct Subject<'a> {
    /// The names of the entry: one that is selected suffices.
    pub(super) names: Vec<String>,
    /// Its properties.
    pub(super) property: Property<'a>,
}

/// The value of a property by its name.
type Property<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

impl Filter {
    /// Whether that is an entry.
    pub(super) fn admits(&self, subject: &Subject<'_>) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|selector| selector.selects(subject));
        included && !self.excludes(subject)
    }

    /// Whether that is not to be seen.
    pub(super) fn excludes(&self, subject: &Subject<'_>) -> bool {
        self.exclude.iter().any(|selector| selector.selects(subject))
    }
}

impl Selector {
    fn selects(&self, subject: &Subject<'_>) -> bool {
        match &self.rule {
            Rule::Name(glob) => subject.names.iter().any(|name| glob.is_match(name)),
            Rule::Property { key, value } => {
                let found = (subject.property)(key);
                found.is_some_and(|found| value.as_ref().is_none_or(|glob| glob.is_match(found)))
            }
        }
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = match text.strip_prefix(PROPERTY) {
            None if !text.contains('/') && !text.contains("**") => {
                return Err(format!(
                    "`{text}` selects nothing: write REGISTRY/MODEL or NAMESPACE/SERVICE, or property:KEY"
                ));
            }
            // Names of models may have a `/`, which only `**` crosses.
            None => Rule::Name(glob(text, Slash::Separates)?),
            Some(property) => {
                let (key, value) = property.split_once('=').map_or((property, None), |(key, value)| (key, Some(value)));
                if key.trim().is_empty() {
                    return Err(format!("`{text}` names no property: write property:KEY or property:KEY=GLOB"));
                }
                let value = value.map(|value| glob(value, Slash::IsAnyCharacter)).transpose()?;
                Rule::Property { key: key.trim().to_owned(), value }
            }
        };
        Ok(Self { text: text.to_owned(), rule })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `*` stops at a `/`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slash {
    Separates,
    IsAnyCharacter,
}

fn glob(text: &str, slash: Slash) -> Result<GlobMatcher, String> {
    let built = GlobBuilder::new(text).literal_separator(slash == Slash::Separates).backslash_escape(true).build();
    Ok(built.map_err(|error| format!("`{text}` is no glob: {}", error.kind()))?.compile_matcher())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let all = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Filter { include: all(include), exclude: all(exclude) }
    }

    fn subject(name: &str) -> Subject<'static> {
        let property = |key: &str| match key {
            "Stage" => Some("prod/eu".to_owned()),
            "Validated model" => Some(String::new()),
            _ => None,
        };
        Subject { names: vec![name.to_owned()], property: Box::new(property) }
    }

    #[rstest]
    #[case::nothing_said(&[], &[], true)]
    #[case::star(&["main/granite*"], &[], true)]
    #[case::any_registry(&["*/granite-3"], &[], true)]
    #[case::other(&["main/llama*"], &[], false)]
    #[case::one_of_two(&["main/llama*", "main/granite-?"], &[], true)]
    #[case::class(&["main/granite-[0-2]"], &[], false)]
    #[case::case(&["main/Granite*"], &[], false)]
    #[case::excluded_wins(&["main/*"], &["*/granite*"], false)]
    #[case::excluded_alone(&[], &["other/*"], true)]
    #[case::property(&["property:Stage"], &[], true)]
    #[case::empty_property(&["property:Validated model"], &[], true)]
    #[case::empty_value(&["property:Validated model="], &[], true)]
    #[case::value(&["property:Stage=prod*"], &[], true)]
    #[case::other_value(&["property:Stage=dev*"], &[], false)]
    #[case::missing_property(&["property:Team=*"], &[], false)]
    #[case::name_or_property(&["main/llama*", "property:Stage=prod/*"], &[], true)]
    #[case::excluded_by_property(&[], &["property:Stage=prod*"], false)]
    fn what_is_an_entry(#[case] include: &[&str], #[case] exclude: &[&str], #[case] expected: bool) {
        assert_eq!(filter(include, exclude).admits(&subject("main/granite-3")), expected);
    }

    #[rstest]
    #[case("main/*", false)]
    #[case("main/*/granite", true)]
    #[case("main/**", true)]
    #[case("**", true)]
    fn only_two_stars_cross_a_slash(#[case] glob: &str, #[case] expected: bool) {
        assert_eq!(filter(&[glob], &[]).admits(&subject("main/ibm/granite")), expected);
    }

    #[rstest]
    #[case("main/[a", "`main/[a` is no glob")]
    #[case("granite*", "selects nothing")]
    #[case("property:", "names no property")]
    #[case("property:=x", "names no property")]
    #[case("property:Stage=[", "is no glob")]
    fn what_selects_nothing_is_refused(#[case] text: &str, #[case] reason: &str) {
        let error = text.parse::<Selector>().unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}
