//! Lists. Each takes the same number of statements, however long it is: one for the resources, one for their custom
//! properties, and where a filter leaves several ways to them, one before to find the shortest.

use super::columns::Columns;
use super::page::{Alias, cut, push_after, push_limit, push_order};
use super::read::attach_properties;
use super::route::{FEW, Route, Routes};
use super::{Page, Query, Store, StoreError};
use crate::database::{Dialect, Statement};
use crate::filter::{Anchor, Filter};
use crate::model::{Kind, Parent};

impl Store {
    /// A part of a list.
    pub async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.list_where_few_are(FEW, query).await
    }

    /// A part of a list, on the way that is the shortest where so many are few.
    pub(crate) async fn list_where_few_are(&self, few: i64, query: &Query) -> Result<Page, StoreError> {
        let Some(columns) = query.kinds.first().map(|kind| Columns::of(kind.table())) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let mut statement = self.database.statement("");
        self.push_list_where_few_are(few, &mut statement, query).await?;
        let rows = self.database.fetch(statement, &columns.types()).await?;
        let items = rows.into_iter().map(|row| columns.record(row)).collect::<Result<Vec<_>, _>>()?;
        let (mut items, next) = cut(items, &query.page);
        attach_properties(&mut &self.database, &mut items).await?;
        Ok(Page { items, next })
    }

    /// Goes on with what answers the resources of a part of a list.
    pub(crate) async fn push_list_where_few_are(
        &self,
        few: i64,
        statement: &mut Statement,
        query: &Query,
    ) -> Result<(), StoreError> {
        let routes = Routes::where_few_are(few, &self.database, query).await?;
        push_list(statement, query, &routes);
        Ok(())
    }
}

fn push_list(statement: &mut Statement, query: &Query, routes: &Routes) {
    let Some(columns) = query.kinds.first().map(|kind| Columns::of(kind.table())) else { return };
    statement.push(&columns.select()).push("FROM (");
    for (index, kind) in query.kinds.iter().enumerate() {
        if query.kinds.len() > 1 {
            statement.push(if index > 0 { " UNION ALL SELECT id FROM (" } else { "SELECT id FROM (" });
        }
        push_branch(statement, query, *kind, routes.of(*kind));
        if query.kinds.len() > 1 {
            statement.push(") b").push(&index.to_string());
        }
    }
    statement.push(") page JOIN resource r ON r.id = page.id").push(&columns.joins());
    push_order(statement, Alias::RESOURCE, &query.page);
}

/// The ids of one kind's part of a list.
fn push_branch(statement: &mut Statement, query: &Query, kind: Kind, route: Route) {
    statement.push("SELECT r.id FROM ");
    let alias = match &query.filter {
        Some(filter) => push_found(statement, filter, kind, route),
        None => {
            statement.push("resource r WHERE r.kind = ").bind(kind.name());
            Alias::RESOURCE
        }
    };
    match (query.of, kind.parent()) {
        (None, _) => {}
        (Some(owner), Parent::Linked) => {
            statement.push(" AND r.id IN (SELECT artifact_id FROM artifact_link WHERE owner_id = ");
            statement.bind(owner.get()).push(")");
        }
        (Some(parent), _) => {
            statement.push(" AND r.parent_id = ").bind(parent.get());
        }
    }
    if let Some(name) = &query.name {
        statement.push(" AND r.name = ").bind(name.as_str());
    }
    if let Some(external_id) = &query.external_id {
        statement.push(" AND r.scope = ").bind(kind.table().scope());
        statement.push(" AND r.external_id = ").bind(external_id.as_str());
    }
    push_after(statement, alias, &query.page);
    push_order(statement, alias, &query.page);
    push_limit(statement, &query.page);
}

/// The tables of a kind, in the order in which the database is to go through them, and for which of their rows a filter
/// holds.
fn push_found(statement: &mut Statement, filter: &Filter, kind: Kind, route: Route) -> Alias {
    let own = |statement: &mut Statement, join: &str| {
        statement.push(join).push(kind.table().name()).push(" f ON f.id = r.id WHERE r.kind = ").bind(kind.name());
    };
    let next = next_table(statement.dialect());
    match route {
        Route::Planned => {
            statement.push("resource r");
            own(statement, " JOIN ");
            statement.push(" AND ");
            filter.push_condition(statement, kind);
        }
        Route::Within => {
            statement.push("resource r");
            own(statement, " JOIN ");
            filter.push_rest(statement, kind, None);
        }
        Route::Along(index) => {
            let index = by_index(statement.dialect(), index);
            statement.push("resource r").push(&index);
            own(statement, next);
            filter.push_rest(statement, kind, None);
        }
        Route::From(anchor) => {
            push_anchor(statement, &anchor, next);
            own(statement, next);
            statement.push(" AND ");
            anchor.push_condition(statement);
            filter.push_rest(statement, kind, Some(&anchor));
            return Alias::OF_PROPERTY;
        }
    }
    Alias::RESOURCE
}

fn push_anchor(statement: &mut Statement, anchor: &Anchor, next: &str) {
    let index = by_index(statement.dialect(), anchor.index());
    statement.push("property p").push(&index).push(next).push("resource r ON r.id = p.resource_id");
}

/// Joins a table whose rows are looked up for each of the table before it. PostgreSQL knows from its statistics what that
/// costs; the others guess.
const fn next_table(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => " CROSS JOIN ",
        Dialect::Postgres => " JOIN ",
        Dialect::MySql => " STRAIGHT_JOIN ",
    }
}

fn by_index(dialect: Dialect, index: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!(" INDEXED BY {index}"),
        Dialect::Postgres => String::new(),
        Dialect::MySql => format!(" FORCE INDEX ({index})"),
    }
}
