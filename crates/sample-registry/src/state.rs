//! What the registry holds: a table per kind of record, with the indexes that make pages cheap, and the clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::{catalog::Catalog, paging::Dialect};

/// Where the logical clock starts: milliseconds since the epoch, a fixed day so that samples are the same on each run.
const CLOCK_START: i64 = 1_750_000_000_000;

/// The kinds of record that the registry keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A registered model.
    RegisteredModel,
    /// A version of a registered model.
    ModelVersion,
    /// An artifact of a version.
    ModelArtifact,
    /// The registry's own record of an inference service.
    InferenceService,
    /// A serving environment: a namespace, by convention.
    ServingEnvironment,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::RegisteredModel,
        Self::ModelVersion,
        Self::ModelArtifact,
        Self::InferenceService,
        Self::ServingEnvironment,
    ];

    /// The field that names the parent, where the API has one.
    pub(crate) const fn parent_field(self) -> Option<&'static str> {
        match self {
            Self::ModelVersion => Some("registeredModelId"),
            Self::InferenceService => Some("servingEnvironmentId"),
            Self::RegisteredModel | Self::ModelArtifact | Self::ServingEnvironment => None,
        }
    }

    /// Kinds that share a sequence of ids, as they share a table in the real server.
    const fn sequence(self) -> usize {
        match self {
            Self::RegisteredModel | Self::ModelVersion | Self::ServingEnvironment => 0,
            Self::ModelArtifact => 1,
            Self::InferenceService => 2,
        }
    }
}

/// One record. The body is served verbatim, so that tests can plant malformed ones.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) create_time: i64,
    pub(crate) update_time: i64,
    pub(crate) body: Value,
}

/// The records of one kind, with an index for each order in which they can be listed.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: BTreeMap<u64, Row>,
    pub(crate) by_id: BTreeSet<(i64, u64)>,
    pub(crate) by_create_time: BTreeSet<(i64, u64)>,
    pub(crate) by_update_time: BTreeSet<(i64, u64)>,
    pub(crate) children: HashMap<u64, BTreeSet<u64>>,
}

impl Table {
    fn insert(&mut self, id: u64, parent: Option<u64>, row: Row) {
        self.by_id.insert((signed(id), id));
        self.by_create_time.insert((row.create_time, id));
        self.by_update_time.insert((row.update_time, id));
        if let Some(parent) = parent {
            self.children.entry(parent).or_default().insert(id);
        }
        self.rows.insert(id, row);
    }
}

/// The whole registry and its catalog.
#[derive(Debug)]
pub(crate) struct RegistryState {
    tables: [Table; 5],
    last_ids: [u64; 3],
    reserved: BTreeSet<(usize, u64)>,
    pub(crate) clock: i64,
    pub(crate) clock_step: i64,
    pub(crate) dialect: Dialect,
    pub(crate) token: Option<String>,
    pub(crate) catalog: Catalog,
}

impl Default for RegistryState {
    fn default() -> Self {
        Self {
            tables: Default::default(),
            last_ids: [0; 3],
            reserved: BTreeSet::new(),
            clock: CLOCK_START,
            clock_step: 1,
            dialect: Dialect::default(),
            token: None,
            catalog: Catalog::default(),
        }
    }
}

impl RegistryState {
    pub(crate) const fn table(&self, kind: Kind) -> &Table {
        &self.tables[kind as usize]
    }

    /// The time of the next edit.
    fn tick(&mut self) -> i64 {
        self.clock += self.clock_step;
        self.clock
    }

    /// Keeps an id out of the automatic assignment. False when it is taken.
    pub(crate) fn reserve(&mut self, kind: Kind, id: u64) -> bool {
        let taken = Kind::ALL
            .into_iter()
            .filter(|other| other.sequence() == kind.sequence())
            .any(|other| self.table(other).rows.contains_key(&id));
        !taken && self.reserved.insert((kind.sequence(), id))
    }

    fn next_id(&mut self, kind: Kind) -> u64 {
        let sequence = kind.sequence();
        loop {
            self.last_ids[sequence] += 1;
            let id = self.last_ids[sequence];
            if !self.reserved.contains(&(sequence, id)) {
                return id;
            }
        }
    }

    /// Stores a new record, giving it an id (unless one was reserved for it) and its times.
    pub(crate) fn create(
        &mut self,
        kind: Kind,
        reserved_id: Option<u64>,
        parent: Option<u64>,
        mut fields: Map<String, Value>,
    ) -> u64 {
        let id = reserved_id.unwrap_or_else(|| self.next_id(kind));
        let now = self.tick();
        let time_of = |fields: &Map<String, Value>, name: &str| match fields.get(name) {
            Some(Value::String(text)) => text.parse().ok(),
            Some(Value::Number(number)) => number.as_i64(),
            _ => None,
        };
        let create_time = time_of(&fields, "createTimeSinceEpoch").unwrap_or(now);
        let update_time = time_of(&fields, "lastUpdateTimeSinceEpoch").unwrap_or(create_time);
        fields.insert("id".into(), id.to_string().into());
        fields.insert("createTimeSinceEpoch".into(), create_time.to_string().into());
        fields.insert("lastUpdateTimeSinceEpoch".into(), update_time.to_string().into());
        fields.entry("customProperties").or_insert_with(|| Value::Object(Map::new()));
        let row = Row { create_time, update_time, body: fields.into() };
        self.tables[kind as usize].insert(id, parent, row);
        id
    }

    /// Stores a body as it is, whatever it holds.
    pub(crate) fn create_verbatim(&mut self, kind: Kind, parent: Option<u64>, body: Value) -> u64 {
        let id = self.next_id(kind);
        let now = self.tick();
        let row = Row { create_time: now, update_time: now, body };
        self.tables[kind as usize].insert(id, parent, row);
        id
    }

    /// Edits a record's fields; its update time moves forward even where the clock stands still. False when there is
    /// no such record.
    pub(crate) fn update(&mut self, kind: Kind, id: u64, edit: impl FnOnce(&mut Map<String, Value>)) -> bool {
        if !self.table(kind).rows.contains_key(&id) {
            return false;
        }
        let now = self.tick();
        let table = &mut self.tables[kind as usize];
        let Some(row) = table.rows.get_mut(&id) else {
            return false;
        };
        table.by_update_time.remove(&(row.update_time, id));
        row.update_time = now.max(row.update_time + 1);
        table.by_update_time.insert((row.update_time, id));
        if let Value::Object(fields) = &mut row.body {
            edit(fields);
            fields.insert("lastUpdateTimeSinceEpoch".into(), row.update_time.to_string().into());
        }
        true
    }
}

/// Ids stay far below the range of the sort key.
pub(crate) fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
