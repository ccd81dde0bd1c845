//! Keeps one kind's cache true: list, watch, and after a failure again, with backoff. A failure is said once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::{StreamExt, future::join_all};
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    runtime::watcher::{self, Event, watcher},
};

use tokio::time::Instant;

use super::{
    WatchOptions,
    cache::{KindCache, ObjectKey, Objects, Part},
    kinds::Watched,
};
use crate::{
    presence::{Presence, presence},
    request::{RequestError, bounded},
};

/// Watches a kind everywhere or, where that is refused from the start, namespace by namespace. Never ends.
pub(super) async fn run<W: Watched>(client: Client, options: Arc<WatchOptions>, cache: Arc<KindCache<W>>) {
    let refusal = Follower::<W>::new(&client, &options, &cache, None).run().await;
    tracing::warn!(namespaces = %options.namespaces.join(", "), "{refusal}; watching these namespaces only");
    cache.split(&options.namespaces);
    let parts = options.namespaces.iter().map(|namespace| {
        let mut follower = Follower::<W>::new(&client, &options, &cache, Some(namespace.clone()));
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

/// The watch of one kind in one part of the cluster.
struct Follower<'a, W: Watched> {
    client: &'a Client,
    options: &'a WatchOptions,
    cache: &'a KindCache<W>,
    part: Part,
    api: Api<W::Object>,
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
    fn new(client: &'a Client, options: &'a WatchOptions, cache: &'a KindCache<W>, part: Part) -> Self {
        let api = W::api(client, part.as_deref());
        Self { client, options, cache, part, api, backoff: backoff(options), said: Said::Nothing }
    }

    /// Ends only when a cluster-wide list is refused before anything was known; then with the refusal.
    async fn run(&mut self) -> RequestError {
        loop {
            let error = match self.probe().await {
                Ok(()) => self.watch().await,
                Err(error) => match self.confirm_absence(&error).await {
                    Ok(true) => {
                        self.absent();
                        tokio::time::sleep(self.options.discovery_interval).await;
                        continue;
                    }
                    Ok(false) => error,
                    Err(discovery) => discovery,
                },
            };
            let refused = matches!(error, RequestError::Forbidden { .. });
            if refused && self.part.is_none() && !self.cache.is_known(&self.part) {
                return error;
            }
            self.failed(&error);
            let pause = self.backoff.next().unwrap_or(self.options.max_backoff);
            tokio::time::sleep(pause).await;
        }
    }

    /// One small list tells whether the real one would be permitted and found.
    async fn probe(&self) -> Result<(), RequestError> {
        let parameters = ListParams::default().limit(1);
        bounded(&self.what("list"), self.api.list(&parameters)).await.map(drop)
    }

    /// The list was not found or refused, and discovery knows no such resource. Access is decided before existence, so
    /// a refusal says nothing against absence; any other failure does.
    async fn confirm_absence(&self, error: &RequestError) -> Result<bool, RequestError> {
        let consistent = matches!(error, RequestError::NotFound { .. } | RequestError::Forbidden { .. });
        match W::CUSTOM {
            Some(custom) if consistent => Ok(matches!(presence(self.client, &custom).await?, Presence::Missing)),
            _ => Ok(false),
        }
    }

    /// Lists and watches until something breaks that resuming cannot mend.
    async fn watch(&mut self) -> RequestError {
        let mut events = std::pin::pin!(watcher(self.api.clone(), watcher::Config::default()));
        let mut listed: Objects<W> = BTreeMap::new();
        let mut phase = Phase::Listing;
        let mut interrupted: Option<Instant> = None;
        loop {
            let limit = match phase {
                Phase::Listing => self.options.list_timeout,
                Phase::Fresh => self.options.settle,
                Phase::Settled => Duration::MAX,
            };
            let Ok(event) = tokio::time::timeout(limit, events.next()).await else {
                if phase == Phase::Listing {
                    return self.broken("list", format!("no answer within {} s", limit.as_secs()));
                }
                phase = Phase::Settled;
                self.settled();
                continue;
            };
            match event {
                Some(Ok(Event::Init)) => {
                    listed.clear();
                    phase = Phase::Listing;
                }
                Some(Ok(Event::InitApply(object))) => {
                    let key = key(&object);
                    listed.extend(W::keep(object).map(|kept| (key, Arc::new(kept))));
                }
                Some(Ok(Event::InitDone)) => {
                    phase = Phase::Fresh;
                    self.complete(std::mem::take(&mut listed));
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
                Some(Err(error)) => return self.watch_error(&error),
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
            other => self.broken("watch", crate::request::chain(other)),
        }
    }

    fn broken(&self, verb: &str, reason: String) -> RequestError {
        RequestError::Failed { what: self.what(verb), reason }
    }

    fn what(&self, verb: &str) -> String {
        match &self.part {
            Some(namespace) => format!("{verb} {} in namespace {namespace}", W::RESOURCE),
            None => format!("{verb} {} in all namespaces", W::RESOURCE),
        }
    }

    fn complete(&mut self, listed: Objects<W>) {
        if !matches!(self.said, Said::Fine | Said::Trouble(_)) {
            tracing::info!(count = listed.len(), "can {}", self.what("watch"));
            self.said = Said::Fine;
        }
        self.cache.replace(&self.part, listed);
    }

    fn settled(&mut self) {
        self.backoff = backoff(self.options);
        if self.said != Said::Fine {
            tracing::info!("can {} again", self.what("watch"));
            self.said = Said::Fine;
        }
    }

    fn absent(&mut self) {
        self.backoff = backoff(self.options);
        self.cache.absent(&self.part);
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
        } else {
            tracing::warn!("{error}; what was known stays as it is, trying again");
            self.said = trouble;
        }
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
