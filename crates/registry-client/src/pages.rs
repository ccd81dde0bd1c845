//! Lists, page by page, until the server says that there is no more.

use std::{
    collections::HashSet,
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use url::Url;

use crate::{
    endpoint::{Endpoint, wrong_shape},
    error::{Failure, RegistryError},
    records::{Record, RecordError},
};

/// More pages than a list of any registry has; without this bound a server could keep us reading for ever.
const PAGE_LIMIT: usize = 20_000;

/// The field by which a list is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// By id, which edits do not change: nothing moves from page to page while a list is read.
    #[default]
    Id,
    /// By the time of creation.
    CreateTime,
    /// By the time of the last update. What is updated while the list is read moves.
    LastUpdateTime,
}

/// The direction of the order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

/// How a list is asked for. Servers may ignore any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListQuery {
    /// Records a page.
    pub page_size: u32,
    /// By which field.
    pub order_by: OrderBy,
    /// In which direction.
    pub sort_order: SortOrder,
}

impl Default for ListQuery {
    /// By id, 100 a page, which the oldest servers take too.
    fn default() -> Self {
        Self { page_size: 100, order_by: OrderBy::default(), sort_order: SortOrder::default() }
    }
}

impl ListQuery {
    /// The most recently updated first. Servers may ignore it, so look at the times of what comes.
    pub fn newest_first() -> Self {
        Self { order_by: OrderBy::LastUpdateTime, sort_order: SortOrder::Descending, ..Self::default() }
    }

    /// The newest first. Servers may ignore it, so look at the times of what comes.
    pub fn last_created_first() -> Self {
        Self { order_by: OrderBy::CreateTime, sort_order: SortOrder::Descending, ..Self::default() }
    }

    /// The same with another page size.
    #[must_use]
    pub const fn with_page_size(self, page_size: u32) -> Self {
        Self { page_size, ..self }
    }

    pub(crate) fn apply(self, url: &mut Url) {
        url.query_pairs_mut()
            .append_pair("pageSize", &self.page_size.to_string())
            .append_pair(
                "orderBy",
                match self.order_by {
                    OrderBy::Id => "ID",
                    OrderBy::CreateTime => "CREATE_TIME",
                    OrderBy::LastUpdateTime => "LAST_UPDATE_TIME",
                },
            )
            .append_pair(
                "sortOrder",
                match self.sort_order {
                    SortOrder::Ascending => "ASC",
                    SortOrder::Descending => "DESC",
                },
            );
    }
}

/// One page, read whole.
#[derive(Debug)]
pub struct Page<T> {
    /// The records in the server's order, the ones that cannot be read included.
    pub records: Vec<Result<T, RecordError>>,
    /// Whether this is the end of the list.
    pub is_last: bool,
}

/// A list, read to its end.
#[derive(Debug)]
pub struct Listing<T> {
    /// The records that could be read.
    pub records: Vec<T>,
    /// The others.
    pub malformed: Vec<RecordError>,
    /// How many pages it took.
    pub pages: usize,
}

/// The pages of a list, each asked for when it is wanted. After an error there is nothing more.
pub struct Pages<T> {
    stream: BoxStream<'static, Result<Page<T>, RegistryError>>,
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

impl<T> Stream for Pages<T> {
    type Item = Result<Page<T>, RegistryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(context)
    }
}

impl<T: Record> Pages<T> {
    pub(crate) fn new(endpoint: Endpoint, first: Url) -> Self {
        let reader = Reader { endpoint, first, tokens: HashSet::new(), pages: 0, record: PhantomData };
        let start = (reader, Some(String::new()));
        let stream = stream::try_unfold(start, |(mut reader, token)| async move {
            let Some(token) = token else { return Ok(None) };
            let (page, next) = reader.read(&token).await?;
            Ok(Some((page, (reader, next))))
        });
        Self { stream: stream.boxed() }
    }

    /// The next page; `None` after the last.
    pub async fn next_page(&mut self) -> Result<Option<Page<T>>, RegistryError> {
        self.stream.try_next().await
    }

    /// Reads to the end. An error on any page is an error of the whole.
    pub async fn collect_all(mut self) -> Result<Listing<T>, RegistryError> {
        let mut listing = Listing { records: Vec::new(), malformed: Vec::new(), pages: 0 };
        while let Some(page) = self.next_page().await? {
            listing.pages += 1;
            for record in page.records {
                match record {
                    Ok(record) => listing.records.push(record),
                    Err(error) => listing.malformed.push(error),
                }
            }
        }
        Ok(listing)
    }
}

struct Reader<T> {
    endpoint: Endpoint,
    first: Url,
    tokens: HashSet<String>,
    pages: usize,
    record: PhantomData<fn() -> T>,
}

impl<T: Record> Reader<T> {
    async fn read(&mut self, token: &str) -> Result<(Page<T>, Option<String>), RegistryError> {
        let mut url = self.first.clone();
        if !token.is_empty() {
            url.query_pairs_mut().append_pair("nextPageToken", token);
        }
        let body = self.endpoint.get(&url).await?;
        let raw: RawPage<'_> = self.endpoint.parse(&url, &body)?;
        self.pages += 1;
        let failed = |failure| self.endpoint.error(&url, failure);
        let records = raw.items().map_err(failed)?;
        let records = records.into_iter().filter_map(read_record).collect();
        let next = raw.next_page_token.filter(|token| !token.is_empty());
        self.check(next.as_deref()).map_err(|failure| self.endpoint.error(&url, failure))?;
        if let Some(next) = &next {
            self.tokens.insert(next.clone());
        }
        let is_last = next.is_none();
        Ok((Page { records, is_last }, next))
    }

    fn check(&self, next: Option<&str>) -> Result<(), Failure> {
        match next {
            Some(token) if self.tokens.contains(token) => Err(Failure::RepeatedToken { pages: self.pages }),
            Some(_) if self.pages >= PAGE_LIMIT => Err(Failure::TooManyPages { limit: PAGE_LIMIT }),
            _ => Ok(()),
        }
    }
}

fn read_record<T: Record>(raw: &RawValue) -> Option<Result<T, RecordError>> {
    match serde_json::from_str(raw.get()) {
        Ok(json) => T::from_json(&json),
        // The page parsed, so its items are JSON; what is left is a number out of range and the like.
        Err(error) => Some(Err(RecordError { kind: T::KIND, id: None, name: None, reason: error.to_string() })),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPage<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    items: Items<'a>,
    next_page_token: Option<String>,
    size: Option<i64>,
}

/// `items` as it came: missing and null are not the same.
#[derive(Default)]
enum Items<'a> {
    #[default]
    Missing,
    Null,
    List(Vec<&'a RawValue>),
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Items<'a>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map_or(Items::Null, Items::List))
}

impl<'a> RawPage<'a> {
    /// The items. An answer that does not say what it holds is not an empty list.
    fn items(&self) -> Result<Vec<&'a RawValue>, Failure> {
        match (&self.items, self.size) {
            (Items::List(items), _) => Ok(items.clone()),
            (Items::Null, Some(0)) => Ok(Vec::new()),
            (Items::Null, _) => Err(wrong_shape("`items` is null but `size` is not 0")),
            (Items::Missing, _) => Err(wrong_shape("`items` is missing, so this is no list")),
        }
    }
}
