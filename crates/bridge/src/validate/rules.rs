//! The rules of Backstage for texts in entities. What they allow is a little more than what the bridge itself writes.

use url::Url;

/// What a text must be.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) holds: fn(&str) -> bool,
    /// How it goes on after "this must be".
    pub(super) expected: &'static str,
}

const LONGEST_NAME: usize = 63;
const LONGEST_DOMAIN: usize = 253;

pub(super) const API_VERSION: Rule = Rule {
    holds: is_api_version,
    expected: "a version, perhaps after a domain and `/`, such as backstage.io/v1alpha1",
};
pub(super) const KIND: Rule =
    Rule { holds: is_kind, expected: "a letter, then letters and digits, at most 63 characters" };
pub(super) const NAME: Rule =
    Rule { holds: is_name, expected: "letters and digits, with `-`, `_` and `.` between them, at most 63 characters" };
pub(super) const NAMESPACE: Rule = Rule {
    holds: is_dns_label,
    expected: "lower-case letters and digits with single `-` between, at most 63 characters",
};
pub(super) const KEY: Rule =
    Rule { holds: is_key, expected: "a name of at most 63 characters, perhaps after a domain and `/`" };
pub(super) const LABEL: Rule = Rule { holds: |text| text.is_empty() || is_name(text), expected: "empty or a name" };
pub(super) const TAG: Rule = Rule {
    holds: is_tag,
    expected: "lower-case letters, digits, `:`, `+` and `#` with single `-` between, at most 63 characters",
};
pub(super) const URL: Rule = Rule { holds: |text| Url::parse(text).is_ok(), expected: "an absolute URL" };
pub(super) const TEXT: Rule = Rule { holds: |text| !text.trim().is_empty(), expected: "a text that is not empty" };
pub(super) const ANY_TEXT: Rule = Rule { holds: |_| true, expected: "a text" };
/// A reference whose kind follows from its field.
pub(super) const REFERENCE: Rule =
    Rule { holds: is_reference, expected: "a reference to an entity: [KIND:][NAMESPACE/]NAME" };
/// A reference that must tell its kind.
pub(super) const FULL_REFERENCE: Rule = Rule {
    holds: |text| is_reference(text) && text.contains(':'),
    expected: "a reference to an entity with its kind: KIND:[NAMESPACE/]NAME",
};

fn is_api_version(text: &str) -> bool {
    let version = |text: &str| is_short(text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    prefixed(text, version)
}

fn is_kind(text: &str) -> bool {
    is_short(text)
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_name(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    is_short(text)
        && ends(text.chars().next())
        && ends(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_dns_label(text: &str) -> bool {
    is_short(text) && words(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

fn is_key(text: &str) -> bool {
    prefixed(text, is_name)
}

fn is_tag(text: &str) -> bool {
    is_short(text) && words(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, ':' | '+' | '#'))
}

fn is_reference(text: &str) -> bool {
    let (kind, rest) = text.split_once(':').map_or((None, text), |(kind, rest)| (Some(kind), rest));
    let (namespace, name) = rest.split_once('/').map_or((None, rest), |(namespace, name)| (Some(namespace), name));
    let part = |text: &str| !text.is_empty() && !text.contains([':', '/']);
    kind.is_none_or(part) && namespace.is_none_or(part) && part(name)
}

/// `text`, or a domain, `/` and `text`.
fn prefixed(text: &str, holds: impl Fn(&str) -> bool) -> bool {
    match text.split_once('/') {
        None => holds(text),
        Some((domain, rest)) => domain.len() <= LONGEST_DOMAIN && domain.split('.').all(is_dns_label) && holds(rest),
    }
}

/// Runs of letters with a single `-` between two.
fn words(text: &str, letter: impl Fn(char) -> bool) -> bool {
    text.split('-').all(|word| !word.is_empty() && word.chars().all(&letter))
}

fn is_short(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(API_VERSION, &["backstage.io/v1alpha1", "v1"], &["", "backstage.io/", "Backstage.io/v1", "a/b/c"])]
    #[case(KIND, &["Component", "AiModelServerAPI"], &["", "1st", "has-dash"])]
    #[case(NAME, &["a", "a--b", "A_b.c"], &["", "-a", "a-", "a b", "a/b", "ä"])]
    #[case(NAMESPACE, &["default", "a-1"], &["", "Default", "a--b", "a_b"])]
    #[case(KEY, &["a", "rhdh.io/owner", "TechDocs"], &["", "has space", "a/b/c", "/a", "UP.io/x"])]
    #[case(LABEL, &["", "a"], &["a b", "-"])]
    #[case(TAG, &["c++", "a-b", "model:tag"], &["", "Upper", "a_b", "a--b", "-a"])]
    #[case(URL, &["https://example.com", "mailto:a@b"], &["", "example.com", "/path"])]
    #[case(TEXT, &["a"], &["", "  "])]
    #[case(REFERENCE, &["jane", "user:jane", "group:default/team", "default/jane"], &["", "a:b:c", "a/b/c", "user:"])]
    #[case(FULL_REFERENCE, &["component:x", "api:default/x"], &["x", "default/x"])]
    fn a_rule_holds_for_some_and_not_for_others(#[case] rule: Rule, #[case] valid: &[&str], #[case] invalid: &[&str]) {
        for text in valid {
            assert!((rule.holds)(text), "{text:?} is {}", rule.expected);
        }
        for text in invalid {
            assert!(!(rule.holds)(text), "{text:?} is not {}", rule.expected);
        }
    }

    #[test]
    fn names_end_at_63_characters() {
        assert!((NAME.holds)(&"x".repeat(63)) && !(NAME.holds)(&"x".repeat(64)));
        assert!((TAG.holds)(&"x".repeat(63)) && !(TAG.holds)(&"x".repeat(64)));
    }
}
