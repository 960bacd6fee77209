//! The keys and values at the head of a file, in file order, with getters that explain themselves.
//!
//! Plain data: it knows neither bytes nor which keys a model needs.

use super::value::{Array, Value};
use crate::{Error, ErrorKind, Result};
use indexmap::IndexMap;

/// Keys and values in order. A key appears once.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    entries: IndexMap<String, Value>,
}

impl PartialEq for Metadata {
    /// The same keys and values in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Metadata {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets `key` to `value`: in its old place if it exists, else at the end.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.entries.insert(key.into(), value.into());
    }

    /// Takes `key` out, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.entries.shift_remove(key)
    }

    /// The value of `key`, if present.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Whether `key` is present.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// An integer of any width that fits into 32 unsigned bits.
    pub fn u32(&self, key: &str) -> Result<u32> {
        let value = self.require(key)?;
        value
            .as_integer()
            .and_then(|x| x.try_into().ok())
            .ok_or_else(|| mismatch(key, "u32", value))
    }

    /// An integer of any width that fits into 64 unsigned bits.
    pub fn u64(&self, key: &str) -> Result<u64> {
        let value = self.require(key)?;
        value
            .as_integer()
            .and_then(|x| x.try_into().ok())
            .ok_or_else(|| mismatch(key, "u64", value))
    }

    /// A floating-point number, rounded to 32 bits if the file holds 64.
    pub fn f32(&self, key: &str) -> Result<f32> {
        match self.require(key)? {
            Value::F32(x) => Ok(*x),
            Value::F64(x) => Ok(*x as f32),
            other => Err(mismatch(key, "f32", other)),
        }
    }

    /// A truth value.
    pub fn bool(&self, key: &str) -> Result<bool> {
        match self.require(key)? {
            Value::Bool(x) => Ok(*x),
            other => Err(mismatch(key, "bool", other)),
        }
    }

    /// A string.
    pub fn str(&self, key: &str) -> Result<&str> {
        match self.require(key)? {
            Value::String(x) => Ok(x),
            other => Err(mismatch(key, "string", other)),
        }
    }

    /// An array of strings.
    pub fn strings(&self, key: &str) -> Result<&[String]> {
        match self.require(key)? {
            Value::Array(Array::String(x)) => Ok(x),
            other => Err(mismatch(key, "array of string", other)),
        }
    }

    /// An array of 32-bit unsigned integers.
    pub fn u32s(&self, key: &str) -> Result<&[u32]> {
        match self.require(key)? {
            Value::Array(Array::U32(x)) => Ok(x),
            other => Err(mismatch(key, "array of u32", other)),
        }
    }

    /// An array of 32-bit signed integers.
    pub fn i32s(&self, key: &str) -> Result<&[i32]> {
        match self.require(key)? {
            Value::Array(Array::I32(x)) => Ok(x),
            other => Err(mismatch(key, "array of i32", other)),
        }
    }

    /// An array of 64-bit unsigned integers.
    pub fn u64s(&self, key: &str) -> Result<&[u64]> {
        match self.require(key)? {
            Value::Array(Array::U64(x)) => Ok(x),
            other => Err(mismatch(key, "array of u64", other)),
        }
    }

    /// An array of 32-bit floating-point numbers.
    pub fn f32s(&self, key: &str) -> Result<&[f32]> {
        match self.require(key)? {
            Value::Array(Array::F32(x)) => Ok(x),
            other => Err(mismatch(key, "array of f32", other)),
        }
    }

    fn require(&self, key: &str) -> Result<&Value> {
        self.get(key).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidFile,
                format!("metadata key {key} is missing"),
            )
        })
    }
}

fn mismatch(key: &str, expected: &str, found: &Value) -> Error {
    let found = match found.as_integer() {
        Some(x) => format!("{} {x}", found.type_name()),
        None => found.type_name(),
    };
    Error::new(
        ErrorKind::InvalidFile,
        format!("metadata key {key}: expected {expected}, found {found}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_other_widths_are_accepted_where_they_fit() {
        let mut m = Metadata::new();
        m.insert("a", 7u64);
        m.insert("b", -1i32);
        assert_eq!(m.u32("a").unwrap(), 7);
        assert_eq!(
            m.u32("b").unwrap_err().message(),
            "metadata key b: expected u32, found i32 -1"
        );
    }

    #[test]
    fn errors_name_key_expectation_and_find() {
        let mut m = Metadata::new();
        m.insert("a", vec![String::new()]);
        assert_eq!(
            m.bool("a").unwrap_err().message(),
            "metadata key a: expected bool, found array of string"
        );
        assert_eq!(
            m.str("b").unwrap_err().message(),
            "metadata key b is missing"
        );
    }

    #[test]
    fn inserting_again_keeps_the_place() {
        let mut m = Metadata::new();
        m.insert("a", 1u32);
        m.insert("b", 2u32);
        m.insert("a", 3u32);
        let keys: Vec<_> = m.iter().map(|(k, _)| k).collect();
        assert_eq!(keys, ["a", "b"]);
        assert_eq!(m.u32("a").unwrap(), 3);
    }
}
