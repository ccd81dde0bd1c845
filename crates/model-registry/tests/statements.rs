//! How many statements the database is asked, which is what a registry costs it whatever the machine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is set up wrongly should stop at once")]

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures::future::join_all;
use http::Request;
use http_body_util::BodyExt as _;
use model_registry::database::{Database, Place};
use model_registry::feed;
use model_registry::filter::Filter;
use model_registry::model::{Draft, Fields, Id, Kind, Properties, Property};
use model_registry::store::{Actor, OrderBy, PageQuery, Query, Store};
use service::Shutdown;
use tempfile::TempDir;
use testkit::eventually;
use tokio::sync::Mutex;
use tower::ServiceExt as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

static STATEMENTS: AtomicUsize = AtomicUsize::new(0);
/// Tests count one after the other.
static COUNTING: Mutex<()> = Mutex::const_new(());

/// Counts the statements that the driver says it has run.
struct Count;

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut connects = Connects(false);
        event.record(&mut connects);
        if event.metadata().target() == "sqlx::query" && !connects.0 {
            STATEMENTS.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Whether a statement is of a connection that is set up, of which there may be more or fewer.
struct Connects(bool);

impl Visit for Connects {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 |= field.name() == "summary" && format!("{value:?}").trim_matches('"').starts_with("PRAGMA");
    }
}

fn count_from_now_on() {
    // Whoever comes second finds it there.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Count));
    STATEMENTS.store(0, Ordering::SeqCst);
}

fn counted() -> usize {
    STATEMENTS.load(Ordering::SeqCst)
}

async fn registry(directory: &TempDir) -> Store {
    let database = Database::at(&Place::Sqlite(directory.path().join("registry.sqlite")));
    database.migrate().await.unwrap();
    Store::new(database)
}

async fn create(store: &Store, kind: Kind, name: &str, parent: Option<Id>) -> Id {
    let draft = Draft {
        kind,
        name: Some(name.to_owned()),
        parent,
        external_id: None,
        description: None,
        fields: Fields::new(),
        properties: Properties::from([("stage".to_owned(), Property::String("Production".to_owned()))]),
    };
    store.create(draft, &Actor::default()).await.unwrap().id
}

#[tokio::test]
async fn a_list_takes_as_many_statements_whatever_its_length() {
    let _alone = COUNTING.lock().await;
    let directory = TempDir::new().unwrap();
    let store = registry(&directory).await;
    let model = create(&store, Kind::RegisteredModel, "granite", None).await;
    let mut made = 0;
    for versions in [1, 10, 300] {
        while made < versions {
            made += 1;
            create(&store, Kind::ModelVersion, &format!("v{made}"), Some(model)).await;
        }
        for (filter, of, order_by, statements) in [
            (None, None, OrderBy::Id, 2),
            (None, Some(model), OrderBy::LastUpdateTime, 2),
            (Some("stage = 'Production'"), None, OrderBy::Id, 2),
            (Some("stage = 'Production'"), None, OrderBy::CreateTime, 3),
            (Some("stage = 'Production'"), Some(model), OrderBy::Id, 3),
            (Some("stage = 'Production' AND stage IN ('a', 'Production')"), None, OrderBy::Id, 3),
            (Some("stage LIKE 'Prod%' OR name = 'v1'"), None, OrderBy::CreateTime, 2),
        ] {
            let query = Query {
                kinds: vec![Kind::ModelVersion],
                of,
                name: None,
                external_id: None,
                filter: filter.map(|text| Filter::parse(text, &[Kind::ModelVersion]).unwrap()),
                page: PageQuery { size: Some(200), order_by, ..PageQuery::default() },
            };
            count_from_now_on();
            let page = store.list(&query).await.unwrap();
            assert_eq!(counted(), statements, "{filter:?} of {of:?} by {order_by:?}");
            assert_eq!(page.items.len(), versions.min(200));
            assert!(page.items.iter().all(|item| item.properties.contains_key("stage")));
        }
    }
}

#[tokio::test]
async fn what_is_made_takes_as_many_statements_whatever_it_holds() {
    let _alone = COUNTING.lock().await;
    let directory = TempDir::new().unwrap();
    let store = registry(&directory).await;
    let model = create(&store, Kind::RegisteredModel, "granite", None).await;
    for properties in [0, 1, 300] {
        let draft = |name: String| Draft {
            name: Some(name),
            parent: Some(model),
            properties: (0..properties).map(|n| (format!("p{n}"), Property::Bool(true))).collect(),
            ..Draft::new(Kind::ModelVersion)
        };
        count_from_now_on();
        store.create(draft(format!("{properties}")), &Actor::default()).await.unwrap();
        // Two give out a number for the change; a look for the model, the resource itself, and all the rest at once.
        assert_eq!(counted(), 2 + 3, "{properties} properties");
        count_from_now_on();
        let actor = Actor::default();
        let ten = (0..10).map(|n| store.create(draft(format!("{properties}-{n}")), &actor));
        assert!(join_all(ten).await.iter().all(Result::is_ok));
        assert_eq!(counted(), 2 + 10 * 3, "ten at the same time, of {properties} properties");
    }
}

/// However many wait for changes, one looks for them.
#[tokio::test]
async fn those_who_wait_for_changes_share_a_look() {
    const WAITING: usize = 50;
    let _alone = COUNTING.lock().await;
    let directory = TempDir::new().unwrap();
    let store = registry(&directory).await;
    create(&store, Kind::RegisteredModel, "granite", None).await;
    let since = store.last_change().await.unwrap();
    count_from_now_on();
    create(&store, Kind::RegisteredModel, "alone", None).await;
    let of_a_change = counted();
    let since = store.changes(since, 10).await.unwrap().last().unwrap().seq;

    let shutdown = Shutdown::new();
    let (routes, _) = feed::router(&store, shutdown.clone()).split_for_parts();
    let path = format!("/api/model_registry/v1/changes?since={since}&wait=25");
    let waiting = (0..WAITING).map(|_| routes.clone().oneshot(Request::get(&path).body(Body::empty()).unwrap()));
    count_from_now_on();
    let watched = async {
        // What was made before the first look, all who wait would read for themselves.
        eventually(Duration::from_secs(30), "the first look", async || counted() > 0).await;
        create(&store, Kind::RegisteredModel, "watched", None).await
    };
    let (answers, watched) = tokio::join!(join_all(waiting), watched);
    for answer in answers {
        let body = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["items"][0]["id"], watched.to_string(), "{body}");
    }
    let looks = counted() - of_a_change;
    assert!(looks < WAITING / 2, "{looks} looks for {WAITING} who waited");
    shutdown.trigger();
}
