//! The body of an open watch: one JSON line per event, bookmarks in between, until it times out or is dropped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::read::Form;
use super::request::Query;
use super::server::{Interrupted, Shared};
use super::store::Message;

const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";
/// A real server ends a watch after 30 to 60 minutes when the client names no time.
const LONGEST: Duration = Duration::from_mins(30);

/// An open watch on its way to the client.
pub(crate) struct WatchBody {
    shared: Arc<Shared>,
    id: u64,
    receiver: UnboundedReceiver<Message>,
    form: Form,
    kind: String,
    wants_bookmarks: bool,
    ticks: Interval,
    deadline: Instant,
    failed: bool,
}

enum Step {
    Line(Value),
    Skip,
    End,
}

impl WatchBody {
    pub(crate) fn new(
        shared: Arc<Shared>,
        (id, receiver): (u64, UnboundedReceiver<Message>),
        form: Form,
        kind: String,
        query: &Query,
    ) -> Self {
        let period = shared.bookmark_interval;
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let lifetime = query
            .get("timeoutSeconds")
            .and_then(|seconds| seconds.parse().ok())
            .filter(|seconds| *seconds > 0)
            .map_or(LONGEST, Duration::from_secs);
        Self {
            shared,
            id,
            receiver,
            form,
            kind,
            wants_bookmarks: query.flag("allowWatchBookmarks"),
            ticks,
            deadline: Instant::now() + lifetime,
            failed: false,
        }
    }

    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Frame<Bytes>, Interrupted>> + Send {
        futures::stream::unfold(self, |mut watch| async move {
            let line = watch.next_line().await?;
            Some((Ok(Frame::data(Bytes::from(format!("{line}\n")))), watch))
        })
    }

    async fn next_line(&mut self) -> Option<Value> {
        while !self.failed {
            let step = tokio::select! {
                () = sleep_until(self.deadline) => Step::End,
                message = self.receiver.recv() => self.step(message),
                _ = self.ticks.tick(), if self.wants_bookmarks => {
                    self.shared.state().bookmark(self.id);
                    Step::Skip
                }
            };
            match step {
                Step::Skip => {}
                Step::End => return None,
                Step::Line(line) => {
                    self.shared.running().await;
                    return Some(line);
                }
            }
        }
        None
    }

    fn step(&mut self, message: Option<Message>) -> Step {
        let bookmark = |revision, annotations: Option<&Value>| {
            let object = self.form.bookmark(&self.kind, revision, annotations);
            Step::Line(json!({"type": "BOOKMARK", "object": object}))
        };
        match message {
            None => Step::End,
            Some(Message::Event(kind, object)) => Step::Line(json!({"type": kind, "object": self.form.write(&object)})),
            Some(Message::Bookmark(revision)) => bookmark(revision, None),
            Some(Message::InitialEventsEnd(revision)) if self.wants_bookmarks => {
                bookmark(revision, Some(&json!({INITIAL_EVENTS_END: "true"})))
            }
            Some(Message::InitialEventsEnd(_)) => Step::Skip,
            Some(Message::Error(status)) => {
                self.failed = true;
                Step::Line(json!({"type": "ERROR", "object": status}))
            }
        }
    }
}
