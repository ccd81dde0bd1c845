//! What a row holds, alike in all dialects.

use bridge_api::messages::Origin;
use bridge_api::{Digest, EntryKey};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::store::{Identity, ImportedLocation, IndexEntry, StoredEntry};

/// All entries without their content, in any order: in that of the keys, SQLite would look up row by row.
pub(super) const INDEX: &str = "SELECT entry_key, digest, reconciler_type, origin, \
     CAST(length(body) AS BIGINT) AS body_len, location_id, location_target, location_digest FROM entries";
/// Has a row while the store is being filled.
pub(super) const FILLING: &str = "SELECT mark FROM filling";
/// Remembers that it is being filled.
pub(super) const FILLING_UNDER_WAY: &str = "INSERT INTO filling (mark) VALUES (1) ON CONFLICT (mark) DO NOTHING";
/// Forgets that it is being filled.
pub(super) const FILLING_OVER: &str = "DELETE FROM filling";
/// Remembers where Backstage reads an entry, or forgets it.
pub(super) const SET_LOCATION: &str =
    "UPDATE entries SET location_id = $1, location_target = $2, location_digest = $3 WHERE entry_key = $4";

/// Columns in the types that they are read as; a trait, so that what a database must be able to decode is said once.
pub(super) trait Cells {
    fn text(&self, column: &str) -> sqlx::Result<String>;
    fn text_or_null(&self, column: &str) -> sqlx::Result<Option<String>>;
    fn bytes(&self, column: &str) -> sqlx::Result<Vec<u8>>;
    fn number(&self, column: &str) -> sqlx::Result<i64>;
}

impl<R> Cells for R
where
    R: Row,
    for<'c> &'c str: ColumnIndex<R>,
    for<'r> String: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn text(&self, column: &str) -> sqlx::Result<String> {
        self.try_get(column)
    }

    fn text_or_null(&self, column: &str) -> sqlx::Result<Option<String>> {
        self.try_get(column)
    }

    fn bytes(&self, column: &str) -> sqlx::Result<Vec<u8>> {
        self.try_get(column)
    }

    fn number(&self, column: &str) -> sqlx::Result<i64> {
        self.try_get(column)
    }
}

/// The row's key.
pub(super) fn key(row: &impl Cells) -> sqlx::Result<EntryKey> {
    parsed(row, "entry_key")
}

/// A row with the columns `digest`, `reconciler_type` and `origin`.
pub(super) fn identity(row: &impl Cells) -> sqlx::Result<Identity> {
    Ok(Identity {
        digest: Digest::from(row.text("digest")?),
        reconciler_type: parsed(row, "reconciler_type")?,
        origin: origin(row)?,
    })
}

fn index_entry(row: &impl Cells) -> sqlx::Result<IndexEntry> {
    let Identity { digest, reconciler_type, origin } = identity(row)?;
    Ok(IndexEntry {
        key: key(row)?,
        digest,
        reconciler_type,
        origin,
        body_len: usize::try_from(row.number("body_len")?).unwrap_or_default(),
        location: location(row)?,
    })
}

/// A row of [`INDEX`], unless it is no entry; it is then left out, and alone.
pub(super) fn listed(row: &impl Cells, database: &dyn std::fmt::Display) -> Option<IndexEntry> {
    index_entry(row)
        .inspect_err(|error| tracing::warn!("a row of {database} is no entry and is left out: {error}"))
        .ok()
}

/// A row with all columns.
pub(super) fn entry(row: &impl Cells) -> sqlx::Result<StoredEntry> {
    Ok(StoredEntry {
        body: row.bytes("body")?,
        reconciler_type: parsed(row, "reconciler_type")?,
        last_update: foreign_text(row, "last_update")?,
        model_card_key: foreign_text(row, "model_card_key")?,
        model_card: foreign_text(row, "model_card")?,
        origin: origin(row)?,
        location: location(row)?,
    })
}

/// The cell of an origin.
pub(super) fn origin_cell(origin: Option<&Origin>) -> sqlx::Result<Option<String>> {
    origin.map(serde_json::to_string).transpose().map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

fn location(row: &impl Cells) -> sqlx::Result<Option<ImportedLocation>> {
    let (id, target) = (row.text_or_null("location_id")?, row.text_or_null("location_target")?);
    let told = row.text_or_null("location_digest")?.map(Digest::from);
    Ok(id.zip(target).map(|(id, target)| ImportedLocation { id, target, told }))
}

/// An origin that cannot be read is none: the normalizer then says it again.
fn origin(row: &impl Cells) -> sqlx::Result<Option<Origin>> {
    Ok(row.text_or_null("origin")?.and_then(|text| serde_json::from_str(&text).ok()))
}

fn foreign_text(row: &impl Cells, column: &str) -> sqlx::Result<String> {
    String::from_utf8(row.bytes(column)?).map_err(|error| unreadable(column, error))
}

fn parsed<T: std::str::FromStr>(row: &impl Cells, column: &str) -> sqlx::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.text(column)?.parse().map_err(|error| unreadable(column, error))
}

fn unreadable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) }
}
