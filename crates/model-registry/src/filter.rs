//! `filterQuery`: what is looked for, as text, as a tree, and as SQL.
//!
//! A text is read into what it says ([`syntax`]), which is then resolved for each kind that is listed ([`condition`]): the
//! same name is a column of one kind's table, a column of another type for the next, and a custom property where no kind
//! has such a field. What is resolved is written as SQL, in which all that came from the text is a bound value.

mod anchor;
mod condition;
mod error;
mod known;
mod parse;
mod pattern;
mod resolve;
mod sql;
mod syntax;
#[cfg(test)]
mod tests;

pub use self::anchor::Anchor;
use self::condition::Condition;
pub use self::error::FilterError;
use self::sql::Lookup;
use crate::database::Statement;
use crate::model::Kind;

/// What has to hold of a resource to be listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    conditions: Vec<(Subject, Condition)>,
}

/// Of what something may have to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// Resources of a kind.
    Resource(Kind),
    /// Metrics over time.
    MetricHistory,
}

impl Filter {
    /// What a text asks of resources of these kinds. A blank one asks nothing.
    pub fn parse(text: &str, kinds: &[Kind]) -> Result<Self, FilterError> {
        Self::of(text, &kinds.iter().copied().map(Subject::Resource).collect::<Vec<_>>())
    }

    /// What a text asks of metrics over time.
    pub fn parse_for_history(text: &str) -> Result<Self, FilterError> {
        Self::of(text, &[Subject::MetricHistory])
    }

    fn of(text: &str, subjects: &[Subject]) -> Result<Self, FilterError> {
        let expression = parse::parse(text).map_err(|fault| fault.in_text(text))?;
        if let Some(expression) = &expression {
            resolve::check(expression, subjects).map_err(|fault| fault.in_text(text))?;
        }
        let resolve = |subject: &Subject| match &expression {
            Some(expression) => (*subject, resolve::resolve(expression, *subject, subjects)),
            None => (*subject, Condition::ALWAYS),
        };
        Ok(Self { conditions: subjects.iter().map(resolve).collect() })
    }

    /// Goes on with one condition, in parentheses, on resources of a kind. `resource` has the alias `r` there, the kind's own
    /// table `f`. It holds for none of a kind that the text was not read for.
    pub fn push_condition(&self, statement: &mut Statement, kind: Kind) {
        self.push(statement, Subject::Resource(kind));
    }

    /// Goes on with one condition, in parentheses, on `metric_history`, which has the alias `h` there.
    pub fn push_history_condition(&self, statement: &mut Statement) {
        self.push(statement, Subject::MetricHistory);
    }

    fn push(&self, statement: &mut Statement, subject: Subject) {
        match self.conditions.iter().find(|(of, _)| *of == subject) {
            Some((_, condition)) => condition.push(statement, Lookup::OfAll),
            None => Condition::NEVER.push(statement, Lookup::OfAll),
        }
    }
}
