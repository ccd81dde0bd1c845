//! Whether the storage of the settings would take entries.

use storage_rest::store::StoreError;
use storage_rest::store::rehearsal::{Writable, rehearse};

use super::report::Finding;
use super::{Bench, within};

const CHECK: &str = "storage";

/// What there is to say of it.
pub(super) async fn examine(bench: &Bench<'_>) -> Vec<Finding> {
    within(bench.deadline, CHECK, async { vec![judge(bench).await] }).await
}

async fn judge(bench: &Bench<'_>) -> Finding {
    let rehearsal = match rehearse(&bench.settings.storage.storage, &bench.settings.storage.cluster).await {
        Ok(rehearsal) => rehearsal,
        Err(error) => {
            let advice = "mend this setting of storage-rest (docs/storage.md)";
            return Finding::failure(CHECK, format!("{error:#}"), advice);
        }
    };
    let store = rehearsal.store;
    match rehearsal.outcome {
        Ok(Writable::Tried) => Finding::ok(CHECK, format!("{store} can be written")),
        Ok(Writable::Empty) => {
            Finding::ok(CHECK, format!("{store} can be written; the first start makes what it needs there"))
        }
        Ok(Writable::Unknown) => Finding::warning(
            CHECK,
            format!("{store} can be read; whether it can be written is only told by a commit"),
            "the token or App needs `Contents: Read and write` (docs/storage.md)",
        ),
        Ok(Writable::ReadOnly) => Finding::failure(
            CHECK,
            format!("{store} can be read and not be written"),
            "give the token or App `Contents: Read and write` (docs/storage.md)",
        ),
        Err(error) => {
            let advice = match &error {
                StoreError::Permission { .. } => "grant what is missing (docs/storage.md, Rights)",
                StoreError::Settings { .. } => "mend the setting that it names",
                StoreError::Refused { .. } => {
                    "a quota, a policy or an admission webhook is against it: ask whoever set it"
                }
                _ => "see whether it runs and can be reached from here",
            };
            Finding::failure(CHECK, error.to_string(), advice)
        }
    }
}
