//! A source in memory that answers as it is told to, badly if need be, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use storage_initializer::checksum::Checksum;
use storage_initializer::relative::RelativePath;
use storage_initializer::source::{Content, Object, Source};
use storage_initializer::{Failure, Kind};

/// What goes wrong with one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The stream is reset after so many bytes.
    Reset(u64),
    /// The stream ends after so many bytes, as if that were all.
    End(u64),
    /// So many bytes come too much.
    Excess(u64),
    /// The answer is of another version, with other bytes.
    OtherVersion,
    /// The answer says that the object is so long.
    OtherSize(u64),
    /// The byte at this place of the answer is another.
    Damage(u64),
    /// The answer is everything, whatever range was asked for.
    Everything,
    /// The request fails for good.
    Refused,
}

/// An object, and what goes wrong with its answers: one fault a request.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) object: Object,
    pub(crate) bytes: Bytes,
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    /// What answers say, beside the list.
    pub(crate) said: Said,
}

/// What answers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) size: Option<u64>,
    pub(crate) version: Option<String>,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) content_type: Option<String>,
    /// What is told of the whole object to who asks for just that.
    pub(crate) of_whole: Option<Checksum>,
}

/// A request for content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<Range<u64>>,
}

/// The source.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) name: String,
    pub(crate) stored: Vec<Stored>,
    by_path: HashMap<RelativePath, usize>,
    pub(crate) has_ranges: bool,
    /// How many bytes come at a time; before each the task yields.
    pub(crate) chunk: usize,
    pub(crate) requests: Mutex<Vec<Request>>,
    /// How many times the list was asked for.
    pub(crate) lists: AtomicU64,
    /// So many objects of the first list are not in the second.
    pub(crate) vanishing: usize,
    /// Objects that were listed last, and not yet read to the end.
    pub(crate) alive: Arc<Alive>,
}

/// Counts what is under way.
#[derive(Debug, Default)]
pub(crate) struct Alive {
    now: AtomicU64,
    most: AtomicU64,
}

impl Alive {
    fn one_more(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn one_less(&self) {
        // Objects of the first list are not counted, but read.
        let _ = self.now.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| now.checked_sub(1));
    }

    /// The most at a time.
    pub(crate) fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }
}

impl Stored {
    /// An object with a version, and nothing wrong.
    pub(crate) fn new(path: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let object = Object {
            path: RelativePath::new(path).unwrap(),
            locator: format!("key/{path}"),
            size: Some(bytes.len() as u64),
            version: Some("v1".to_owned()),
            checksum: None,
        };
        let said = Said { size: object.size, version: object.version.clone(), ..Said::default() };
        Self { object, bytes, faults: Mutex::default(), said }
    }

    /// With a checksum in the list.
    pub(crate) fn with_checksum(mut self, checksum: Checksum) -> Self {
        self.object.checksum = Some(checksum);
        self
    }

    /// In another version.
    pub(crate) fn with_version(mut self, version: Option<&str>) -> Self {
        self.object.version = version.map(str::to_owned);
        self.said.version.clone_from(&self.object.version);
        self
    }

    /// Of a length that the list does not tell.
    pub(crate) fn of_unlisted_size(mut self) -> Self {
        self.object.size = None;
        self
    }

    /// With faults.
    pub(crate) fn with_faults(self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults.lock().unwrap().extend(faults);
        self
    }
}

impl Scripted {
    /// A source of these objects.
    pub(crate) fn new(stored: impl IntoIterator<Item = Stored>) -> Self {
        let stored: Vec<_> = stored.into_iter().collect();
        let by_path = stored.iter().enumerate().map(|(at, stored)| (stored.object.path.clone(), at)).collect();
        Self {
            name: "scripted://objects".to_owned(),
            stored,
            by_path,
            has_ranges: true,
            chunk: 7,
            requests: Mutex::default(),
            lists: AtomicU64::new(0),
            vanishing: 0,
            alive: Arc::default(),
        }
    }

    /// What was asked for since the last time, in order of path and place.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        let mut requests = std::mem::take(&mut *self.requests.lock().unwrap());
        requests.sort_by_key(|request| (request.path.clone(), request.range.as_ref().map(|range| range.start)));
        requests
    }

    fn answer(&self, stored: &Stored, range: Option<Range<u64>>, fault: Option<&Fault>) -> Content {
        let mut said = stored.said.clone();
        let is_range = range.is_some() && self.has_ranges && fault != Some(&Fault::Everything);
        let length = stored.bytes.len() as u64;
        let range = range.filter(|_| is_range).unwrap_or(0..length);
        let range = range.start.min(length)..range.end.min(length);
        let mut bytes = stored.bytes[range.start as usize..range.end as usize].to_vec();
        let mut reset = None;
        match fault {
            Some(Fault::Reset(after)) => {
                bytes.truncate(*after as usize);
                reset = Some(Err(Failure::new(Kind::Unavailable, "the connection was reset", "").transient()));
            }
            Some(Fault::End(after)) => bytes.truncate(*after as usize),
            Some(Fault::Excess(more)) => bytes.extend(std::iter::repeat_n(b'!', *more as usize)),
            Some(Fault::OtherVersion) => {
                said.version = Some("another".to_owned());
                for byte in &mut bytes {
                    *byte = !*byte;
                }
            }
            Some(Fault::OtherSize(size)) => said.size = Some(*size),
            Some(Fault::Damage(at)) => {
                let at = *at as usize % bytes.len().max(1);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = !*byte);
            }
            Some(Fault::Everything | Fault::Refused) | None => {}
        }
        let chunks: Vec<_> = bytes.chunks(self.chunk).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let alive = Arc::clone(&self.alive);
        let end = stream::once(async move { alive.one_less() }).filter_map(|()| async { None });
        let bytes = stream::iter(chunks.into_iter().chain(reset))
            .then(|chunk| async {
                tokio::task::yield_now().await;
                chunk
            })
            .chain(end)
            .boxed();
        let Said { size, version, checksum, content_type, of_whole: _ } = said;
        Content { bytes, size, version, checksum, is_range, content_type }
    }
}

#[async_trait]
impl Source for Scripted {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        let is_first = self.lists.fetch_add(1, Ordering::SeqCst) == 0;
        let listed = self.stored.len() - if is_first { 0 } else { self.vanishing };
        let alive = (!is_first).then(|| Arc::clone(&self.alive));
        stream::iter(self.stored.iter().take(listed))
            .map(move |stored| {
                if let Some(alive) = &alive {
                    alive.one_more();
                }
                Ok(stored.object.clone())
            })
            .boxed()
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<Content, Failure> {
        let stored = &self.stored[self.by_path[&object.path]];
        self.requests.lock().unwrap().push(Request { path: object.path.to_string(), range: range.clone() });
        tokio::task::yield_now().await;
        let fault = stored.faults.lock().unwrap().pop_front();
        if fault == Some(Fault::Refused) {
            return Err(Failure::new(Kind::Permission, "the server answers 403", "see to the credentials"));
        }
        Ok(self.answer(stored, range, fault.as_ref()))
    }

    async fn checksum(&self, object: &Object) -> Option<Checksum> {
        self.stored[self.by_path[&object.path]].said.of_whole.clone()
    }

    fn has_ranges(&self) -> bool {
        self.has_ranges
    }
}
