//! The way to the resources of a list for which a filter holds. Of a custom property that few have, the index of properties
//! finds them at once, and they are put in order; where many have it, those that come first are soon met when resources are
//! gone through in order, and each is asked for its property. Which it is, counting tells, and counting ends soon: databases
//! that guess took seconds for some lists.

use super::{OrderBy, Query, StoreError};
use crate::database::{Database, Statement, Type};
use crate::filter::{Anchor, Filter};
use crate::model::{Kind, Parent};

/// How many resources are few: so many are read and put in order within some ten milliseconds.
pub(super) const FEW: i64 = 2_500;
/// How many properties of a filter are counted; the others are no way to its list.
const COUNTED: usize = 4;

/// A way to the resources of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Route<'q> {
    /// That which the database finds, with lists of those that have custom properties.
    Planned,
    /// There are few anyhow: each of them is looked at.
    Within,
    /// In the order of this index, looking at each.
    Along(&'static str),
    /// From a property that all of them have.
    From(Anchor<'q>),
}

/// The ways of a list, kind by kind.
#[derive(Debug)]
pub(super) struct Routes<'q>(Vec<(Kind, Route<'q>)>);

/// What may be counted of a kind.
struct Ways<'q> {
    kind: Kind,
    /// Whether those beneath a parent are listed, of whom there may be few.
    children: bool,
    anchors: Vec<Anchor<'q>>,
}

impl<'q> Routes<'q> {
    pub(super) fn of(&self, kind: Kind) -> Route<'q> {
        self.0.iter().find(|(of, _)| *of == kind).map_or(Route::Planned, |(_, route)| *route)
    }

    /// The shortest ways to what a query lists, where so many are few.
    pub(super) async fn where_few_are(few: i64, database: &Database, query: &'q Query) -> Result<Self, StoreError> {
        let (mut routes, mut counted) = (Vec::new(), Vec::new());
        for kind in query.kinds.iter().copied() {
            match query.filter.as_ref().map_or(Ok(Route::Planned), |filter| evident(query, filter, kind)) {
                Ok(route) => routes.push((kind, route)),
                Err(ways) => counted.push(ways),
            }
        }
        let mut numbers = count(database, query, &counted, few).await?.into_iter();
        for ways in counted {
            let mut next = || numbers.next().unwrap_or(i64::MAX);
            let children = if ways.children { next() } else { i64::MAX };
            let anchors: Vec<_> = ways.anchors.iter().map(|anchor| (next(), *anchor)).collect();
            routes.push((ways.kind, choose(query, children, &anchors, few)));
        }
        Ok(Self(routes))
    }
}

/// The way that is the shortest whatever the numbers are, or else what to count.
fn evident<'q>(query: &Query, filter: &'q Filter, kind: Kind) -> Result<Route<'q>, Ways<'q>> {
    let mut anchors = filter.anchors(kind);
    let linked = query.of.is_some() && kind.parent() == Parent::Linked;
    match anchors.as_slice() {
        [] => return Ok(Route::Planned),
        _ if linked || query.name.is_some() || query.external_id.is_some() => return Ok(Route::Within),
        [only] if query.of.is_none() && is_in_order(query, only) => return Ok(Route::From(*only)),
        _ => anchors.truncate(COUNTED),
    }
    Err(Ways { kind, children: query.of.is_some(), anchors })
}

/// Whether the index of properties has the list in its order.
fn is_in_order(query: &Query, anchor: &Anchor) -> bool {
    query.page.order_by == OrderBy::Id && anchor.is_in_order_of_id()
}

fn choose<'q>(query: &Query, children: i64, anchors: &[(i64, Anchor<'q>)], few: i64) -> Route<'q> {
    let along = Route::Along(in_order(query));
    let Some((count, rarest)) = anchors.iter().min_by_key(|(count, _)| *count) else { return along };
    if children <= few && children <= *count {
        return along;
    }
    if *count <= few {
        return Route::From(*rarest);
    }
    let in_order = anchors.iter().find(|(_, anchor)| query.of.is_none() && is_in_order(query, anchor));
    in_order.map_or(along, |(_, anchor)| Route::From(*anchor))
}

/// The index that has the list in its order.
const fn in_order(query: &Query) -> &'static str {
    match (query.of.is_some(), query.page.order_by) {
        (false, OrderBy::Id) => "resource_in_order_of_id",
        (false, OrderBy::CreateTime) => "resource_in_order_of_created",
        (false, OrderBy::LastUpdateTime) => "resource_in_order_of_updated",
        (true, OrderBy::Id) => "resource_of_parent_in_order_of_id",
        (true, OrderBy::CreateTime) => "resource_of_parent_in_order_of_created",
        (true, OrderBy::LastUpdateTime) => "resource_of_parent_in_order_of_updated",
    }
}

/// How many there are by each way, in one statement; one more than few stands for many.
async fn count(database: &Database, query: &Query, counted: &[Ways<'_>], few: i64) -> Result<Vec<i64>, StoreError> {
    if counted.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = database.statement("SELECT found FROM (");
    let mut place = 0;
    let mut push = |statement: &mut Statement, what: &dyn Fn(&mut Statement)| {
        statement.push(if place > 0 { " UNION ALL SELECT " } else { "SELECT " }).push(&place.to_string());
        statement.push(" AS place, COUNT(*) AS found FROM (SELECT 1 AS one FROM ");
        what(statement);
        statement.push(" LIMIT ").bind(few + 1).push(") c").push(&place.to_string());
        place += 1;
    };
    for ways in counted {
        if let Some(parent) = query.of.filter(|_| ways.children) {
            push(&mut statement, &|statement| {
                statement.push("resource r WHERE r.kind = ").bind(ways.kind.name());
                statement.push(" AND r.parent_id = ").bind(parent.get());
            });
        }
        for anchor in &ways.anchors {
            push(&mut statement, &|statement| {
                statement.push("property p WHERE ");
                anchor.push_condition(statement);
            });
        }
    }
    statement.push(") counted ORDER BY place");
    let rows = database.fetch(statement, &[Type::Integer]).await?;
    Ok(rows.iter().filter_map(|row| row.integer(0)).collect())
}
