//! Text that Backstage restricts, as types that cannot hold anything it would reject.
//!
//! Each type has `FromStr`, which is strict (the text is valid or it is an error), and, where the bridge has to
//! make something of foreign text, a lossy constructor whose rule is stated on it. The rules are those of
//! Backstage's own entity policies (`FieldFormatEntityPolicy` and `KubernetesValidatorFunctions`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How long an entity name, a tag or the name part of an annotation key may be, in characters.
pub const MAX_NAME: usize = 63;

/// A text breaks the rule of the thing it was meant to be.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
#[error("`{text}` is no valid {what}: {rule}")]
pub struct InvalidName {
    what: &'static str,
    rule: &'static str,
    text: String,
}

impl InvalidName {
    fn new(what: &'static str, rule: &'static str, text: &str) -> Self {
        let text = text.chars().take(2 * MAX_NAME).collect();
        Self { what, rule, text }
    }
}

macro_rules! validated_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if $valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName::new($what, $rule, text))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

validated_text!(
    /// `metadata.name` of an entity: 1 to 63 of `[a-zA-Z0-9]`, separated by single `-`, `_` or `.`.
    EntityName, "entity name", "1 to 63 letters and digits, separated by single `-`, `_` or `.`", is_entity_name
);
validated_text!(
    /// An entry of `metadata.tags`: 1 to 63 of `[a-z0-9:+#]`, separated by single `-`.
    Tag, "tag", "1 to 63 of `a-z`, `0-9`, `:`, `+` and `#`, separated by single `-`", is_tag
);
validated_text!(
    /// A key of `metadata.annotations`: an optional DNS name and `/`, then 1 to 63 of `[a-zA-Z0-9]` separated by
    /// `-`, `_` or `.`.
    AnnotationKey, "annotation key", "an optional DNS name and `/`, then a name of at most 63 characters", is_annotation_key
);
validated_text!(
    /// Who owns an entity: a bare name, or a reference `user:[namespace/]name` or `group:[namespace/]name`.
    Owner, "owner", "a name, or `user:` or `group:` with an optional `namespace/` and a name", is_owner
);
validated_text!(
    /// A text that must not be empty, such as a lifecycle: some visible character, no control characters.
    NonEmpty, "value", "at least one visible character, and no control characters", is_non_empty
);

fn is_entity_name(text: &str) -> bool {
    text.len() <= MAX_NAME && separated(text, |c| c.is_ascii_alphanumeric(), |c| matches!(c, '-' | '_' | '.'))
}

fn is_tag(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, ':' | '+' | '#');
    text.len() <= MAX_NAME && separated(text, letter, |c| c == '-')
}

fn is_annotation_key(text: &str) -> bool {
    match text.split_once('/') {
        None => is_entity_name(text),
        Some((prefix, name)) => is_dns_name(prefix) && is_entity_name(name),
    }
}

fn is_dns_name(text: &str) -> bool {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253 && text.split('.').all(|label| label.len() <= MAX_NAME && separated(label, lower, |c| c == '-'))
}

fn is_owner(text: &str) -> bool {
    match text.split_once(':') {
        None => is_entity_name(text),
        Some((kind, rest)) => {
            let (namespace, name) = rest.split_once('/').unwrap_or(("default", rest));
            matches!(kind, "user" | "group") && is_dns_name(namespace) && is_entity_name(name)
        }
    }
}

fn is_non_empty(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// Runs of `letter`, with exactly one `separator` between two runs, and at least one run.
fn separated(text: &str, letter: impl Fn(char) -> bool, separator: impl Fn(char) -> bool) -> bool {
    let mut after_letter = false;
    for c in text.chars() {
        if letter(c) {
            after_letter = true;
        } else if separator(c) && after_letter {
            after_letter = false;
        } else {
            return false;
        }
    }
    after_letter
}

/// Keeps what `keep` maps to a character, replaces what it maps to `None` by nothing, folds runs of separators into
/// the first of the run, and trims them at both ends.
fn fold(text: impl Iterator<Item = char>, keep: impl Fn(char) -> Option<char>) -> String {
    let is_separator = |c: char| matches!(c, '-' | '_' | '.');
    let mut out = String::new();
    for c in text.filter_map(keep) {
        if !is_separator(c) || !(out.is_empty() || out.ends_with(is_separator)) {
            out.push(c);
        }
    }
    out.truncate(out.trim_end_matches(is_separator).len());
    out
}

/// Cuts ASCII `text` to `length` bytes and trims the separators that this may bare.
fn cut(text: &str, length: usize) -> &str {
    text[..text.len().min(length)].trim_end_matches(['-', '_', '.'])
}

impl EntityName {
    /// Makes an entity name of any text: lower case, everything but letters, digits, `-`, `_` and `.` becomes `-`,
    /// runs of separators become one, and what exceeds 63 characters is cut. `None` where nothing is left (a name
    /// in a script without ASCII letters, for instance).
    pub fn lossy(text: &str) -> Option<Self> {
        let keep = |c: char| Some(if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' });
        let folded = fold(text.chars().flat_map(char::to_lowercase), keep);
        let name = cut(&folded, MAX_NAME);
        (!name.is_empty()).then(|| Self(name.to_owned()))
    }

    /// This name with `-suffix` behind it, shortened so that the whole stays within 63 characters. `suffix` must
    /// itself be made of letters and digits, as hexadecimal digests are.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        let suffix: String = suffix.chars().filter(char::is_ascii_alphanumeric).take(MAX_NAME / 2).collect();
        Self(format!("{}-{suffix}", cut(&self.0, MAX_NAME - 1 - suffix.len())))
    }
}

impl Tag {
    /// Makes a tag of any text as the Go bridge did (lower case, what is not allowed is removed), except that white
    /// space and `_`, and a `.` between digits, become `-`, so that `Granite 3.1` stays readable as `granite-3-1`.
    /// `None` where nothing is left or more than 63 characters are: a cut tag would say something else.
    pub fn lossy(text: &str) -> Option<Self> {
        let lower: Vec<char> = text.to_lowercase().chars().collect();
        let digit = |index: usize| lower.get(index).is_some_and(char::is_ascii_digit);
        let mapped = lower.iter().enumerate().map(|(index, c)| match c {
            '.' if index > 0 && digit(index - 1) && digit(index + 1) => '-',
            '_' => '-',
            c if c.is_whitespace() => '-',
            c => *c,
        });
        let keep = |c: char| (c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '+' | '#')).then_some(c);
        fold(mapped, keep).parse().ok()
    }
}

impl Owner {
    /// Makes an owner of any text: a valid bare name or `user:`/`group:` reference is kept, with the kind in any case;
    /// of anything else what is not allowed is removed, as the Go bridge does (`kube:admin` becomes `kubeadmin`).
    /// `None` where nothing is left.
    pub fn lossy(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(owner) = text.parse() {
            return Some(owner);
        }
        Self::lossy_reference(text).or_else(|| owner_name(text).map(Self))
    }

    /// Of a text that begins with `user:` or `group:`.
    fn lossy_reference(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let kind = ["user", "group"].into_iter().find(|known| kind.trim().eq_ignore_ascii_case(known))?;
        let (namespace, name) = rest.split_once('/').map_or((None, rest), |(namespace, name)| (Some(namespace), name));
        let name = owner_name(name)?;
        let namespace = namespace.map(|namespace| format!("{}/", namespace.trim().to_lowercase())).unwrap_or_default();
        format!("{kind}:{namespace}{name}").parse().ok()
    }

    /// The name alone, without kind and namespace: RHDH's provider up to 0.9 puts `user:` before whatever it gets.
    pub fn name(&self) -> &str {
        self.0.rsplit([':', '/']).next().unwrap_or(&self.0)
    }

    /// Whether kind (and perhaps namespace) were given.
    pub fn is_qualified(&self) -> bool {
        self.0.contains(':')
    }

    /// As an entity reference: a bare name is a user.
    pub fn reference(&self) -> String {
        if self.is_qualified() { self.0.clone() } else { format!("user:{}", self.0) }
    }
}

/// The name of an owner, as far as it may stay.
fn owner_name(text: &str) -> Option<String> {
    let keep = |c: char| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    };
    let folded = fold(text.chars(), keep);
    let name = cut(&folded, MAX_NAME);
    (!name.is_empty()).then(|| name.to_owned())
}

impl NonEmpty {
    /// Trims `text` and makes spaces of its control characters. `None` where nothing is left.
    pub fn lossy(text: &str) -> Option<Self> {
        let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        visible.trim().parse().ok()
    }
}

/// Free text without the control characters that databases and terminals choke on (NUL above all) and without byte
/// order marks. Tabs stay, and line breaks as `\n`: versions of YAML differ in which others are any.
pub fn clean_text(text: &str) -> String {
    let lines = text.replace("\r\n", "\n").replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n");
    let visible = lines.chars().filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || *c == '\u{feff}'));
    visible.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Granite 3.1 8B", Some("granite-3.1-8b"))]
    #[case("a_b", Some("a_b"))]
    #[case("a--b__c", Some("a-b_c"))]
    #[case("-x-", Some("x"))]
    #[case("org/model:tag", Some("org-model-tag"))]
    #[case("模型", None)]
    #[case("", None)]
    fn entity_names_of_any_text(#[case] text: &str, #[case] name: Option<&str>) {
        assert_eq!(EntityName::lossy(text).as_ref().map(EntityName::as_str), name);
    }

    #[rstest]
    #[case("Granite 3.1", Some("granite-3-1"))]
    #[case("networking.kserve.io/visibility-exposed", Some("networkingkserveiovisibility-exposed"))]
    #[case("c++", Some("c++"))]
    #[case("text_generation", Some("text-generation"))]
    #[case("---", None)]
    fn tags_of_any_text(#[case] text: &str, #[case] tag: Option<&str>) {
        assert_eq!(Tag::lossy(text).as_ref().map(Tag::as_str), tag);
    }

    #[test]
    fn a_tag_that_is_too_long_is_left_out_and_not_cut() {
        assert!(Tag::lossy(&"x".repeat(63)).is_some());
        assert!(Tag::lossy(&"x".repeat(64)).is_none());
    }

    #[rstest]
    #[case("kube:admin", Some("kubeadmin"), "user:kubeadmin")]
    #[case("group:default/ml-team", Some("group:default/ml-team"), "group:default/ml-team")]
    #[case("user:jane", Some("user:jane"), "user:jane")]
    #[case("Jane Doe", Some("Jane-Doe"), "user:Jane-Doe")]
    #[case("User:Default/Jane Doe", Some("user:default/Jane-Doe"), "user:default/Jane-Doe")]
    #[case("Group:ml team", Some("group:ml-team"), "group:ml-team")]
    #[case("group:", Some("group"), "user:group")]
    #[case("user:a/b/c", Some("user:a/bc"), "user:a/bc")]
    #[case("  ", None, "")]
    fn owners_of_any_text(#[case] text: &str, #[case] owner: Option<&str>, #[case] reference: &str) {
        let made = Owner::lossy(text);
        assert_eq!(made.as_ref().map(Owner::as_str), owner);
        assert_eq!(made.map(|o| o.reference()).unwrap_or_default(), reference);
    }

    #[rstest]
    #[case("rhdh.modelcatalog.io/model-name", true)]
    #[case("TechDocs", true)]
    #[case("has space", false)]
    #[case("Upper.example/x", false)]
    #[case("/x", false)]
    #[case("a/b/c", false)]
    fn annotation_keys(#[case] key: &str, #[case] valid: bool) {
        assert_eq!(key.parse::<AnnotationKey>().is_ok(), valid);
    }

    #[test]
    fn free_text_has_one_kind_of_line_break_and_no_odd_characters() {
        assert_eq!(clean_text("\u{feff} a\r\nb\rc\u{85}d\u{2028}e\u{2029}f\0\tg \n"), "a\nb\nc\nd\ne\nf\tg");
    }

    proptest! {
        #[test]
        fn whatever_is_made_of_any_text_is_valid(text in "\\PC{0,200}|.{0,80}", suffix in "[0-9a-f]{8,64}") {
            if let Some(name) = EntityName::lossy(&text) {
                prop_assert!(is_entity_name(name.as_str()), "{name}");
                prop_assert!(is_entity_name(name.with_suffix(&suffix).as_str()));
            }
            if let Some(tag) = Tag::lossy(&text) {
                prop_assert!(is_tag(tag.as_str()), "{tag}");
            }
            if let Some(owner) = Owner::lossy(&text) {
                prop_assert!(is_owner(owner.as_str()), "{owner}");
                prop_assert!(is_entity_name(owner.name()));
            }
            if let Some(value) = NonEmpty::lossy(&text) {
                prop_assert!(is_non_empty(value.as_str()));
            }
        }
    }
}
