//! Reads an object, or a range of it, to its end, however often the stream breaks.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt as _;
use tokio::time::{sleep, timeout};

use super::engine::Engine;
use super::space::amount;
use super::write::Writer;
use crate::checksum::Checksum;
use crate::failure::{Failure, Kind};
use crate::source::{Content, Object};

/// A stream that brings nothing for so long is taken to be broken.
const STALLED: Duration = Duration::from_mins(1);

/// Why the bytes of a file, or of a range of it, are not there.
#[derive(Debug)]
pub(super) enum Stop {
    /// For good.
    Failed(Failure),
    /// What came cannot be gone on with.
    Broken(Failure),
    /// What came is not what was listed, or not one version of it.
    Changed(Failure),
    /// The checksum is another one; with the CRC-32C of what came.
    Mismatch(Failure, u32),
    /// The source answers to ranges with everything.
    NoRanges,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Range(Range<u64>),
}

/// What all answers of one file have to agree upon: what the list said, then what the first answer says.
#[derive(Debug)]
pub(super) struct Agreed(Mutex<Terms>);

#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    pub(super) size: Option<u64>,
    pub(super) version: Option<String>,
    pub(super) checksum: Option<Checksum>,
    pub(super) content_type: Option<String>,
}

impl Agreed {
    pub(super) fn of(object: &Object) -> Self {
        Self(Mutex::new(Terms {
            size: object.size,
            version: object.version.clone(),
            checksum: object.checksum.clone(),
            content_type: None,
        }))
    }

    pub(super) fn terms(&self) -> Terms {
        self.lock().clone()
    }

    /// Takes what the source says of the whole file, where nothing else does.
    pub(super) fn learn(&self, checksum: Checksum) {
        self.lock().checksum.get_or_insert(checksum);
    }

    fn lock(&self) -> MutexGuard<'_, Terms> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an answer, if it agrees.
    fn agree(&self, content: &Content) -> Result<(), Stop> {
        let mut terms = self.lock();
        let changed = |what: String| Err(Stop::Changed(Failure::new(Kind::Integrity, what, CHANGED)));
        match (terms.size, content.size) {
            (Some(said), Some(now)) if said != now => {
                return changed(format!("it has {now} bytes, and had {said} before"));
            }
            (None, now) => terms.size = now,
            _ => {}
        }
        match (&terms.version, &content.version) {
            (Some(said), Some(now)) if said != now => {
                return changed(format!("it is of version {now:?}, and was of {said:?} before"));
            }
            (None, now) => terms.version.clone_from(now),
            _ => {}
        }
        if terms.checksum.is_none() {
            terms.checksum.clone_from(&content.checksum);
        }
        if terms.content_type.is_none() {
            terms.content_type.clone_from(&content.content_type);
        }
        Ok(())
    }
}

const CHANGED: &str = "try again when nobody changes it, or see to the server or the proxy in front of it";

/// Waits longer each time, until bytes come.
struct Patience {
    attempts: u32,
    left: u32,
    waits: backon::ExponentialBackoff,
}

impl Patience {
    fn new(attempts: u32) -> Self {
        Self { attempts, left: attempts, waits: waits().build() }
    }

    fn renew(&mut self) {
        *self = Self::new(self.attempts);
    }

    async fn wait(&mut self, failure: Failure) -> Result<(), Stop> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Err(Stop::Failed(failure));
        }
        sleep(self.waits.next().unwrap_or_default()).await;
        Ok(())
    }
}

/// How long to wait between attempts.
pub(super) fn waits() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(20))
        .with_factor(3.0)
        .with_max_delay(Duration::from_secs(10))
        .without_max_times()
        .with_jitter()
}

impl Engine<'_> {
    /// Reads `part` into `writer`.
    pub(super) async fn read(
        &self,
        object: &Object,
        part: Part,
        agreed: &Agreed,
        writer: &mut Writer,
    ) -> Result<(), Stop> {
        let mut patience = Patience::new(self.limits.attempts);
        let begin = writer.position();
        loop {
            let before = writer.position();
            let Some(failure) = self.read_once(object, &part, agreed, writer).await? else { return Ok(()) };
            tracing::debug!(object = %object.locator, position = writer.position(), %failure, "a stream broke");
            if writer.position() > before {
                patience.renew();
            }
            if writer.position() > begin && !self.can_go_on(agreed) {
                return Err(Stop::Broken(failure));
            }
            patience.wait(failure).await?;
        }
    }

    /// One request, from where the last one ended: how it broke, or that it did not.
    async fn read_once(
        &self,
        object: &Object,
        part: &Part,
        agreed: &Agreed,
        writer: &mut Writer,
    ) -> Result<Option<Failure>, Stop> {
        let _turn = self.requests.acquire().await;
        let begin = writer.position();
        let asked = match part {
            Part::Range(range) => Some(begin..range.end),
            Part::Whole => agreed.terms().size.filter(|_| begin > 0).map(|end| begin..end),
        };
        // The source has tried as often as it may help.
        let content = self.source.read(object, asked.clone()).await?;
        let size = agreed.terms().size;
        agreed.agree(&content)?;
        self.progress.expect(0, content.size.filter(|_| size.is_none()).unwrap_or(0));
        if asked.is_some() && !content.is_range {
            return Err(match part {
                Part::Range(_) => Stop::NoRanges,
                Part::Whole => Stop::Broken(ended_early(begin, agreed.terms().size)),
            });
        }
        self.note_type(object, agreed).await?;
        let terms = agreed.terms();
        if *part == Part::Whole && begin == 0 {
            writer.hash_with(hasher_of(&terms));
        }
        let end = match part {
            Part::Range(range) => Some(range.end),
            Part::Whole => terms.size,
        };
        self.pump(object, content, end, writer).await
    }

    /// Takes what comes.
    async fn pump(
        &self,
        object: &Object,
        content: Content,
        end: Option<u64>,
        writer: &mut Writer,
    ) -> Result<Option<Failure>, Stop> {
        let mut stream = content.bytes;
        loop {
            let is_whole = end.is_some_and(|end| writer.position() == end);
            let bytes = match timeout(STALLED, stream.next()).await {
                Ok(Some(Ok(bytes))) => bytes,
                // What comes after the last byte is of no interest, if it is not bytes.
                Ok(Some(Err(_))) | Err(_) if is_whole => return Ok(None),
                Ok(Some(Err(failure))) if failure.is_transient || failure.kind == Kind::Unavailable => {
                    return Ok(Some(failure));
                }
                Ok(Some(Err(failure))) => return Err(Stop::Failed(failure)),
                Ok(None) if is_whole || end.is_none() => return Ok(None),
                Ok(None) => return Ok(Some(ended_early(writer.position(), end))),
                Err(_) => return Ok(Some(stalled(writer.position()))),
            };
            let position = writer.position() + bytes.len() as u64;
            if end.is_some_and(|end| position > end) {
                let what = format!("more bytes came than the {} that it was said to have", end.unwrap_or(0));
                return Err(Stop::Changed(Failure::new(Kind::Integrity, what, CHANGED)));
            }
            self.progress.received(bytes.len() as u64);
            self.check_total(object, position)?;
            writer.push(bytes).await?;
        }
    }

    /// Whether a later request can be held to be of the same object.
    fn can_go_on(&self, agreed: &Agreed) -> bool {
        let terms = agreed.terms();
        self.source.has_ranges() && terms.size.is_some() && (terms.version.is_some() || terms.checksum.is_some())
    }
}

/// What computes the checksum on the way.
fn hasher_of(terms: &Terms) -> Option<crate::checksum::Hasher> {
    terms.checksum.as_ref().filter(|checksum| !is_ours(checksum))?.hasher(terms.size)
}

/// Whether it is of the kind that is computed of all that comes, whatever the source gives.
pub(super) const fn is_ours(checksum: &Checksum) -> bool {
    matches!(checksum, Checksum::Crc32c(_))
}

fn ended_early(position: u64, end: Option<u64>) -> Failure {
    let what = format!("it ended after {position} of {} bytes", end.unwrap_or(0));
    Failure::new(Kind::Integrity, what, "see to the server, or the proxy in front of it").transient()
}

fn stalled(position: u64) -> Failure {
    let what = format!("nothing came for {} seconds after {}", STALLED.as_secs(), amount(position));
    Failure::new(Kind::Unavailable, what, "see to the server, or the proxy in front of it").transient()
}
