//! Order, pages and cursors of the lists, and the dialects that servers in the field speak.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Unbounded},
};

use serde::Deserialize;

use crate::state::{Table, signed};

/// How the server treats `pageSize`, `orderBy` and `nextPageToken`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// As the API says: without `pageSize` everything comes at once, else pages of that size in the order asked for.
    #[default]
    Standard,
    /// Ignores `orderBy` and `sortOrder`: always by id, ascending.
    IgnoresOrder,
    /// Never gives more than so many items a page, asked for or not.
    PageCap(usize),
    /// Ignores `pageSize` and gives everything on one page.
    Unpaged,
    /// Broken: gives the first page again for ever, with the same token.
    RepeatsToken,
}

/// The query parameters of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ListParams {
    page_size: Option<String>,
    order_by: Option<String>,
    sort_order: Option<String>,
    next_page_token: Option<String>,
    /// Catalog only: the sources to list.
    pub(crate) source: Option<String>,
}

/// A page: the ids of its records and the token of the next page.
#[derive(Debug)]
pub(crate) struct PageOf<I> {
    pub(crate) ids: Vec<I>,
    pub(crate) next_page_token: String,
    /// The page size as the server echoes it.
    pub(crate) page_size: usize,
}

impl ListParams {
    /// The page size asked for; 0 is unlimited.
    pub(crate) fn page_size(&self, default: usize) -> Result<usize, String> {
        match self.page_size.as_deref() {
            None | Some("") => Ok(default),
            Some(text) => text
                .parse::<i64>()
                .map(|size| usize::try_from(size).unwrap_or(0))
                .map_err(|_| format!("pageSize {text:?} is not a number: bad request")),
        }
    }

    fn is_descending(&self) -> bool {
        self.sort_order.as_deref().is_some_and(|order| order.eq_ignore_ascii_case("DESC"))
    }

    fn cursor(&self) -> Result<Option<(i64, u64)>, String> {
        let Some(token) = self.next_page_token.as_deref().filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        let parts = token.strip_prefix('c').and_then(|rest| rest.split_once('.'));
        parts
            .and_then(|(key, id)| Some((key.parse().ok()?, id.parse().ok()?)))
            .map(Some)
            .ok_or_else(|| "invalid nextPageToken: bad request".to_owned())
    }

    /// The page of a table (or of one parent's children) that was asked for.
    pub(crate) fn page(&self, table: &Table, parent: Option<u64>, dialect: Dialect) -> Result<PageOf<u64>, String> {
        let order = if dialect == Dialect::IgnoresOrder { None } else { self.order_by.as_deref() };
        let index = match order {
            Some("CREATE_TIME") => &table.by_create_time,
            Some("LAST_UPDATE_TIME") => &table.by_update_time,
            _ => &table.by_id,
        };
        match parent {
            None => self.page_of(index, dialect),
            Some(parent) => {
                let ids = table.children.get(&parent).into_iter().flatten();
                let children = ids
                    .filter_map(|id| {
                        let row = table.rows.get(id)?;
                        let key = match order {
                            Some("CREATE_TIME") => row.create_time,
                            Some("LAST_UPDATE_TIME") => row.update_time,
                            _ => signed(*id),
                        };
                        Some((key, *id))
                    })
                    .collect();
                self.page_of(&children, dialect)
            }
        }
    }

    fn page_of(&self, index: &BTreeSet<(i64, u64)>, dialect: Dialect) -> Result<PageOf<u64>, String> {
        let asked = self.page_size(0)?;
        let limit = match dialect {
            Dialect::Unpaged => 0,
            Dialect::PageCap(cap) if asked == 0 => cap,
            Dialect::PageCap(cap) => asked.min(cap),
            Dialect::Standard | Dialect::IgnoresOrder | Dialect::RepeatsToken => asked,
        };
        let cursor = match dialect {
            Dialect::RepeatsToken | Dialect::Unpaged => None,
            Dialect::Standard | Dialect::IgnoresOrder | Dialect::PageCap(_) => self.cursor()?,
        };
        let descending = self.is_descending() && dialect != Dialect::IgnoresOrder;
        let take = if limit == 0 { usize::MAX } else { limit };
        let mut keys: Vec<(i64, u64)> = match (cursor, descending) {
            (None, false) => first(index.iter(), take),
            (None, true) => first(index.iter().rev(), take),
            (Some(after), false) => first(index.range((Excluded(after), Unbounded)), take),
            (Some(before), true) => first(index.range((Unbounded, Excluded(before))).rev(), take),
        };
        let more = keys.len() > take;
        keys.truncate(take);
        let next_page_token = match (dialect, keys.last()) {
            (Dialect::RepeatsToken, _) => "again".to_owned(),
            (_, Some((key, id))) if more => format!("c{key}.{id}"),
            _ => String::new(),
        };
        Ok(PageOf { ids: keys.into_iter().map(|(_, id)| id).collect(), next_page_token, page_size: limit })
    }
}

/// The page and, where there is one, the item after it, which says that there is more.
fn first<'a>(keys: impl Iterator<Item = &'a (i64, u64)>, take: usize) -> Vec<(i64, u64)> {
    keys.take(take.saturating_add(1)).copied().collect()
}

/// A page of names in alphabetical order, for the catalog.
pub(crate) fn page_of_names<I: Clone>(
    sorted: &[(String, I)],
    params: &ListParams,
    default_size: usize,
) -> Result<PageOf<I>, String> {
    let page_size = params.page_size(default_size)?;
    let after = params.next_page_token.as_deref().unwrap_or_default();
    let start = if after.is_empty() {
        0
    } else {
        after
            .strip_prefix('n')
            .and_then(|offset| offset.parse().ok())
            .filter(|offset| *offset <= sorted.len())
            .ok_or("invalid nextPageToken: bad request")?
    };
    let end = if page_size == 0 { sorted.len() } else { sorted.len().min(start + page_size) };
    Ok(PageOf {
        ids: sorted[start..end].iter().map(|(_, item)| item.clone()).collect(),
        next_page_token: if end < sorted.len() { format!("n{end}") } else { String::new() },
        page_size,
    })
}
