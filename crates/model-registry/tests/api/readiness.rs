//! Whether the registry is ready while its database comes and goes.

use std::time::Duration;

use testkit::postgres::PostgresServer;
use testkit::wait::eventually;

use crate::registry::Registry;

const SOON: Duration = Duration::from_mins(1);

#[tokio::test]
async fn readiness_follows_the_database() {
    let Some(server) = PostgresServer::start() else { return };
    let (database, postgres) = (server.database(), ["--embedmd-database-type", "postgres", "--embedmd-database-dsn"]);
    let registry = Registry::start(&[&postgres[..], &[&database.url()]].concat()).await;
    let probe = "/readyz/health";
    assert_eq!(registry.get(probe).await.status, 200);
    server.stop();
    let refused = async || Some(registry.get(probe).await).filter(|answer| answer.status == 503);
    let answer = eventually(SOON, "a registry without its database is not ready", refused).await;
    let message = answer.error(503, "Service Unavailable");
    assert!(message.starts_with("the database does not answer"), "{message}");
    server.restart();
    let ready = async || registry.get(probe).await.status == 200;
    eventually(SOON, "a registry whose database is back is ready", ready).await;
    registry.model("after").await;
}
