//! Fills a registry past its API, whole sets at a time: a million versions one by one would take the afternoon.

use model_registry::database::{Database, Dialect, Type};

/// How many versions a model has.
pub(crate) const VERSIONS: usize = 10;
/// How many versions are written in a transaction.
const AT_ONCE: usize = 50_000;
const BEGAN: i64 = 1_700_000_000_000;

/// Versions that were filled in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filled {
    /// The first id of each part's models and of its versions.
    parts: Vec<(usize, usize)>,
    starts: Vec<usize>,
    pub(crate) versions: usize,
}

impl Filled {
    /// The id of the version of that number.
    pub(crate) fn version(&self, number: usize) -> usize {
        let part = self.part(number);
        self.parts[part].1 + number - self.starts[part]
    }

    /// The id of its model.
    pub(crate) fn model(&self, number: usize) -> usize {
        let part = self.part(number);
        self.parts[part].0 + (number - self.starts[part]) / VERSIONS
    }

    fn part(&self, number: usize) -> usize {
        self.starts.partition_point(|start| *start <= number) - 1
    }

    /// Goes on until there are so many.
    pub(crate) async fn fill(&mut self, database: &Database, versions: usize) {
        while self.versions < versions {
            let count = (versions - self.versions).min(AT_ONCE);
            let last = "SELECT MAX(id) FROM resource";
            let rows = database.fetch(database.statement(last), &[Type::Integer]).await.unwrap();
            let first = usize::try_from(rows[0].integer(0).unwrap()).unwrap() + 1;
            let part = Part { dialect: database.dialect(), start: self.versions, count, models: first };
            let mut transaction = database.begin().await.unwrap();
            for sql in part.statements() {
                transaction.execute(transaction.statement(&sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
            transaction.commit().await.unwrap();
            self.starts.push(self.versions);
            self.parts.push((part.models, part.first_version()));
            self.versions += count;
        }
    }
}

/// Some versions and their models.
struct Part {
    dialect: Dialect,
    start: usize,
    count: usize,
    /// The id of the first model.
    models: usize,
}

impl Part {
    fn first_version(&self) -> usize {
        self.models + self.count / VERSIONS
    }

    /// Rows of the numbers `n` of versions or models, with their places `i` from 0 on.
    fn numbers(&self, first: usize, count: usize) -> String {
        let last = count - 1;
        match self.dialect {
            Dialect::Sqlite => format!(
                "(WITH RECURSIVE s (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < {last}) SELECT i, i + {first} AS n FROM s) s"
            ),
            Dialect::Postgres => format!("(SELECT i, i + {first} AS n FROM generate_series(0, {last}) AS g (i)) s"),
            Dialect::MySql => format!("(SELECT seq AS i, seq + {first} AS n FROM seq_0_to_{last}) s"),
        }
    }

    fn statements(&self) -> Vec<String> {
        let (models, versions) = (self.models, self.first_version());
        let of_models = self.numbers(self.start / VERSIONS, self.count / VERSIONS);
        let of_versions = self.numbers(self.start, self.count);
        let columns = "id, kind, scope, parent_id, name, description, created, updated";
        let property = |name: &str, form: &str, text: &str, number: &str| {
            format!(
                "INSERT INTO property (resource_id, kind, name, form, text, key_text, number) \
                 SELECT {versions} + i, 'ModelVersion', '{name}', '{form}', {text}, {text}, {number} FROM {of_versions}"
            )
        };
        let mut statements = vec![
            format!(
                "INSERT INTO resource ({columns}) SELECT {models} + i, 'RegisteredModel', 'context', 0, \
                 CONCAT('granite-', n), CONCAT('The model number ', n, '.'), {BEGAN} + n, {BEGAN} + n FROM {of_models}"
            ),
            format!(
                "INSERT INTO registered_model (id, owner, state) SELECT {models} + i, 'team', 'LIVE' FROM {of_models}"
            ),
            // What was changed last is not what was made last.
            format!(
                "INSERT INTO resource ({columns}) SELECT {versions} + i, 'ModelVersion', 'context', \
                 {models} + (i - i % {VERSIONS}) / {VERSIONS}, CONCAT('v', n % {VERSIONS} + 1), \
                 'Trained again on newer tickets.', {BEGAN} + n, {BEGAN} + n + n % 997 * 1000000 FROM {of_versions}"
            ),
            format!(
                "INSERT INTO model_version (id, author, state) SELECT {versions} + i, 'somebody', 'LIVE' FROM {of_versions}"
            ),
            property("license", "string", "'apache-2.0'", "NULL"),
            property(
                "stage",
                "string",
                "CASE WHEN n % 4 = 0 THEN 'Production' WHEN n % 20 = 1 THEN 'Canary' ELSE 'None' END",
                "NULL",
            ),
            property("ticket", "string", "CONCAT('T-', n % 10000)", "NULL"),
            property("accuracy", "double", "NULL", "n % 1000 / 1000.0"),
        ];
        if self.dialect == Dialect::Postgres {
            statements.push(
                "SELECT setval(pg_get_serial_sequence('resource', 'id'), (SELECT MAX(id) FROM resource))".to_owned(),
            );
        }
        statements
    }
}
