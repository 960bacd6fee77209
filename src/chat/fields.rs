//! Reads the fields of a JSON object and says in a sentence what is wrong with them.
//!
//! It knows JSON and the paths of fields within a request, and nothing of chats. As in OpenAI's
//! requests a field that is null is one that is not there, and fields nobody asks for are ignored.

use crate::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

/// Longest text that an error repeats, in characters.
const MAX_QUOTED: usize = 40;

/// A JSON object and where it stands.
pub(super) struct Fields<'a> {
    /// Path within the request, empty for the request itself.
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The object `value`, found at `path`.
    pub fn new(path: String, value: &'a Value) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self { path, map }),
            _ => {
                let path = match path.is_empty() {
                    true => "the request",
                    false => &path,
                };
                Err(mistyped(path, value, "an object"))
            }
        }
    }

    /// The path of the field `key`.
    pub fn path(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.path),
        }
    }

    /// The names of all fields.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    /// A field that may be absent.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The error of a field that must be there and is not.
    pub fn missing(&self, key: &str, expected: &str) -> Error {
        invalid(format!(
            "{} is missing, expected {expected}",
            self.path(key)
        ))
    }

    /// A text that must be there.
    pub fn str(&self, key: &str) -> Result<&'a str> {
        self.opt_str(key)?
            .ok_or_else(|| self.missing(key, "a string"))
    }

    /// A text that may be absent.
    pub fn opt_str(&self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(mistyped(&self.path(key), other, "a string")),
        }
    }

    /// True or false; false if absent.
    pub fn bool(&self, key: &str) -> Result<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(mistyped(&self.path(key), other, "true or false")),
        }
    }

    /// The items of a list with their paths; none if it is absent.
    pub fn items(&self, key: &str) -> Result<impl Iterator<Item = (String, &'a Value)> + use<'a>> {
        let path = self.path(key);
        let items: &[Value] = match self.get(key) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(other) => return Err(mistyped(&path, other, "a list")),
        };
        Ok(items
            .iter()
            .enumerate()
            .map(move |(i, item)| (format!("{path}[{i}]"), item)))
    }

    /// The object in the field `key`, which must be there.
    pub fn object(&self, key: &str) -> Result<Fields<'a>> {
        let value = self
            .get(key)
            .ok_or_else(|| self.missing(key, "an object"))?;
        Fields::new(self.path(key), value)
    }
}

/// A request with a field that is not what it should be.
pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// The field at `path` holds `value` instead of what was `expected`.
pub(super) fn mistyped(path: &str, value: &Value, expected: &str) -> Error {
    invalid(format!(
        "{path}: expected {expected}, found {}",
        found(value)
    ))
}

/// A value in an error's sentence.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "an empty list".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// `text` in quotes, cut if it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_name_the_field_and_what_was_found() {
        let request = json!({"a": {"b": [1, {"c": 2}]}, "n": null});
        let request = Fields::new(String::new(), &request).unwrap();
        let (path, item) = request
            .object("a")
            .unwrap()
            .items("b")
            .unwrap()
            .nth(1)
            .unwrap();
        let item = Fields::new(path, item).unwrap();
        let message = |e: Error| e.message().to_owned();
        assert_eq!(
            message(item.str("c").unwrap_err()),
            "a.b[1].c: expected a string, found 2"
        );
        assert_eq!(
            message(request.str("n").unwrap_err()),
            "n is missing, expected a string"
        );
        assert_eq!(
            message(request.bool("a").unwrap_err()),
            "a: expected true or false, found an object"
        );
        let e = Fields::new(String::new(), &json!([])).err().unwrap();
        assert_eq!(
            message(e),
            "the request: expected an object, found an empty list"
        );
    }

    #[test]
    fn long_texts_are_cut_in_errors() {
        assert_eq!(quoted(&"é".repeat(40)).chars().count(), 42);
        assert_eq!(quoted(&"é".repeat(1000)).chars().count(), 43);
    }
}
