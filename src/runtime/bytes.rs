//! Amounts of memory as people write them. Owns the units; knows nothing of what is measured.

use crate::{Error, ErrorKind, Result};
use std::str::FromStr;

/// Units and their bytes. As standardised: with an i they are powers of 1024, with a B alone powers
/// of 1000, since memory is sold by one and bandwidth and storage by the other. A letter alone is
/// binary, as for other programs.
const UNITS: [(&str, u64); 13] = [
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

/// A number of bytes, read from a number and a unit in letters of either case: `6GiB` (2^30 bytes each),
/// `17GB` (10^9), `500M` (2^20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = Error;

    /// Errors with `InvalidArgument` if `text` is no such amount, has no unit, or is too large.
    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = trimmed.split_at(end.unwrap_or(trimmed.len()));
        let unit = unit.trim().to_lowercase();
        let of_unit = UNITS.iter().find(|(name, _)| *name == unit);
        let bytes = of_unit.and_then(|&(_, bytes)| {
            let number: f64 = number.parse().ok()?;
            let bytes = number * bytes as f64;
            (bytes < u64::MAX as f64).then_some(Self(bytes as u64))
        });
        bytes.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("size {text:?}, expected a number and a unit, such as 8GiB or 500MB"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> u64 {
        text.parse::<Bytes>().unwrap().0
    }

    #[test]
    fn gib_are_powers_of_1024_and_gb_of_1000() {
        assert_eq!(of("8GiB"), 8 << 30);
        assert_eq!(of("8GB"), 8_000_000_000);
        assert_eq!(of("1.5 gb"), 1_500_000_000);
        assert_eq!(of(" 1.5 gib "), 3 << 29);
        assert_eq!(of("512M"), 512 << 20);
        assert_eq!(of("0b"), 0);
    }

    #[test]
    fn what_is_no_number_with_a_unit_is_refused_with_an_example() {
        for bad in [
            "",
            "8",
            "GiB",
            "8X",
            "-1GiB",
            "1e3GiB",
            "1.2.3GiB",
            "nanGiB",
            "infGiB",
            "eight GiB",
            "8GiBs",
            "99999999TiB",
        ] {
            let error = bad.parse::<Bytes>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad}");
            assert!(error.message().contains("such as 8GiB"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_whole_number_of_any_unit_is_exact(n in 0u64..1 << 13, unit in 0..UNITS.len()) {
            let (name, bytes) = UNITS[unit];
            prop_assert_eq!(of(&format!("{n}{name}")), n * bytes);
            prop_assert_eq!(of(&format!("{n} {}", name.to_uppercase())), n * bytes);
        }
    }
}
