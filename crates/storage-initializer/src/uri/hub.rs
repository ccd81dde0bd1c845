//! `hf://owner/model[:revision][/path]`, percent-decoded: a `/` in a revision is `%2F`.

use std::fmt;

use super::HubUri;
use super::encoding::{decoded, encoded, encoded_path, inner_path};
use super::error::{Part, Refused};

pub(super) fn parse(rest: &str) -> Result<HubUri, Refused> {
    let mut segments = rest.splitn(3, '/');
    let (owner, model) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let path = segments.next().unwrap_or_default();
    // The Hub's own tools write an @ where KServe writes a colon.
    let (model, revision) = match model.split_once([':', '@']) {
        Some((model, revision)) => (model, Some(revision)),
        None => (model, None),
    };
    if !is_name(owner) || !is_name(model) {
        let reason = "it must be OWNER/MODEL, of letters, digits, dots, dashes and underscores";
        return Err(Refused::new(Part::Repository, reason));
    }
    let revision = revision.map(self::revision).transpose()?;
    let path = inner_path(&decoded(path, Part::Path)?)?;
    Ok(HubUri { repository: format!("{owner}/{model}"), revision, path })
}

fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(inner)
}

fn revision(text: &str) -> Result<String, Refused> {
    let revision = decoded(text, Part::Revision)?;
    if revision.is_empty() || revision.chars().any(char::is_control) {
        return Err(Refused::new(Part::Revision, "it must be a branch, a tag or a commit"));
    }
    Ok(revision)
}

impl fmt::Display for HubUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf://{}", self.repository)?;
        if let Some(revision) = &self.revision {
            write!(f, ":{}", encoded(revision))?;
        }
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", encoded_path(&self.path)) }
    }
}
