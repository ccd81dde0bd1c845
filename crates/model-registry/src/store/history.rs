//! What the metrics of runs were, each time that they were given.

use super::columns::broken;
use super::page::{Alias, cut, push_after, push_limit, push_order};
use super::{HistoryQuery, Page, Store, StoreError};
use crate::database::{Row, Type};
use crate::model::{Fields, Id, Kind, OfRun, Record, Value};

const SELECT: &str = "SELECT h.id, h.run_id, r.parent_id, h.name, h.value, h.step, h.timestamp, h.state, h.properties, \
                      h.created FROM metric_history h JOIN resource r ON r.id = h.run_id WHERE 1 = 1";
const TYPES: [Type; 10] = [
    Type::Integer,
    Type::Integer,
    Type::Integer,
    Type::Text,
    Type::Number,
    Type::Integer,
    Type::Integer,
    Type::Text,
    Type::Text,
    Type::Integer,
];

impl Store {
    /// A part of the history of metrics; its items are metrics as they were.
    pub async fn history(&self, query: &HistoryQuery) -> Result<Page, StoreError> {
        if let Some(run) = query.run {
            self.check(&[Kind::ExperimentRun], run).await?;
        }
        let mut statement = self.database.statement(SELECT);
        if let Some(run) = query.run {
            statement.push(" AND h.run_id = ").bind(run.get());
        }
        if let Some(name) = &query.name {
            statement.push(" AND h.name = ").bind(name.as_str());
        }
        if !query.steps.is_empty() {
            statement.push(" AND h.step IN (").bind_all(query.steps.iter().copied()).push(")");
        }
        if let Some(filter) = &query.filter {
            statement.push(" AND ");
            filter.push_history_condition(&mut statement);
        }
        // Nothing in a history is ever changed.
        let mut page = query.page.clone();
        if page.order_by == super::OrderBy::LastUpdateTime {
            page.order_by = super::OrderBy::CreateTime;
        }
        push_after(&mut statement, Alias::HISTORY, &page);
        push_order(&mut statement, Alias::HISTORY, &page);
        push_limit(&mut statement, &page);
        let rows = self.database.fetch(statement, &TYPES).await?;
        let items = rows.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
        let (items, next) = cut(items, &page);
        Ok(Page { items, next })
    }
}

fn record(mut row: Row) -> Result<Record, StoreError> {
    let (Some(id), Some(run), Some(experiment)) = (row.integer(0), row.integer(1), row.integer(2)) else {
        return Err(broken("a metric of no run"));
    };
    let created = row.integer(9).unwrap_or_default();
    let values = [
        ("value", row.number(4).map(Value::Number)),
        ("step", row.integer(5).map(Value::Integer)),
        ("timestamp", row.integer(6).map(Value::Integer)),
        ("state", row.take_text(7).map(Value::Text)),
    ];
    Ok(Record {
        kind: Kind::Metric,
        id: Id::kept(id),
        parent: Some(Id::kept(run)),
        run: Some(OfRun { experiment: Id::kept(experiment), run: Id::kept(run) }),
        name: row.take_text(3).unwrap_or_default(),
        external_id: None,
        description: None,
        created,
        updated: created,
        fields: values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Fields>(),
        properties: row
            .text(8)
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| broken("custom properties of a metric"))?,
    })
}
