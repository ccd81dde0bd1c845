//! From a text to [`Expression`].
//!
//! Each choice is made by what comes next, so the first thing that does not fit is where the text is wrong: a parser that
//! does not begin to fit backtracks, and [`expect`] makes of it the fault that is told.

use winnow::ModalResult;
use winnow::Parser;
use winnow::ascii::{Caseless, digit1, multispace0};
use winnow::combinator::{alt, delimited, eof, not, opt, terminated};
use winnow::error::ErrMode;
use winnow::stream::{LocatingSlice, Location, Stateful};
use winnow::token::{any, one_of, take_till, take_while};

use super::error::Fault;
use super::pattern::Case;
use super::syntax::{Comparison, Expression, Literal, Number, Operator, Property, Suffix, Test};

/// How many characters a query may have.
const CHARACTERS: usize = 10_000;
/// How deep its parentheses may be nested.
const LEVELS: usize = 100;
/// How many comparisons it may have; SQLite refuses chains of more than a thousand.
const COMPARISONS: usize = 200;
/// How many values it may have.
const VALUES: usize = 1_000;

const NAME: &str = "the name of a property or `(`";
const OPERATOR: &str = "a comparison operator (=, !=, <>, <, <=, >, >=, LIKE, ILIKE or IN)";
const VALUE: &str = "a value (a text in quotes, a number, true or false)";
const TEXT: &str = "a text in quotes";
const CUSTOM: &str = "customProperties";

type Input<'t> = Stateful<LocatingSlice<&'t str>, Used>;
type Parsed<T> = ModalResult<T, Fault>;

/// What of a query's bounds is used up.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    levels: usize,
    comparisons: usize,
    values: usize,
}

/// What a text says; nothing if it is blank.
pub(super) fn parse(text: &str) -> Result<Option<Expression>, Fault> {
    if let Some((at, _)) = text.char_indices().nth(CHARACTERS) {
        return Err(Fault::new(at, format!("at most {CHARACTERS} characters")));
    }
    if let Some(at) = text.find('\0') {
        return Err(Fault::new(at, "no NUL character"));
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    let input = Stateful { input: LocatingSlice::new(text), state: Used::default() };
    let whole = delimited(multispace0, disjunction, expect("AND, OR or the end", eof));
    { whole }.parse(input).map(Some).map_err(winnow::error::ParseError::into_inner)
}

/// What a number is that was written as a text.
pub(super) fn number_in(text: &str) -> Option<Number> {
    let input = Stateful { input: LocatingSlice::new(text), state: Used::default() };
    number.parse(input).ok()
}

/// A parser that must fit here.
fn expect<'t, T>(
    expected: &'static str,
    mut parser: impl Parser<Input<'t>, T, ErrMode<Fault>>,
) -> impl Parser<Input<'t>, T, ErrMode<Fault>> {
    move |input: &mut Input<'t>| {
        let at = input.current_token_start();
        parser.parse_next(input).map_err(|error| match error {
            ErrMode::Backtrack(_) => ErrMode::Cut(Fault::new(at, expected)),
            told => told,
        })
    }
}

/// A parser, and the space after it.
fn token<'t, T>(parser: impl Parser<Input<'t>, T, ErrMode<Fault>>) -> impl Parser<Input<'t>, T, ErrMode<Fault>> {
    terminated(parser, multispace0)
}

fn keyword<'t>(word: &'static str) -> impl Parser<Input<'t>, (), ErrMode<Fault>> {
    token((Caseless(word), not(one_of(goes_on_a_word))).void())
}

fn begins_a_word(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn goes_on_a_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn disjunction(input: &mut Input<'_>) -> Parsed<Expression> {
    chain(input, conjunction, "OR", Expression::Any)
}

fn conjunction(input: &mut Input<'_>) -> Parsed<Expression> {
    chain(input, term, "AND", Expression::All)
}

fn chain(
    input: &mut Input<'_>,
    part: fn(&mut Input<'_>) -> Parsed<Expression>,
    word: &'static str,
    join: fn(Vec<Expression>) -> Expression,
) -> Parsed<Expression> {
    let first = part(input)?;
    let mut parts = vec![first];
    while opt(keyword(word)).parse_next(input)?.is_some() {
        parts.push(part(input)?);
    }
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Ok(join(parts)),
    }
}

fn term(input: &mut Input<'_>) -> Parsed<Expression> {
    alt((group, comparison.map(Expression::Comparison))).parse_next(input)
}

fn group(input: &mut Input<'_>) -> Parsed<Expression> {
    let at = input.current_token_start();
    token('(').parse_next(input)?;
    input.state.levels += 1;
    within(input.state.levels, LEVELS, at, "levels of parentheses")?;
    let inner = disjunction(input)?;
    expect("AND, OR or `)`", token(')')).parse_next(input)?;
    input.state.levels -= 1;
    Ok(inner)
}

fn within(used: usize, bound: usize, at: usize, what: &str) -> Parsed<()> {
    if used > bound {
        return Err(ErrMode::Cut(Fault::new(at, format!("at most {bound} {what}"))));
    }
    Ok(())
}

fn comparison(input: &mut Input<'_>) -> Parsed<Comparison> {
    let at = input.current_token_start();
    let property = expect(NAME, token(property)).parse_next(input)?;
    input.state.comparisons += 1;
    within(input.state.comparisons, COMPARISONS, at, "comparisons")?;
    let asked = expect(OPERATOR, token(asked)).parse_next(input)?;
    let value_at = input.current_token_start();
    let test = match asked {
        Asked::Compare(operator) => Test::Compare(operator, value(input)?),
        Asked::OneOf => Test::OneOf(list(input)?),
        Asked::Like(case) => Test::Like(case, expect(TEXT, token(text)).parse_next(input)?),
    };
    Ok(Comparison { property, test, value_at })
}

#[derive(Clone, Copy)]
enum Asked {
    Compare(Operator),
    OneOf,
    Like(Case),
}

fn asked(input: &mut Input<'_>) -> Parsed<Asked> {
    let sign = alt((
        alt(("!=", "<>")).value(Operator::NotEqual),
        "<=".value(Operator::AtMost),
        ">=".value(Operator::AtLeast),
        '='.value(Operator::Equal),
        '<'.value(Operator::Less),
        '>'.value(Operator::Greater),
    ));
    alt((
        sign.map(Asked::Compare),
        keyword("LIKE").value(Asked::Like(Case::Kept)),
        keyword("ILIKE").value(Asked::Like(Case::Ignored)),
        keyword("IN").value(Asked::OneOf),
    ))
    .parse_next(input)
}

/// A part of a property's name.
struct Part {
    text: String,
    /// Whether it was written as it is, rather than in backticks.
    plain: bool,
}

fn property(input: &mut Input<'_>) -> Parsed<Property> {
    let at = input.current_token_start();
    let mut parts = vec![part(input)?];
    while opt('.').parse_next(input)?.is_some() {
        parts.push(expect("the rest of the property's name", part).parse_next(input)?);
    }
    let suffix = match parts.as_slice() {
        [_, .., last] if last.plain => Suffix::named(&last.text),
        _ => None,
    };
    if suffix.is_some() {
        parts.pop();
    }
    let custom = matches!(parts.as_slice(), [first, _, ..] if first.plain && first.text == CUSTOM);
    if custom {
        parts.remove(0);
    }
    let name = parts.into_iter().map(|part| part.text).collect::<Vec<_>>().join(".");
    Ok(Property { name, custom, suffix, at })
}

fn part(input: &mut Input<'_>) -> Parsed<Part> {
    let plain = (one_of(begins_a_word), take_while(0.., goes_on_a_word)).take();
    let plain = plain.map(|text: &str| Part { text: text.to_owned(), plain: true });
    let at = input.current_token_start();
    let part = alt((plain, quoted('`', ['`', '\\', '.']).map(|text| Part { text, plain: false }))).parse_next(input)?;
    if part.text.is_empty() {
        return Err(ErrMode::Cut(Fault::new(at, "a name between the backticks")));
    }
    Ok(part)
}

fn list(input: &mut Input<'_>) -> Parsed<Vec<Literal>> {
    expect("a list of values in parentheses", token('(')).parse_next(input)?;
    let mut values = vec![value(input)?];
    while expect("`,` or `)`", token(alt((',', ')')))).parse_next(input)? == ',' {
        values.push(value(input)?);
    }
    Ok(values)
}

fn value(input: &mut Input<'_>) -> Parsed<Literal> {
    let at = input.current_token_start();
    input.state.values += 1;
    within(input.state.values, VALUES, at, "values")?;
    let bool = alt((keyword("true").value(true), keyword("false").value(false)));
    let literal = alt((text.map(Literal::Text), number.map(Literal::Number), bool.map(Literal::Bool)));
    expect(VALUE, token(literal)).parse_next(input)
}

fn text(input: &mut Input<'_>) -> Parsed<String> {
    const SPECIAL: [char; 3] = ['\'', '"', '\\'];
    alt((quoted('\'', SPECIAL), quoted('"', SPECIAL))).parse_next(input)
}

/// A text in quotes of that kind. A backslash is left away before the special characters, and kept before all others, so
/// that patterns are written with one.
fn quoted<'t>(quote: char, special: [char; 3]) -> impl Parser<Input<'t>, String, ErrMode<Fault>> {
    move |input: &mut Input<'t>| {
        let at = input.current_token_start();
        any.verify(|character| *character == quote).void().parse_next(input)?;
        let mut text = String::new();
        loop {
            text.push_str(take_till(0.., [quote, '\\']).parse_next(input)?);
            match opt(any).parse_next(input)? {
                None => return Err(ErrMode::Cut(Fault::new(at, format!("a closing {quote} to what begins here")))),
                Some(end) if end == quote => return Ok(text),
                Some(backslash) => text.push(opt(one_of(special)).parse_next(input)?.unwrap_or(backslash)),
            }
        }
    }
}

fn number(input: &mut Input<'_>) -> Parsed<Number> {
    let at = input.current_token_start();
    let sign = || opt(one_of(['+', '-']));
    let digits = alt(((digit1, opt(('.', digit1))).void(), ('.', digit1).void()));
    let exponent = opt((one_of(['e', 'E']), sign(), digit1));
    let spelling: &str = (sign(), digits, exponent).take().parse_next(input)?;
    Number::spelled(spelling).ok_or_else(|| ErrMode::Cut(Fault::new(at, "a number that a double can hold")))
}
