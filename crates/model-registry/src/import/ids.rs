//! Which id a resource of another registry gets here.

use std::collections::{HashMap, HashSet};

use crate::model::{Id, Table};

/// The greatest id that there can be, of nine digits.
const GREATEST: i64 = 999_999_999;

/// What became of a resource of another registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was taken in, with this id.
    Taken(Id),
    /// It can't be taken in.
    LeftOut,
}

/// What became of the resources that were met, by their kinds' tables and their ids there. Ids there are unique in each table,
/// and not necessarily over all of them, as they are here.
#[derive(Debug)]
pub(super) struct Ids {
    met: HashMap<(Table, Id), Fate>,
    taken: HashSet<Id>,
    greatest: i64,
    keeps: bool,
}

impl Ids {
    /// For a registry whose greatest id is that one; 0 if it is empty.
    pub(super) fn above(greatest: i64) -> Self {
        Self { met: HashMap::new(), taken: HashSet::new(), greatest, keeps: greatest == 0 }
    }

    /// What became of what has this id there, if it was met.
    pub(super) fn of(&self, table: Table, there: Id) -> Option<Fate> {
        self.met.get(&(table, there)).copied()
    }

    /// An id for what has this one there: the same, if nothing else has it. `None` if there are no more.
    pub(super) fn next(&self, there: Id) -> Option<Id> {
        if self.keeps && !self.taken.contains(&there) {
            return Some(there);
        }
        (self.greatest < GREATEST).then(|| Id::kept(self.greatest + 1))
    }

    /// Notes what became of a resource.
    pub(super) fn note(&mut self, table: Table, there: Id, fate: Fate) {
        self.met.insert((table, there), fate);
        if let Fate::Taken(here) = fate {
            self.taken.insert(here);
            self.greatest = self.greatest.max(here.get());
        }
    }

    /// All of a table that were taken in, in the order of their ids there: the id there, and the one here.
    pub(super) fn all(&self, table: Table) -> Vec<(Id, Id)> {
        let taken = |((of, there), fate): (&(Table, Id), &Fate)| match fate {
            Fate::Taken(here) if *of == table => Some((*there, *here)),
            _ => None,
        };
        let mut all: Vec<_> = self.met.iter().filter_map(taken).collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: i64) -> Id {
        Id::kept(id)
    }

    #[test]
    fn an_id_is_kept_unless_another_resource_has_it() {
        let mut ids = Ids::above(0);
        for (table, there, here) in [
            (Table::RegisteredModel, 1, 1),
            (Table::ModelVersion, 5, 5),
            (Table::Artifact, 1, 6),
            (Table::Artifact, 6, 7),
            (Table::Artifact, 9, 9),
        ] {
            assert_eq!(ids.next(id(there)), Some(id(here)), "{table:?} {there}");
            ids.note(table, id(there), Fate::Taken(id(here)));
        }
        assert_eq!(ids.of(Table::Artifact, id(1)), Some(Fate::Taken(id(6))));
        assert_eq!(ids.of(Table::RegisteredModel, id(5)), None);
        assert_eq!(ids.all(Table::Artifact), [(id(1), id(6)), (id(6), id(7)), (id(9), id(9))]);
    }

    #[test]
    fn beside_others_everything_gets_a_new_id() {
        let mut ids = Ids::above(10);
        assert_eq!(ids.next(id(500)), Some(id(11)));
        ids.note(Table::RegisteredModel, id(500), Fate::Taken(id(11)));
        assert_eq!(ids.next(id(12)), Some(id(12)));
        ids.note(Table::Experiment, id(12), Fate::LeftOut);
        assert_eq!(ids.of(Table::Experiment, id(12)), Some(Fate::LeftOut));
        assert_eq!(Ids::above(GREATEST).next(id(1)), None);
    }
}
