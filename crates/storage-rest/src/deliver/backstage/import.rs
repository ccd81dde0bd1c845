//! One pass: what Backstage has is read, and made what it should be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use backstage_client::{BackstageError, Created, Location, location_entity_ref};
use bridge_api::{Digest, EntryKey};
use futures::{StreamExt, stream};
use http::StatusCode;
use service::telemetry::{Cause, TARGET};
use tracing::Instrument as _;

use super::memory::{Kept, Placed};
use super::plan::{Absence, Found, Step, Wanted};
use super::{ImportError, Importing, Pass};
use crate::metrics::{Delivery, Target};
use crate::store::{ImportedLocation, IndexEntry};

/// After so many failures in a row that are not one entry's own the rest of a pass would only fail, too.
const HOPELESS: usize = 16;

/// What came of the steps of a pass.
#[derive(Default)]
struct Taken {
    placed: Vec<Placed>,
    failed: Vec<ImportError>,
    /// Steps that were not tried any more.
    left: usize,
}

/// By which changes there is something to tell, by the target of the location that is told of.
type Causes = BTreeMap<String, (EntryKey, Cause)>;

/// Says when a pass is given up.
#[derive(Default)]
struct Hope {
    lost: AtomicBool,
    failures: AtomicUsize,
}

impl Hope {
    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    fn note<T>(&self, result: &Result<T, ImportError>) {
        match result {
            Ok(_) => self.failures.store(0, Ordering::Relaxed),
            Err(error) if error.concerns_one() => {}
            Err(error) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                if failures >= HOPELESS || error.concerns_all() {
                    self.lost.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

impl ImportError {
    /// Whether every other request would fail for the same reason.
    fn concerns_all(&self) -> bool {
        matches!(self, Self::LocationType { .. } | Self::Backstage(BackstageError::Unauthorized { .. }))
    }

    /// Whether Backstage is well and refuses just this, however often it is asked.
    fn concerns_one(&self) -> bool {
        match self {
            Self::Backstage(error) => {
                !error.is_retryable()
                    && error.status().is_some_and(|status| status.is_client_error())
                    && !self.concerns_all()
            }
            Self::Hidden { .. } => true,
            Self::LocationType { .. } | Self::Store(_) | Self::Incomplete { .. } => false,
        }
    }

    fn outcome(&self) -> Option<Delivery> {
        match self {
            Self::Backstage(error) if error.is_retryable() => Some(Delivery::Failed),
            Self::Backstage(_) | Self::LocationType { .. } => Some(Delivery::Rejected),
            Self::Hidden { .. } => Some(Delivery::Failed),
            Self::Store(_) | Self::Incomplete { .. } => None,
        }
    }
}

impl Importing {
    pub(super) async fn import(&mut self) -> Result<Pass, ImportError> {
        // Looked up before what location holds: of each of these changes it holds the outcome then.
        let causes = self.causes();
        // Only a store and a location that were really read say what there is, and what there is not.
        let Some(held) = self.given.held.confirmed() else { return Ok(Pass::TooEarly) };
        self.memory.retain(&held);
        // The index is read last: what another process registers meanwhile is in it, or not among the locations yet.
        let listed = self.given.client.locations().await;
        let absence = if self.given.settled.is_settled() { Absence::Proven } else { Absence::Unproven };
        let index = self.given.store.index().await?;
        let locations = match listed {
            Ok(locations) => locations,
            Err(error) => {
                self.given.metrics.undelivered(Target::Backstage, self.unannounced(&index, &held));
                return Err(self.counted(error.into()));
            }
        };
        let found = Found { index: &index, held: &held, remembered: self.memory.known(), locations };
        let steps = self.registered.plan(found, absence);
        let taken = self.take_all(steps, &causes).await;
        self.given.metrics.undelivered(Target::Backstage, taken.failed.len() + taken.left);
        for placed in taken.placed {
            self.memory.remember(placed);
        }
        let saved = self.memory.save_when_due(&*self.given.store).await;
        verdict(taken.failed)?;
        // Whatever was not asked of Backstage in this pass it has already.
        for (key, cause) in causes.values() {
            self.given.untold.told(key, cause);
        }
        saved?;
        Ok(Pass::Complete)
    }

    fn causes(&self) -> Causes {
        let causes = self.given.untold.all().into_iter();
        causes.map(|(key, cause)| (self.registered.target(&key), (key, cause))).collect()
    }

    /// When the service stops.
    pub(super) async fn save_the_rest(&mut self) {
        if let Err(error) = self.memory.save(&*self.given.store).await {
            tracing::debug!(%error, "what Backstage was told is not kept; it is told again after the next start");
        }
    }

    /// How many entries Backstage, as far as anyone knows, was not told of as they are.
    fn unannounced(&self, index: &[IndexEntry], held: &BTreeMap<EntryKey, Digest>) -> usize {
        let told = |entry: &IndexEntry| {
            let known = self.memory.known().get(&entry.key).or(entry.location.as_ref());
            known.and_then(|location| location.told.clone())
        };
        let wanted = index.iter().filter(|entry| held.contains_key(&entry.key));
        wanted.filter(|entry| told(entry).as_ref() != Some(&entry.digest)).count()
    }

    async fn take_all(&self, steps: Vec<Step>, causes: &Causes) -> Taken {
        let (all, hope) = (steps.len(), Hope::default());
        let mut results = stream::iter(steps)
            .map(|step| async {
                if hope.is_lost() {
                    return None;
                }
                let result = self.take_traced(step, causes).await;
                hope.note(&result);
                Some(result)
            })
            .buffer_unordered(self.given.pace.concurrency);
        let (mut taken, mut tried) = (Taken::default(), 0);
        while let Some(result) = results.next().await {
            tried += usize::from(result.is_some());
            match result {
                Some(Ok(placed)) => taken.placed.extend(placed),
                Some(Err(error)) => taken.failed.push(self.counted(error)),
                None => {}
            }
        }
        taken.left = all - tried;
        taken
    }

    fn counted(&self, error: ImportError) -> ImportError {
        tracing::debug!(%error, "a request to Backstage failed");
        if let Some(outcome) = error.outcome() {
            self.given.metrics.delivered(Target::Backstage, outcome);
        }
        error
    }

    /// Does one step, in the trace of the change that it is for.
    async fn take_traced(&self, step: Step, causes: &Causes) -> Result<Option<Placed>, ImportError> {
        let Some((key, cause)) = causes.get(step.target()) else { return self.take(step).await };
        let span = cause.leads_to(|| tracing::info_span!(target: TARGET, parent: None, "tell Backstage", %key));
        let result = self.take(step).instrument(span).await;
        if result.is_ok() {
            self.given.untold.told(key, cause);
        }
        result
    }

    /// Does one step.
    async fn take(&self, step: Step) -> Result<Option<Placed>, ImportError> {
        match step {
            Step::Create(wanted) => self.create(wanted).await.map(Some),
            Step::Adopt(wanted, id) => self.adopt(wanted, id).await.map(Some),
            Step::Delete(location) => self.delete(&location).await.map(|()| None),
        }
    }

    async fn create(&self, wanted: Wanted) -> Result<Placed, ImportError> {
        let kind = &self.registered.kind;
        match self.given.client.create_location(kind, &wanted.target).await {
            Ok(Created::Created { id }) => {
                self.given.metrics.delivered(Target::Backstage, Delivery::Upserted);
                tracing::info!(key = %wanted.key, target = wanted.target, "registered a location in Backstage");
                if wanted.former.is_some() {
                    return self.replace(wanted, id).await;
                }
                let told = Some(wanted.held.clone());
                Ok(self.settle(wanted, id, told).await)
            }
            // Registered since the list was read, by someone else or by a request of ours whose answer was lost.
            Ok(Created::AlreadyExists) => {
                let found = self.given.client.location_of(kind, &wanted.target).await?;
                let Some(location) = found else { return Err(ImportError::Hidden { target: wanted.target }) };
                self.adopt(wanted, location.id).await
            }
            Err(source) if refuses_type(&source) => Err(ImportError::LocationType { kind: kind.clone(), source }),
            Err(error) => Err(error.into()),
        }
    }

    async fn adopt(&self, wanted: Wanted, id: String) -> Result<Placed, ImportError> {
        if wanted.former.is_some() {
            return self.replace(wanted, id).await;
        }
        if !wanted.is_news(&id) {
            let told = wanted.told(&id).cloned();
            return Ok(self.settle(wanted, id, told).await);
        }
        self.refresh(&wanted).await?;
        let told = Some(wanted.held.clone());
        Ok(self.settle(wanted, id, told).await)
    }

    /// The location of an entry before the bridge had another URL or type gives way to that of now. It goes only when its
    /// successor is there, and is forgotten only when it is gone. Backstage lets no location emit what another does
    /// already, so the successor is read again then.
    async fn replace(&self, wanted: Wanted, id: String) -> Result<Placed, ImportError> {
        if let Some(former) = &wanted.former {
            self.delete(former).await?;
        }
        self.refresh(&wanted).await?;
        let told = Some(wanted.held.clone());
        Ok(self.settle(wanted, id, told).await)
    }

    async fn refresh(&self, wanted: &Wanted) -> Result<(), ImportError> {
        let entity_ref = location_entity_ref(&self.registered.kind, &wanted.target);
        match self.given.client.refresh(&entity_ref).await {
            Ok(()) => {
                self.given.metrics.delivered(Target::Backstage, Delivery::Refreshed);
                tracing::debug!(key = %wanted.key, "told Backstage to read an entry again");
                Ok(())
            }
            // The location has no entity yet: there is nothing that Backstage has read, and it is about to.
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                self.given.metrics.delivered(Target::Backstage, Delivery::Rejected);
                tracing::debug!(key = %wanted.key, %error, "Backstage has nothing to read again");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a new id at once: after a crash it would be adopted all the same, and read again for nothing.
    async fn settle(&self, wanted: Wanted, id: String, told: Option<Digest>) -> Placed {
        let location = ImportedLocation { id, target: wanted.target, told };
        let mut kept = Kept::of(&location, wanted.stored.as_ref());
        if kept == Kept::No {
            match self.given.store.set_location(&wanted.key, Some(location.clone())).await {
                Ok(()) => kept = Kept::Yes,
                Err(error) => tracing::debug!(key = %wanted.key, %error, "the id of a location is not kept yet"),
            }
        }
        Placed { key: wanted.key, location, kept }
    }

    async fn delete(&self, location: &Location) -> Result<(), ImportError> {
        self.given.client.delete_location(&location.id).await?;
        self.given.metrics.delivered(Target::Backstage, Delivery::Removed);
        tracing::info!(target = location.target, kind = location.kind, "removed a location from Backstage");
        Ok(())
    }
}

/// A 400 is about the type only where Backstage says so ("Registered locations must be of type 'url'", or "of an allowed
/// type"); else it is about the target.
fn refuses_type(error: &BackstageError) -> bool {
    let BackstageError::Status { status: StatusCode::BAD_REQUEST, message, .. } = error else { return false };
    message.contains("must be of") && message.contains("type")
}

/// What concerns all is said before what concerns one.
fn verdict(mut failed: Vec<ImportError>) -> Result<(), ImportError> {
    if let Some(index) = failed.iter().position(ImportError::concerns_all) {
        return Err(failed.swap_remove(index));
    }
    let count = failed.len();
    match failed.pop() {
        None => Ok(()),
        Some(last) if count == 1 => Err(last),
        Some(last) => Err(ImportError::Incomplete { count, last: Box::new(last) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden() -> ImportError {
        ImportError::Hidden { target: "http://bridge/a/1/catalog-info.yaml".to_owned() }
    }

    fn refused() -> ImportError {
        let (request, message) = ("GET /locations".to_owned(), String::new());
        BackstageError::Unauthorized { request, status: StatusCode::UNAUTHORIZED, message }.into()
    }

    fn answered(status: StatusCode, message: &str) -> BackstageError {
        BackstageError::Status { request: "POST /locations".to_owned(), status, message: message.to_owned() }
    }

    fn unwell() -> ImportError {
        answered(StatusCode::SERVICE_UNAVAILABLE, "").into()
    }

    #[test]
    fn what_is_refused_one_by_one_ends_no_pass() {
        let hope = Hope::default();
        for _ in 0..HOPELESS * 2 {
            hope.note::<()>(&Err(hidden()));
            hope.note::<()>(&Err(answered(StatusCode::BAD_REQUEST, "no such type of target").into()));
        }
        assert!(!hope.is_lost());
    }

    #[test]
    fn only_a_400_that_names_the_type_is_about_the_type() {
        for message in ["Registered locations must be of type 'url'", "Registered locations must be of an allowed type"]
        {
            assert!(refuses_type(&answered(StatusCode::BAD_REQUEST, message)), "{message}");
        }
        assert!(!refuses_type(&answered(StatusCode::BAD_REQUEST, "Unable to read the target")));
        assert!(!refuses_type(&answered(StatusCode::CONFLICT, "must be of type 'url'")));
    }

    #[test]
    fn a_pass_goes_on_while_some_requests_succeed() {
        let hope = Hope::default();
        for _ in 0..HOPELESS * 2 {
            hope.note::<()>(&Err(unwell()));
            hope.note(&Ok(()));
        }
        assert!(!hope.is_lost());
        for _ in 0..HOPELESS {
            hope.note::<()>(&Err(unwell()));
        }
        assert!(hope.is_lost());
    }

    #[test]
    fn a_refused_token_ends_a_pass_at_once_and_is_what_is_said() {
        let hope = Hope::default();
        hope.note::<()>(&Err(refused()));
        assert!(hope.is_lost());
        let error = verdict(vec![hidden(), refused(), hidden()]).unwrap_err();
        assert!(error.to_string().contains("RHDH_TOKEN"), "{error}");
        let error = verdict(vec![hidden(), hidden()]).unwrap_err();
        assert!(error.to_string().contains("2 of the requests"), "{error}");
        verdict(Vec::new()).unwrap();
    }

    #[test]
    fn a_refused_type_is_an_error_that_names_its_setting() {
        let (request, message) = ("POST /locations".to_owned(), "of type 'url'".to_owned());
        let source = BackstageError::Status { request, status: StatusCode::BAD_REQUEST, message };
        let error = ImportError::LocationType { kind: "file".to_owned(), source };
        assert!(error.concerns_all());
        let text = error.to_string();
        assert!(text.contains("`file`") && text.contains("BKSTG_LOCATION_TYPE"), "{text}");
    }
}
