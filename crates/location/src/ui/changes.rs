//! `GET /ui/changes`: tells open pages that entries have changed, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use futures::stream::unfold;
use http::HeaderName;
use service::{ApiError, Shutdown};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Ui;

/// So many pages are told at a time; the others ask now and then.
const MAX_WATCHERS: usize = 64;
/// Changes that come together are told together.
const SETTLE: Duration = Duration::from_millis(300);
/// Who watches for longer has to come again, and to show again that it may.
const LONGEST: Duration = Duration::from_mins(10);

/// Room for those who watch.
#[derive(Debug, Clone)]
pub(super) struct Watchers(Arc<Semaphore>);

impl Default for Watchers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_WATCHERS)))
    }
}

pub(super) async fn changes(State(ui): State<Ui>) -> Response {
    let Ok(place) = ui.watchers.0.clone().try_acquire_owned() else {
        return ApiError::unavailable("too many pages watch already: this one looks by itself now and then")
            .into_response();
    };
    let (changes, ends) = (ui.catalog.changes(), Instant::now() + LONGEST);
    let watch = Watch { changes, told: None, ends, shutdown: ui.shutdown, _place: place };
    let events = Sse::new(watch.events()).keep_alive(KeepAlive::default());
    // Proxies that collect answers before they pass them on would keep the events until the end.
    ([(HeaderName::from_static("x-accel-buffering"), "no")], events).into_response()
}

struct Watch {
    changes: watch::Receiver<u64>,
    told: Option<u64>,
    ends: Instant,
    shutdown: Shutdown,
    _place: OwnedSemaphorePermit,
}

impl Watch {
    /// The number of the snapshot: at once, and with each change.
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(self, async |mut watch| {
            let generation = watch.next().await?;
            Some((Ok(Event::default().event("generation").data(generation.to_string())), watch))
        })
    }

    async fn next(&mut self) -> Option<u64> {
        let (changes, told, ends) = (&mut self.changes, self.told, self.ends);
        let changed = async {
            if told.is_some() {
                changes.changed().await.ok()?;
                sleep(SETTLE).await;
            }
            Some(*changes.borrow_and_update())
        };
        let next = async {
            tokio::select! {
                generation = changed => generation,
                () = sleep_until(ends) => None,
            }
        };
        self.told = self.shutdown.unless(next).await?;
        self.told
    }
}
