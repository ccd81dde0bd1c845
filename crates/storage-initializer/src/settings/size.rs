//! Sizes in bytes: `4096`, `16MiB`, `2GB`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A text is no size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SizeError {
    /// It is not a number, perhaps with a unit.
    #[error("write a whole number of bytes, or one with a unit (KiB, MiB, GiB, TiB, kB, MB, GB, TB), as in 16MiB")]
    Syntax,
    /// It is more than can be counted.
    #[error("it is too many bytes")]
    TooMany,
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let unit = |(unit, factor): &(&str, u64)| Some((text.strip_suffix(unit)?.trim_end(), *factor));
        let (number, factor) = UNITS.iter().find_map(unit).unwrap_or((text, 1));
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SizeError::Syntax);
        }
        let number: u64 = number.parse().map_err(|_| SizeError::TooMany)?;
        number.checked_mul(factor).map(Self).ok_or(SizeError::TooMany)
    }
}

/// With the largest unit that divides it.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest = UNITS[..4].iter().rev().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match largest {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A number of bytes for people: `1.5 GiB`.
pub(crate) fn readable(bytes: u64) -> String {
    let Some((unit, factor)) = UNITS[..4].iter().rev().find(|(_, factor)| bytes >= *factor) else {
        return format!("{bytes} B");
    };
    let tenths = u128::from(bytes) * 10 / u128::from(*factor);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", 0, "0")]
    #[case("4096", 4096, "4KiB")]
    #[case("16MiB", 16 << 20, "16MiB")]
    #[case(" 2 GB ", 2_000_000_000, "1953125KiB")]
    #[case("7B", 7, "7")]
    fn a_size_has_a_unit_or_none(#[case] text: &str, #[case] bytes: u64, #[case] shown: &str) {
        let size: Size = text.parse().unwrap();
        assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
    }

    #[rstest]
    #[case("")]
    #[case("MiB")]
    #[case("-1")]
    #[case("1.5GiB")]
    #[case("16 mib")]
    #[case("99999999999999999999")]
    #[case("20000000TiB")]
    fn what_is_none_is_refused(#[case] text: &str) {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }

    #[rstest]
    #[case(17, "17 B")]
    #[case(1536, "1.5 KiB")]
    #[case(u64::MAX, "16777215.9 TiB")]
    fn people_read_the_largest_unit(#[case] bytes: u64, #[case] shown: &str) {
        assert_eq!(readable(bytes), shown);
    }
}
