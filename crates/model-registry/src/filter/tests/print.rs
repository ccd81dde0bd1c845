//! Queries as text again.

use crate::filter::pattern::Case;
use crate::filter::syntax::{Comparison, Expression, Literal, Operator, Property, Suffix, Test};

/// An expression as somebody would write it, with no more parentheses than it takes.
pub(super) fn print(expression: &Expression) -> String {
    match expression {
        Expression::Any(parts) => joined(parts, " OR ", |part| matches!(part, Expression::Any(_))),
        Expression::All(parts) => joined(parts, " AND ", |part| !matches!(part, Expression::Comparison(_))),
        Expression::Comparison(comparison) => print_comparison(comparison),
    }
}

fn joined(parts: &[Expression], between: &str, in_parentheses: impl Fn(&Expression) -> bool) -> String {
    let part = |part: &Expression| if in_parentheses(part) { format!("({})", print(part)) } else { print(part) };
    parts.iter().map(part).collect::<Vec<_>>().join(between)
}

fn print_comparison(Comparison { property, test, .. }: &Comparison) -> String {
    let property = print_property(property);
    match test {
        Test::Compare(operator, literal) => format!("{property} {} {}", sign(*operator), print_literal(literal)),
        Test::OneOf(literals) => {
            format!("{property} in ({})", literals.iter().map(print_literal).collect::<Vec<_>>().join(","))
        }
        Test::Like(Case::Kept, pattern) => format!("{property} LIKE {}", quoted('"', pattern)),
        Test::Like(Case::Ignored, pattern) => format!("{property} iLike {}", quoted('\'', pattern)),
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => "=",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::AtMost => "<=",
        Operator::Greater => ">",
        Operator::AtLeast => ">=",
    }
}

fn print_property(property: &Property) -> String {
    let before = if property.custom { "customProperties." } else { "" };
    let after = match property.suffix {
        None => "",
        Some(Suffix::String) => ".string_value",
        Some(Suffix::Double) => ".double_value",
        Some(Suffix::Int) => ".int_value",
        Some(Suffix::Bool) => ".bool_value",
    };
    let plain = property.name.chars().all(|character| character.is_ascii_lowercase());
    let name = if plain { property.name.clone() } else { quoted('`', &property.name) };
    [before, &name, after].concat()
}

fn print_literal(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => quoted('\'', text),
        Literal::Number(number) => number.spelling.clone(),
        Literal::Bool(bool) => bool.to_string(),
    }
}

fn quoted(quote: char, text: &str) -> String {
    let escape = |character: char| {
        let special = character == quote || character == '\\';
        special.then_some('\\').into_iter().chain([character])
    };
    [quote].into_iter().chain(text.chars().flat_map(escape)).chain([quote]).collect()
}
