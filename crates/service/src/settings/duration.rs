//! Durations as Go writes them: `2m`, `90s`, `1h30m`, `1.5h`, `500ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

const UNITS: [(&str, u64); 8] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ns", 1),
];

/// A span of time, read and written as Go does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub Duration);

/// A text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// It is not made of numbers and units.
    #[error("write numbers with units (h, m, s, ms, us, ns), as in 2m, 90s or 1h30m")]
    Syntax,
    /// It is no time at all, where some is needed.
    #[error("it must be longer than nothing")]
    Nothing,
    /// It is more than can be counted.
    #[error("it is too long a time")]
    TooLong,
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest.is_empty() {
            return Err(DurationError::Syntax);
        }
        let mut nanoseconds: u64 = 0;
        while !rest.is_empty() {
            let (value, after) = component(rest)?;
            nanoseconds = nanoseconds.checked_add(value).ok_or(DurationError::TooLong)?;
            rest = after;
        }
        Ok(Self(Duration::from_nanos(nanoseconds)))
    }
}

/// A value parser for what takes time: not nothing.
pub fn positive_duration(text: &str) -> Result<GoDuration, DurationError> {
    let duration: GoDuration = text.parse()?;
    if duration.0.is_zero() { Err(DurationError::Nothing) } else { Ok(duration) }
}

/// The first number with its unit in nanoseconds, and what follows it.
fn component(text: &str) -> Result<(u64, &str), DurationError> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(DurationError::Syntax)?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size).ok_or(DurationError::Syntax)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(DurationError::Syntax);
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| DurationError::TooLong)? };
    let whole = whole.checked_mul(unit).ok_or(DurationError::TooLong)?;
    Ok((whole.checked_add(part_of(unit, fraction)).ok_or(DurationError::TooLong)?, rest))
}

/// `0.fraction` of a unit. Digits beyond nanoseconds do not count.
fn part_of(unit: u64, fraction: &str) -> u64 {
    let mut step = u128::from(unit) * 1_000_000;
    let mut sum: u128 = 0;
    for digit in fraction.bytes().take(19) {
        step /= 10;
        sum += step * u128::from(digit - b'0');
    }
    u64::try_from(sum / 1_000_000).unwrap_or(u64::MAX)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, size) in UNITS.iter().filter(|(name, _)| name.is_ascii()) {
            let count = rest / u128::from(*size);
            rest %= u128::from(*size);
            if count > 0 {
                write!(f, "{count}{name}")?;
            }
        }
        Ok(())
    }
}

impl From<GoDuration> for Duration {
    fn from(duration: GoDuration) -> Self {
        duration.0
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, milliseconds) in [
            ("2m", 120_000),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("2.s", 2_000),
            ("+1m0s", 60_000),
            ("1500us", 1),
            ("0", 0),
            (" 30s ", 30_000),
        ] {
            let parsed: GoDuration = text.parse().unwrap();
            assert_eq!(parsed.0.as_millis(), milliseconds, "{text}");
        }
        assert_eq!("1µs".parse::<GoDuration>(), "1000ns".parse());
        assert_eq!("0.000000001s".parse::<GoDuration>(), "1ns".parse());
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "2", "m", "2 m", "-1s", "1d", "1s2", "1..5s", ".s", "1,5s", "+", "ten"] {
            assert_eq!(text.parse::<GoDuration>(), Err(DurationError::Syntax), "{text}");
        }
        for text in ["99999999999999h", "9999999999999999999999s"] {
            assert_eq!(text.parse::<GoDuration>(), Err(DurationError::TooLong), "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["2m", "1m30s", "1h30m", "500ms", "0s", "1h1m1s1ms1us1ns"] {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), text);
        }
    }
}
