//! Whole numbers in JSON.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Number;

/// A whole number. JSON knows one kind of number, so 3.0 is one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) i64);

impl Whole {
    /// The number, if it is one of 32 bits without a sign.
    pub(crate) fn to_u32(self) -> Option<u32> {
        self.0.try_into().ok()
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        let whole = |value: &f64| value.fract() == 0.0 && value.abs() < 2f64.powi(63);
        let by_float = || number.as_f64().filter(whole).map(|value| value as i64);
        let value = number.as_i64().or_else(by_float);
        let refused = || D::Error::custom(format!("expected a whole number, found {number}"));
        value.map(Self).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        let read = |text: &str| serde_json::from_str::<Whole>(text).map(|n| n.0).ok();
        assert_eq!(read("3"), Some(3));
        assert_eq!(read("-3.0"), Some(-3));
        assert_eq!(read("1e3"), Some(1000));
        assert_eq!(read("9223372036854775807"), Some(i64::MAX));
        for other in ["3.5", "1e30", "18446744073709551615", "\"3\"", "null", "[]"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
