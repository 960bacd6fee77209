//! JSON as Python's `json` module writes it, which is what the model has seen in training.
//!
//! `json.dumps(…, ensure_ascii=False)` differs from serde_json's text in its separators and its
//! numbers. Text from outside (a call's arguments, a tool's result) is read here as `json.loads`
//! reads it: whole numbers of any size stay exact, and of keys that occur twice the first place
//! and the last value count. Two things that Python does are left out: `NaN` and `Infinity`, which
//! JSON does not have, are no JSON here, and a number beyond the range of f64 stays as written.

use crate::{Error, ErrorKind, Result};
use indexmap::IndexMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, ser::Formatter, value::RawValue};
use std::io;

/// Deepest nesting of lists and objects that is read as JSON, as serde_json's own limit.
const MAX_DEPTH: usize = 128;

/// `value` as `json.dumps` writes it.
pub(super) fn to_string(value: &impl Serialize) -> Result<String> {
    let internal = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::Internal, format!("cannot write JSON: {e}")).with_source(e)
    };
    let mut bytes = Vec::new();
    value
        .serialize(&mut serde_json::Serializer::with_formatter(
            &mut bytes,
            PythonFormatter,
        ))
        .map_err(|e| internal(e.into()))?;
    String::from_utf8(bytes).map_err(|e| internal(e.into()))
}

struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        out.write_all(repr(value).as_bytes())
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// Python's `repr` of a float. Rust's differs in the exponent only, which Python writes with its
/// sign and at least two digits.
fn repr(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
    }
}

/// JSON that was read from text and will be written again.
#[derive(Debug)]
pub(super) enum Json<'a> {
    /// Null, true, false, a string, or a number that f64 holds.
    Scalar(Value),
    /// A number in its own digits.
    Number(&'a RawValue),
    List(Vec<Json<'a>>),
    Object(IndexMap<String, Json<'a>>),
}

impl<'a> Json<'a> {
    /// What `text` stands for: nothing is an empty object, JSON is itself, all else is a string.
    pub fn from_text(text: &'a str) -> Self {
        match text.is_empty() {
            true => Self::Object(IndexMap::new()),
            false => Self::parse(text, MAX_DEPTH)
                .unwrap_or_else(|| Self::Scalar(Value::String(text.to_owned()))),
        }
    }

    /// `None` if `text` is not JSON, or is nested deeper than `depth`.
    fn parse(text: &'a str, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        let text = raw.get();
        Some(match text.as_bytes().first()? {
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let items = items.into_iter().map(|v| Self::parse(v.get(), depth));
                Self::List(items.collect::<Option<_>>()?)
            }
            b'{' => {
                let items: IndexMap<String, &RawValue> = serde_json::from_str(text).ok()?;
                let items = items
                    .into_iter()
                    .map(|(key, v)| Some((key, Self::parse(v.get(), depth)?)));
                Self::Object(items.collect::<Option<_>>()?)
            }
            b'-' | b'0'..=b'9' => Self::number(raw),
            _ => Self::Scalar(serde_json::from_str(text).ok()?),
        })
    }

    fn number(raw: &'a RawValue) -> Self {
        let text = raw.get();
        if text == "-0" {
            // Python's whole numbers have no negative zero.
            return Self::Scalar(Value::from(0));
        }
        let whole = !text.contains(['.', 'e', 'E']);
        match text.parse::<f64>() {
            Ok(value) if !whole && value.is_finite() => Self::Scalar(Value::from(value)),
            _ => Self::Number(raw),
        }
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Scalar(value) => value.serialize(serializer),
            Json::Number(digits) => digits.serialize(serializer),
            Json::List(items) => serializer.collect_seq(items),
            Json::Object(items) => serializer.collect_map(items),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn rewritten(text: &str) -> String {
        to_string(&Json::from_text(text)).unwrap()
    }

    #[test]
    fn floats_are_written_as_python_s_repr_writes_them() {
        for (value, expected) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (21.50, "21.5"),
            (1e15, "1000000000000000.0"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1e22, "1e+22"),
            (-1.5e300, "-1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-1.25e-7, "-1.25e-07"),
            (1e-100, "1e-100"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(to_string(&json!(value)).unwrap(), expected);
        }
    }

    #[test]
    fn separators_and_strings_are_python_s() {
        let value = json!({"a": [1, "é", null, true], "b": {}, "c": [], "d": "\u{1}\t\"\\/\u{7f}"});
        assert_eq!(
            to_string(&value).unwrap(),
            "{\"a\": [1, \"é\", null, true], \"b\": {}, \"c\": [], \"d\": \"\\u0001\\t\\\"\\\\/\u{7f}\"}"
        );
    }

    #[test]
    fn text_that_is_json_is_read_as_python_reads_it() {
        for (text, expected) in [
            ("", "{}"),
            (" {\"a\":1,\n\"b\" : [ ] }\t", "{\"a\": 1, \"b\": []}"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("-0", "0"),
            ("[-0.0, 1E2]", "[-0.0, 100.0]"),
            (
                "{\"a\":1,\"b\":2,\"a\":{\"c\":3}}",
                "{\"a\": {\"c\": 3}, \"b\": 2}",
            ),
            ("\"\\u00e9\\/\"", "\"é/\""),
            ("null", "null"),
            ("1e400", "1e400"),
        ] {
            assert_eq!(rewritten(text), expected, "{text}");
        }
    }

    #[test]
    fn all_other_text_is_a_string() {
        for text in [
            " ",
            "12:00",
            "{\"a\":}",
            "[1,2,]",
            "01",
            "{} {}",
            "'a'",
            "NaN",
            "\"\\ud800\"",
        ] {
            assert_eq!(rewritten(text), serde_json::to_string(text).unwrap());
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(rewritten(&nested(MAX_DEPTH)), nested(MAX_DEPTH));
        let deep = nested(100_000);
        assert_eq!(rewritten(&deep), format!("\"{deep}\""));
    }

    proptest! {
        #[test]
        fn what_was_written_is_written_the_same_again(
            text in "[\\[\\]{}:,\"a0-9.eE+\\- \\\\nul]{0,24}",
        ) {
            let once = rewritten(&text);
            prop_assert!(serde_json::from_str::<Value>(&once).is_ok(), "{once}");
            prop_assert_eq!(rewritten(&once), once);
        }

        #[test]
        fn every_float_keeps_its_value(number in any::<f64>()) {
            let again: f64 = rewritten(&format!("{number:e}")).parse().unwrap();
            prop_assert_eq!(again.to_bits(), number.to_bits());
        }
    }
}
