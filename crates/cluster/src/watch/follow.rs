//! Keeps one kind's cache true: list, watch, and after a failure again, with backoff. A failure is said once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::{StreamExt, future::join_all};
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    runtime::watcher::{self, Event, watcher},
};
use tokio::{sync::watch::Receiver, time::Instant};

use super::{
    WatchOptions,
    cache::{KindCache, ObjectKey, Objects, Part, Read},
    kinds::{Refused, Watched},
};
use crate::{
    presence::served_version,
    request::{RequestError, bounded},
};

/// What the watches of one kind share.
pub(super) struct Task<W: Watched> {
    pub(super) client: Client,
    pub(super) options: Arc<WatchOptions>,
    pub(super) cache: Arc<KindCache<W>>,
    /// The newest read that was asked for.
    pub(super) asked: Receiver<Read>,
}

/// Watches a kind everywhere or, where that is refused from the start, namespace by namespace. Never ends.
pub(super) async fn run<W: Watched>(task: Task<W>) {
    let refusal = Follower::new(&task, None).run().await;
    let namespaces = &task.options.namespaces;
    tracing::warn!(namespaces = %namespaces.join(", "), "{refusal}; watching these namespaces only");
    task.cache.split(namespaces);
    let parts = namespaces.iter().map(|namespace| {
        let mut follower = Follower::new(&task, Some(namespace.clone()));
        async move { follower.run().await }
    });
    join_all(parts).await;
}

/// What was last said in the log.
#[derive(PartialEq)]
enum Said {
    Nothing,
    Fine,
    Absent,
    Trouble(std::mem::Discriminant<RequestError>),
}

/// Why a watch is over.
enum Ended {
    /// A new list was asked for.
    Relist,
    /// As seen for this read, the kind is not installed.
    Absent(Read),
    Broken(RequestError),
}

/// The watch of one kind in one part of the cluster.
struct Follower<'a, W: Watched> {
    client: &'a Client,
    options: &'a WatchOptions,
    cache: &'a KindCache<W>,
    part: Part,
    version: &'static str,
    api: Api<W::Object>,
    asked: Receiver<Read>,
    backoff: ExponentialBackoff,
    said: Said,
}

/// Where a watch stands.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Listing,
    /// Listed, but it may break again at once.
    Fresh,
    Settled,
}

impl<'a, W: Watched> Follower<'a, W> {
    fn new(task: &'a Task<W>, part: Part) -> Self {
        let version = W::CUSTOM.and_then(|custom| custom.versions.first().copied()).unwrap_or("v1");
        Self {
            client: &task.client,
            options: &task.options,
            cache: &task.cache,
            api: W::api(&task.client, version, part.as_deref()),
            part,
            version,
            asked: task.asked.clone(),
            backoff: backoff(&task.options),
            said: Said::Nothing,
        }
    }

    /// Ends only when a cluster-wide list is refused before it ever succeeded; then with the refusal.
    async fn run(&mut self) -> RequestError {
        let may_narrow = self.part.is_none() && matches!(W::REFUSED, Refused::ByNamespace);
        loop {
            match self.attempt().await {
                Ended::Relist => {}
                Ended::Absent(read) => {
                    self.absent(read);
                    tokio::select! {
                        () = tokio::time::sleep(self.options.discovery_interval) => {}
                        () = next_request(&mut self.asked) => {}
                    }
                }
                Ended::Broken(error) => {
                    let refused = matches!(error, RequestError::Forbidden { .. });
                    if refused && may_narrow && !self.cache.is_listed(&self.part) {
                        return error;
                    }
                    self.failed(&error);
                    let pause = self.backoff.next().unwrap_or(self.options.max_backoff);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Ended {
        // What is asked for from here on, this attempt may be too early for.
        let read = *self.asked.borrow_and_update();
        match self.is_installed().await {
            Ok(true) => self.watch().await,
            Ok(false) => Ended::Absent(read),
            Err(error) => Ended::Broken(error),
        }
    }

    /// Whether the kind can be listed. It is absent when a list is not found or refused *and* discovery knows no such
    /// resource. Access is decided before existence, so a refusal says nothing against absence; any other failure does.
    async fn is_installed(&mut self) -> Result<bool, RequestError> {
        let discovered = match W::CUSTOM {
            // The best version may have come, or the used one gone, since the last time.
            Some(custom) if custom.versions.len() > 1 => {
                let version = served_version(self.client, &custom).await?;
                self.use_version(version.unwrap_or(self.version));
                Some(version)
            }
            _ => None,
        };
        let error = match self.probe().await {
            Ok(()) => return Ok(true),
            Err(error @ (RequestError::NotFound { .. } | RequestError::Forbidden { .. })) => error,
            Err(error) => return Err(error),
        };
        let served = match (discovered, W::CUSTOM) {
            (Some(version), _) => version,
            (None, Some(custom)) => served_version(self.client, &custom).await?,
            (None, None) => return Err(error),
        };
        if served.is_some() { Err(error) } else { Ok(false) }
    }

    fn use_version(&mut self, version: &'static str) {
        if self.version == version {
            return;
        }
        tracing::info!("{} are read as {version}", W::RESOURCE);
        self.version = version;
        self.api = W::api(self.client, version, self.part.as_deref());
    }

    /// One small list tells whether the real one would be permitted and found.
    async fn probe(&self) -> Result<(), RequestError> {
        let parameters = ListParams::default().limit(1);
        bounded(&self.what("list"), self.api.list(&parameters)).await.map(drop)
    }

    /// Lists and watches until a new list is asked for, or something breaks that resuming cannot mend.
    async fn watch(&mut self) -> Ended {
        let mut events = std::pin::pin!(watcher(self.api.clone(), watcher::Config::default()));
        let mut listed: Objects<W> = BTreeMap::new();
        let mut read: Read = 0;
        let mut phase = Phase::Listing;
        let mut interrupted: Option<Instant> = None;
        loop {
            let limit = match phase {
                Phase::Listing => self.options.list_timeout,
                Phase::Fresh => self.options.settle,
                Phase::Settled => Duration::MAX,
            };
            let next = tokio::select! {
                next = tokio::time::timeout(limit, events.next()) => next,
                // A list that is under way is finished first; what it shows may be all there is.
                () = next_request(&mut self.asked), if phase != Phase::Listing => return Ended::Relist,
            };
            let Ok(event) = next else {
                if phase == Phase::Listing {
                    return self.broken("list", format!("no answer within {} s", limit.as_secs()));
                }
                phase = Phase::Settled;
                self.settled();
                continue;
            };
            match event {
                Some(Ok(Event::Init)) => {
                    // The list is requested after this, so it serves whatever was asked for until now.
                    read = *self.asked.borrow_and_update();
                    listed.clear();
                    phase = Phase::Listing;
                }
                Some(Ok(Event::InitApply(object))) => {
                    let key = key(&object);
                    listed.extend(W::keep(object).map(|kept| (key, Arc::new(kept))));
                }
                Some(Ok(Event::InitDone)) => {
                    phase = Phase::Fresh;
                    self.complete(std::mem::take(&mut listed), read);
                }
                Some(Ok(Event::Apply(object))) => {
                    self.cache.apply(&self.part, key(&object), W::keep(object));
                    (phase, interrupted) = (Phase::Settled, None);
                    self.settled();
                }
                Some(Ok(Event::Delete(object))) => {
                    self.cache.apply(&self.part, key(&object), None);
                    (phase, interrupted) = (Phase::Settled, None);
                    self.settled();
                }
                // The watcher resumes by itself. A watch that breaks again before it showed anything is blind.
                Some(Err(error)) if resumable(&error) && !interrupted.is_some_and(|at| self.is_recent(at)) => {
                    tracing::debug!(resource = W::RESOURCE, "watch interrupted, resuming: {error}");
                    interrupted = Some(Instant::now());
                    if phase == Phase::Settled {
                        phase = Phase::Fresh;
                    }
                }
                Some(Err(error)) => return Ended::Broken(self.watch_error(&error)),
                None => return self.broken("watch", "the watch ended".to_owned()),
            }
        }
    }

    fn is_recent(&self, interruption: Instant) -> bool {
        interruption.elapsed() < self.options.list_timeout
    }

    fn watch_error(&self, error: &watcher::Error) -> RequestError {
        match error {
            watcher::Error::InitialListFailed(error) => RequestError::new(&self.what("list"), error),
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                RequestError::new(&self.what("watch"), error)
            }
            other => RequestError::unreadable(&self.what("watch"), &crate::request::chain(other)),
        }
    }

    fn broken(&self, verb: &str, reason: String) -> Ended {
        Ended::Broken(RequestError::Failed { what: self.what(verb), reason })
    }

    fn what(&self, verb: &str) -> String {
        match &self.part {
            Some(namespace) => format!("{verb} {} in namespace {namespace}", W::RESOURCE),
            None => format!("{verb} {} in all namespaces", W::RESOURCE),
        }
    }

    fn complete(&mut self, listed: Objects<W>, read: Read) {
        if !matches!(self.said, Said::Fine | Said::Trouble(_)) {
            tracing::info!(count = listed.len(), "can {}", self.what("watch"));
            self.said = Said::Fine;
        }
        self.cache.replace(&self.part, listed, read);
    }

    fn settled(&mut self) {
        self.backoff = backoff(self.options);
        if self.said != Said::Fine {
            tracing::info!("can {} again", self.what("watch"));
            self.said = Said::Fine;
        }
    }

    fn absent(&mut self, read: Read) {
        self.backoff = backoff(self.options);
        self.cache.absent(&self.part, read);
        if self.said != Said::Absent {
            tracing::info!("{} is not installed in this cluster; looking for it from time to time", W::RESOURCE);
            self.said = Said::Absent;
        }
    }

    fn failed(&mut self, error: &RequestError) {
        self.cache.failed(&self.part, error);
        let trouble = Said::Trouble(std::mem::discriminant(error));
        if self.said == trouble {
            tracing::debug!("{error}");
            return;
        }
        match (W::REFUSED, error) {
            (Refused::DoWithout(consequence), RequestError::Forbidden { .. }) => {
                tracing::info!("{error}; until then, {consequence}");
            }
            _ => tracing::warn!("{error}; what was known stays as it is, trying again"),
        }
        self.said = trouble;
    }
}

/// Returns when one more read is asked for.
async fn next_request(asked: &mut Receiver<Read>) {
    if asked.changed().await.is_err() {
        // Nobody is left to ask.
        std::future::pending::<()>().await;
    }
}

/// The stream broke off or the resource version expired: both are everyday, and the watcher knows what to do.
fn resumable(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        // After an event that cannot be read, only a list brings the truth back.
        watcher::Error::WatchFailed(error) => !matches!(error, kube::Error::SerdeError(_)),
        _ => false,
    }
}

fn key<K: ResourceExt>(object: &K) -> ObjectKey {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn backoff(options: &WatchOptions) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(options.min_backoff)
        .with_max_delay(options.max_backoff)
        .with_jitter()
        .without_max_times()
        .build()
}
