//! Changes that come at the same time: they share a transaction, and each is made or is not, whatever becomes of the others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is set up wrongly should stop at once")]

use std::str::FromStr as _;

use futures::future::join_all;
use model_registry::database::{Database, Place};
use model_registry::model::{Draft, Fields, Id, Kind, Patch, Properties, Property, Record, Value};
use model_registry::store::{Actor, Expected, Offered, PageQuery, Query, Rank, Store, StoreError, Upserted};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use testkit::mariadb::MariaDbServer;
use testkit::postgres::PostgresServer;

/// An empty registry.
struct Registry {
    store: Store,
    database: Database,
    _directory: TempDir,
}

impl Registry {
    async fn at(place: Option<Place>) -> Self {
        let directory = TempDir::new().unwrap();
        let place = place.unwrap_or_else(|| Place::Sqlite(directory.path().join("registry.sqlite")));
        let database = Database::at(&place);
        database.migrate().await.unwrap();
        Self { store: Store::new(database.clone()), database, _directory: directory }
    }

    /// One in each kind of database that is there.
    async fn all() -> Vec<Self> {
        let postgres = PostgresServer::shared()
            .map(|server| Place::Postgres(Box::new(PgConnectOptions::from_str(&server.database().url()).unwrap())));
        let mariadb = MariaDbServer::shared()
            .map(|server| Place::MySql(Box::new(MySqlConnectOptions::from_str(&server.database()).unwrap())));
        let mut all = vec![Self::at(None).await];
        for place in [postgres, mariadb].into_iter().flatten() {
            all.push(Self::at(Some(place)).await);
        }
        all
    }

    async fn create(&self, kind: Kind, name: &str, parent: Option<Id>) -> Result<Record, StoreError> {
        let properties = Properties::from([(format!("of {name}"), Property::Bool(true))]);
        let draft = Draft { name: Some(name.to_owned()), parent, properties, ..Draft::new(kind) };
        self.store.create(draft, &Actor::default()).await
    }

    async fn offer(&self, version: Id, id: Option<Id>, external_id: Option<&str>) -> Result<Record, StoreError> {
        let external_id = external_id.map(str::to_owned);
        let draft = Draft { external_id: external_id.clone(), ..Draft::new(Kind::ModelArtifact) };
        let offered = Offered { id, draft, patch: Patch { external_id, ..Patch::default() } };
        let (record, upserted) = self.store.offer((Kind::ModelVersion, version), offered, &Actor::default()).await?;
        assert_eq!(upserted == Upserted::Updated, id.is_some());
        Ok(record)
    }

    async fn update(&self, version: Id, patch: Patch, expected: Expected, rank: Rank) -> Result<Record, StoreError> {
        self.store.update(&[Kind::ModelVersion], version, patch, expected, &Actor { name: None, rank }).await
    }

    /// The names of those of a kind that belong, or are linked, to that one.
    async fn names(&self, kind: Kind, of: Id) -> Vec<String> {
        let query = Query {
            kinds: vec![kind],
            of: Some(of),
            name: None,
            external_id: None,
            filter: None,
            page: PageQuery::default(),
        };
        self.store.list(&query).await.unwrap().items.into_iter().map(|record| record.name).collect()
    }

    async fn run(&self, sql: &str) {
        let mut transaction = self.database.begin().await.unwrap();
        transaction.execute(transaction.statement(sql)).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

/// What came of a change, in a word.
fn outcome(result: &Result<Record, StoreError>) -> &'static str {
    match result {
        Ok(_) => "made",
        Err(StoreError::NotFound { .. }) => "not found",
        Err(StoreError::Conflict(_)) => "conflict",
        Err(StoreError::Invalid(_)) => "invalid",
        Err(StoreError::Forbidden(_)) => "forbidden",
        Err(StoreError::Outdated { .. }) => "outdated",
        Err(StoreError::Unavailable(_)) => "unavailable",
        Err(StoreError::Database(_)) => "failed",
    }
}

fn state(state: &str) -> Patch {
    Patch { fields: Fields::from([("state", Value::Text(state.to_owned()))]), ..Patch::default() }
}

#[tokio::test]
async fn of_changes_in_one_transaction_each_is_refused_alone_and_leaves_nothing() {
    for registry in Registry::all().await {
        let dialect = registry.database.dialect();
        let model = registry.create(Kind::RegisteredModel, "granite", None).await.unwrap().id;
        let first = registry.create(Kind::ModelVersion, "first", Some(model)).await.unwrap().id;
        let second = registry.create(Kind::ModelVersion, "second", Some(model)).await.unwrap().id;
        registry.offer(first, None, Some("taken")).await.unwrap();
        let weights = registry.offer(first, None, None).await.unwrap();
        let (seen, transactions) = (registry.store.last_change().await.unwrap(), registry.store.own_changes());
        let before = *transactions.borrow();

        let version = |name, parent| registry.create(Kind::ModelVersion, name, Some(parent));
        let changes: Vec<futures::future::BoxFuture<'_, _>> = vec![
            Box::pin(version("third", model)),
            Box::pin(version("first", model)),
            Box::pin(version("nowhere", Id::kept(999))),
            Box::pin(version("twice", model)),
            Box::pin(version("twice", model)),
            Box::pin(registry.create(Kind::ModelVersion, "", Some(model))),
            Box::pin(registry.update(first, Patch::default(), Expected::AsOf(1), Rank::Admin)),
            Box::pin(registry.update(first, state("ARCHIVED"), Expected::Any, Rank::Editor)),
            // It is not linked then, either.
            Box::pin(registry.offer(second, Some(weights.id), Some("taken"))),
            Box::pin(registry.offer(second, None, Some("taken"))),
            Box::pin(registry.update(second, state("ARCHIVED"), Expected::Any, Rank::Admin)),
            Box::pin(version("last", model)),
        ];
        let results = join_all(changes).await;
        assert_eq!(
            results.iter().map(outcome).collect::<Vec<_>>(),
            [
                "made",
                "conflict",
                "not found",
                "made",
                "conflict",
                "invalid",
                "outdated",
                "forbidden",
                "conflict",
                "conflict",
                "made",
                "made"
            ],
            "{dialect:?}: {results:?}"
        );
        assert_eq!(*transactions.borrow(), before + 1, "{dialect:?}: they share a transaction");
        assert_eq!(registry.names(Kind::ModelVersion, model).await, ["first", "second", "third", "twice", "last"]);
        assert_eq!(registry.names(Kind::ModelArtifact, second).await, [""; 0]);
        let made: Vec<_> = results.iter().flatten().map(|record| record.id).collect();
        let noted = registry.store.changes(seen, 100).await.unwrap();
        assert_eq!(noted.iter().map(|change| change.id).collect::<Vec<_>>(), made, "{dialect:?}: in their order");
        assert!(noted.is_sorted_by(|one, next| one.seq < next.seq), "{dialect:?}: {noted:?}");
        for record in results.iter().flatten() {
            assert_eq!(&registry.store.get(&[record.kind], record.id).await.unwrap(), record);
        }
        // Offered once more without what was taken, it is linked.
        registry.offer(second, Some(weights.id), None).await.unwrap();
        assert_eq!(registry.names(Kind::ModelArtifact, second).await, [weights.name]);
    }
}

/// The one that fails has written something by then, which is told from what the others have written.
#[tokio::test]
async fn a_change_that_fails_in_its_middle_takes_no_other_with_it() {
    let registry = Registry::at(None).await;
    registry
        .run(
            "CREATE TRIGGER full BEFORE INSERT ON property WHEN NEW.name LIKE 'of broken%' \
             BEGIN SELECT RAISE(ABORT, 'there is no room'); END",
        )
        .await;
    let (seen, transactions) = (registry.store.last_change().await.unwrap(), registry.store.own_changes());
    let before = *transactions.borrow();
    let names = ["one", "broken", "two", "one", "broken too", "three"];
    let results = join_all(names.map(|name| registry.create(Kind::RegisteredModel, name, None))).await;
    assert_eq!(
        results.iter().map(outcome).collect::<Vec<_>>(),
        ["made", "failed", "made", "conflict", "failed", "made"],
        "{results:?}"
    );
    assert_eq!(*transactions.borrow(), before + 1);
    let noted = registry.store.changes(seen, 100).await.unwrap();
    assert!(noted.iter().all(|change| change.action == "created"), "{noted:?}");
    let made: Vec<_> = results.iter().flatten().map(|record| record.id).collect();
    assert_eq!(noted.iter().map(|change| change.id).collect::<Vec<_>>(), made);

    // Alone, too.
    assert_eq!(outcome(&registry.create(Kind::RegisteredModel, "broken", None).await), "failed");
    registry.run("DROP TRIGGER full").await;
    assert_eq!(outcome(&registry.create(Kind::RegisteredModel, "broken", None).await), "made");
}

/// SQLite ends a transaction by itself when its disk is full, and a driver that does not know begins no other.
#[tokio::test]
async fn a_database_that_took_everything_back_is_written_to_again() {
    let registry = Registry::at(None).await;
    registry
        .run(
            "CREATE TRIGGER full BEFORE INSERT ON property WHEN NEW.name = 'of broken' \
             BEGIN SELECT RAISE(ROLLBACK, 'there is no room'); END",
        )
        .await;
    let create = |name| registry.create(Kind::RegisteredModel, name, None);
    assert_eq!(outcome(&create("broken").await), "failed");
    assert_eq!(outcome(&create("alone").await), "made");
    let results = join_all(["one", "broken", "two"].map(create)).await;
    assert!(results.iter().all(Result::is_err), "{results:?}");
    let results = join_all(["one", "two"].map(create)).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let noted = registry.store.changes(0, 100).await.unwrap();
    let made: Vec<_> = noted.iter().map(|change| change.detail.as_str()).collect();
    assert_eq!(made, [r#"{"name":"alone"}"#, r#"{"name":"one"}"#, r#"{"name":"two"}"#]);
}
