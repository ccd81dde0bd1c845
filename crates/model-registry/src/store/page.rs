//! The parts of lists: where one begins, in which order, and where it ends.

use super::{Cursor, OrderBy, PageQuery, SortOrder};
use crate::database::Statement;
use crate::model::Record;

/// What a statement calls what it orders.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alias {
    /// The table with the times.
    pub(super) table: &'static str,
    /// The column with the id.
    pub(super) id: &'static str,
}

impl Alias {
    /// Resources.
    pub(super) const RESOURCE: Self = Self { table: "r", id: "r.id" };
    /// Resources that are found by a property.
    pub(super) const OF_PROPERTY: Self = Self { table: "r", id: "p.resource_id" };
    /// Metrics over time.
    pub(super) const HISTORY: Self = Self { table: "h", id: "h.id" };
}

/// That a row comes after the cursor. The first comparison lets every database use an index.
pub(super) fn push_after(statement: &mut Statement, of: Alias, page: &PageQuery) {
    let Some(Cursor { key, id }) = page.after else { return };
    let sign = match page.sort_order {
        SortOrder::Ascending => ">",
        SortOrder::Descending => "<",
    };
    let Alias { table, id: own } = of;
    match column(page.order_by) {
        "id" => {
            statement.push(&format!(" AND {own} {sign} ")).bind(id);
        }
        column => {
            statement.push(&format!(" AND {table}.{column} {sign}= ")).bind(key);
            statement.push(&format!(" AND ({table}.{column} {sign} ")).bind(key);
            statement.push(&format!(" OR {own} {sign} ")).bind(id).push(")");
        }
    }
}

pub(super) fn push_order(statement: &mut Statement, of: Alias, page: &PageQuery) {
    let direction = match page.sort_order {
        SortOrder::Ascending => "ASC",
        SortOrder::Descending => "DESC",
    };
    let Alias { table, id } = of;
    match column(page.order_by) {
        "id" => statement.push(&format!(" ORDER BY {id} {direction}")),
        column => statement.push(&format!(" ORDER BY {table}.{column} {direction}, {id} {direction}")),
    };
}

/// One more than the page holds, which tells whether another follows.
pub(super) fn push_limit(statement: &mut Statement, page: &PageQuery) {
    if let Some(size) = page.size {
        statement.push(" LIMIT ").bind(i64::from(size) + 1);
    }
}

pub(super) const fn column(order_by: OrderBy) -> &'static str {
    match order_by {
        OrderBy::CreateTime => "created",
        OrderBy::LastUpdateTime => "updated",
        OrderBy::Id => "id",
    }
}

/// Leaves what belongs to the page, and tells where the next one begins.
pub(super) fn cut(mut items: Vec<Record>, page: &PageQuery) -> (Vec<Record>, Option<Cursor>) {
    let size = page.size.map_or(usize::MAX, |size| size as usize);
    if items.len() <= size {
        return (items, None);
    }
    items.truncate(size);
    let next = items.last().map(|last| Cursor {
        key: match page.order_by {
            OrderBy::CreateTime => last.created,
            OrderBy::LastUpdateTime => last.updated,
            OrderBy::Id => last.id.get(),
        },
        id: last.id.get(),
    });
    (items, next)
}
