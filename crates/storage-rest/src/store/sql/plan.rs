//! What is to be written of a group of upserts: at most one row a key, and none that is there already.

use std::collections::{BTreeMap, HashMap};

use bridge_api::EntryKey;

use crate::store::{Identity, Outcome, StoredEntry};

/// An entry to keep.
pub(super) type Upsert = (EntryKey, StoredEntry);

/// What is stored of some keys; `None` where it can't be read, which an upsert mends.
pub(super) type Stored = HashMap<EntryKey, Option<Identity>>;

/// What a group comes to.
pub(super) struct Plan<'a> {
    /// One for each upsert.
    pub(super) outcomes: Vec<Outcome>,
    /// Sorted by key: processes that write the same keys at once do so in the same order.
    pub(super) rows: Vec<NewRow<'a>>,
}

/// A row to write.
pub(super) struct NewRow<'a> {
    pub(super) key: &'a EntryKey,
    pub(super) entry: &'a StoredEntry,
    /// What it will be compared by; its origin may be that of the stored row.
    pub(super) identity: Identity,
}

/// Compares a group with what is stored, in the order in which it came.
pub(super) fn plan(upserts: &[Upsert], mut stored: Stored) -> Plan<'_> {
    let mut outcomes = Vec::with_capacity(upserts.len());
    let mut rows = BTreeMap::new();
    for (key, entry) in upserts {
        let known = stored.get(key);
        let before = known.and_then(Option::as_ref);
        let origin = entry.origin.as_ref().or(before.and_then(|before| before.origin.as_ref())).cloned();
        let identity = Identity { origin, ..entry.identity() };
        if before == Some(&identity) {
            outcomes.push(Outcome::Unchanged);
            continue;
        }
        outcomes.push(if known.is_some() { Outcome::Updated } else { Outcome::Created });
        stored.insert(key.clone(), Some(identity.clone()));
        rows.insert(key, NewRow { key, entry, identity });
    }
    Plan { outcomes, rows: rows.into_values().collect() }
}

#[cfg(test)]
mod tests {
    use bridge_api::ReconcilerType::Kubeflow;
    use bridge_api::{PostBody, messages::Origin};

    use super::*;

    fn upsert(key: &str, body: &str) -> Upsert {
        let post = PostBody { body: body.into(), ..PostBody::default() };
        (key.parse().unwrap(), StoredEntry::new(Kubeflow, post))
    }

    fn stored(upserts: &[Upsert]) -> Stored {
        upserts.iter().map(|(key, entry)| (key.clone(), Some(entry.identity()))).collect()
    }

    fn written(plan: &Plan<'_>) -> Vec<(String, Vec<u8>)> {
        plan.rows.iter().map(|row| (row.key.to_string(), row.entry.body.clone())).collect()
    }

    #[test]
    fn of_several_upserts_of_a_key_the_last_is_written_and_rows_are_sorted() {
        let group = [upsert("b_1", "1"), upsert("a_1", "1"), upsert("b_1", "2"), upsert("b_1", "2")];
        let plan = plan(&group, Stored::new());
        assert_eq!(plan.outcomes, [Outcome::Created, Outcome::Created, Outcome::Updated, Outcome::Unchanged]);
        assert_eq!(written(&plan), [("a_1".to_owned(), b"1".to_vec()), ("b_1".to_owned(), b"2".to_vec())]);
    }

    #[test]
    fn what_is_stored_is_not_written_and_what_can_t_be_read_is_mended() {
        let group = [upsert("a_1", "1"), upsert("b_1", "1")];
        let unchanged = plan(&group, stored(&group));
        assert!(unchanged.rows.is_empty());
        let broken = plan(&group[..1], Stored::from([(group[0].0.clone(), None)]));
        assert_eq!((broken.outcomes.as_slice(), broken.rows.len()), ([Outcome::Updated].as_slice(), 1));
    }

    #[test]
    fn an_origin_that_is_not_said_again_is_kept() {
        let origin = Origin {
            source: "registry".to_owned(),
            parent: "1".to_owned(),
            child: "2".to_owned(),
            first: "granite".to_owned(),
            second: "v1".to_owned(),
            served_by: None,
        };
        let (key, entry) = upsert("a_1", "1");
        let known = [(key, StoredEntry { origin: Some(origin.clone()), ..entry })];
        let silent = [upsert("a_1", "1")];
        assert_eq!(plan(&silent, stored(&known)).outcomes, [Outcome::Unchanged]);
        let other = [upsert("a_1", "2")];
        assert_eq!(plan(&other, stored(&known)).rows[0].identity.origin, Some(origin));
    }
}
