//! What goes to standard output: where a model is, and what would be fetched.

use std::io::{self, Write as _};

use futures::TryStreamExt as _;
use serde_json::json;

use crate::resolve::Resolved;
use crate::settings::{Output, readable};
use crate::source::{Object, SharedSource};
use crate::uri::SourceUri;
use crate::{Failure, Kind};

/// Prints where the model is.
pub(super) fn resolved(uri: &SourceUri, resolved: Option<&Resolved>, output: Output) -> Result<(), Failure> {
    let text = match (output, resolved) {
        (Output::Text, None) => uri.to_string(),
        (Output::Text, Some(resolved)) => resolved.lines(),
        (Output::Json, None) => json!({ "uri": uri.to_string() }).to_string(),
        (Output::Json, Some(resolved)) => resolved.json().to_string(),
    };
    writeln!(io::stdout().lock(), "{text}").map_err(|error| unprintable(&error))
}

/// Prints all objects of a source as they are listed, and their sum.
pub(super) async fn list(source: SharedSource, output: Output) -> Result<(), Failure> {
    let mut objects = source.objects();
    let (mut files, mut bytes, mut unknown) = (0_u64, 0_u64, 0_u64);
    while let Some(object) = objects.try_next().await? {
        files += 1;
        bytes = bytes.saturating_add(object.size.unwrap_or(0));
        unknown += u64::from(object.size.is_none());
        print(&object, output).map_err(|error| unprintable(&error))?;
    }
    let line = match output {
        Output::Json => json!({ "files": files, "bytes": bytes, "filesOfUnknownSize": unknown }).to_string(),
        Output::Text if unknown > 0 => format!("{files} files, {} and {unknown} of unknown size", readable(bytes)),
        Output::Text => format!("{files} files, {} ({bytes} bytes)", readable(bytes)),
    };
    writeln!(io::stdout().lock(), "{line}").map_err(|error| unprintable(&error))
}

fn print(object: &Object, output: Output) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match (output, object.size) {
        (Output::Json, size) => {
            let checksum = object.checksum.as_ref().map(ToString::to_string);
            writeln!(stdout, "{}", json!({ "path": object.path.as_str(), "bytes": size, "checksum": checksum }))
        }
        (Output::Text, Some(size)) => writeln!(stdout, "{size:>15}  {}", object.path),
        (Output::Text, None) => writeln!(stdout, "{:>15}  {}", "?", object.path),
    }
}

fn unprintable(error: &io::Error) -> Failure {
    Failure::new(Kind::DiskFull, format!("standard output cannot be written: {error}"), "see who reads it")
}
