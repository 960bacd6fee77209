//! Reads the fields of a JSON object one by one and answers for each of them: a needed field that
//! is missing, a value that would change the mathematics, a field nobody asked for. It knows JSON
//! and how to say so in a sentence, and nothing about models.

use crate::{Error, ErrorKind, Result};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// A JSON object being read, with the names of the fields that were asked for.
pub(super) struct Fields<'a> {
    /// The file, as sentences name it.
    file: &'a str,
    /// Path of this object within the file, with a dot at its end unless it is the outermost.
    prefix: String,
    map: &'a Map<String, Value>,
    known: HashSet<&'static str>,
}

impl<'a> Fields<'a> {
    /// The outermost object of `file`.
    pub fn new(file: &'a str, json: &'a Value) -> Result<Self> {
        match json {
            Value::Object(map) => Ok(Self {
                file,
                prefix: String::new(),
                map,
                known: HashSet::new(),
            }),
            _ => Err(invalid(format!("{file}: expected a JSON object"))),
        }
    }

    /// The object in field `key`, if there is one.
    pub fn object(&mut self, key: &'static str) -> Result<Option<Fields<'a>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields {
                file: self.file,
                prefix: format!("{}{key}.", self.prefix),
                map,
                known: HashSet::new(),
            })),
            Some(other) => Err(self.mistyped(key, other, "an object")),
        }
    }

    /// A whole number that must be there.
    pub fn u32(&mut self, key: &'static str) -> Result<u32> {
        self.opt_u32(key)?.ok_or_else(|| self.missing(key))
    }

    /// A whole number, if it is there and not null.
    pub fn opt_u32(&mut self, key: &'static str) -> Result<Option<u32>> {
        self.get(key)
            .map(|value| self.as_u32(key, value))
            .transpose()
    }

    /// A whole number, or a list of two equal ones: the side of a square.
    pub fn opt_side(&mut self, key: &'static str) -> Result<Option<u32>> {
        match self.get(key) {
            Some(Value::Array(sides)) if sides.len() == 2 && sides[0] == sides[1] => {
                self.as_u32(key, &sides[0]).map(Some)
            }
            _ => self.opt_u32(key),
        }
    }

    /// A number that must be there.
    pub fn f32(&mut self, key: &'static str) -> Result<f32> {
        self.opt_f32(key)?.ok_or_else(|| self.missing(key))
    }

    /// A number, if it is there and not null.
    pub fn opt_f32(&mut self, key: &'static str) -> Result<Option<f32>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number as f32)),
                None => Err(self.mistyped(key, value, "a number")),
            },
        }
    }

    /// True or false; `default` if it is not there.
    pub fn bool_or(&mut self, key: &'static str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(self.mistyped(key, other, "true or false")),
        }
    }

    /// Refuses the model unless field `key` is absent or has one of the `accepted` values.
    pub fn only(&mut self, key: &'static str, accepted: &[Value]) -> Result<()> {
        self.known.insert(key);
        match self.map.get(key) {
            Some(value) if !accepted.contains(value) => {
                Err(self.not_accepted(key, value, "", accepted))
            }
            _ => Ok(()),
        }
    }

    /// As [`Fields::only`], for a field whose absence means `default` (by the rule of `owner`).
    pub fn only_with_default(
        &mut self,
        key: &'static str,
        default: Value,
        owner: &str,
        accepted: &[Value],
    ) -> Result<()> {
        self.known.insert(key);
        let (value, origin) = match self.map.get(key) {
            Some(value) => (value, String::new()),
            None => (&default, format!(" ({owner}'s default)")),
        };
        if accepted.contains(value) {
            Ok(())
        } else {
            Err(self.not_accepted(key, value, &origin, accepted))
        }
    }

    /// Refuses the model if field `key` is a list with anything but `accepted` in it.
    pub fn each_only(&mut self, key: &'static str, accepted: &Value) -> Result<()> {
        match self.get(key) {
            None => Ok(()),
            Some(Value::Array(list)) => match list.iter().find(|value| *value != accepted) {
                None => Ok(()),
                Some(value) => {
                    Err(self.not_accepted(key, value, " in places", std::slice::from_ref(accepted)))
                }
            },
            Some(other) => Err(self.mistyped(key, other, "a list")),
        }
    }

    /// Refuses the model if there is any field that nobody asked for.
    pub fn refuse_others(self) -> Result<()> {
        let other = self
            .map
            .keys()
            .find(|key| !self.known.contains(key.as_str()));
        match other {
            None => Ok(()),
            Some(key) => {
                let found = format!("{}: this field is not supported", shown(&self.map[key]));
                Err(self.unsupported(key, found))
            }
        }
    }

    /// Whether the field is there and null.
    pub fn is_null(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// Accepts the fields `keys` with whatever value: they say nothing about the mathematics.
    pub fn ignore(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// Adds a note for each field that nobody asked for.
    pub fn finish(self, notes: &mut Vec<String>) {
        for (key, value) in self.map {
            if !self.known.contains(key.as_str()) {
                notes.push(format!(
                    "{}: unknown field {}{key} ({}) is ignored",
                    self.file,
                    self.prefix,
                    shown(value)
                ));
            }
        }
    }

    /// The error for a needed field that is not there.
    pub fn missing(&self, key: &str) -> Error {
        invalid(format!(
            "{}: field {}{key} is missing",
            self.file, self.prefix
        ))
    }

    /// The error for a field whose value contradicts something else: `reason` completes the
    /// sentence "field … is …, ".
    pub fn contradiction(&self, key: &str, value: impl std::fmt::Display, reason: &str) -> Error {
        invalid(format!(
            "{}: field {}{key} is {value}, {reason}",
            self.file, self.prefix
        ))
    }

    /// The error for a field whose value this library cannot follow: "… is `found`".
    pub fn unsupported(&self, key: &str, found: impl std::fmt::Display) -> Error {
        Error::new(
            ErrorKind::UnsupportedModel,
            format!("{}: {}{key} is {found}", self.file, self.prefix),
        )
    }

    /// The field's value; null counts as absent.
    fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.insert(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn as_u32(&self, key: &str, value: &Value) -> Result<u32> {
        value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| self.mistyped(key, value, "a whole number below 2^32"))
    }

    fn mistyped(&self, key: &str, value: &Value, expected: &str) -> Error {
        self.contradiction(key, shown(value), &format!("expected {expected}"))
    }

    fn not_accepted(&self, key: &str, value: &Value, origin: &str, accepted: &[Value]) -> Error {
        let accepted: Vec<String> = accepted.iter().map(shown).collect();
        self.unsupported(
            key,
            format!(
                "{}{origin}: only models where it is {} are supported",
                shown(value),
                accepted.join(" or ")
            ),
        )
    }
}

/// An error of kind [`ErrorKind::InvalidCheckpoint`].
pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidCheckpoint, message)
}

/// A value as JSON, cut to a length that fits into a sentence.
fn shown(value: &Value) -> String {
    const LIMIT: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn missing_and_mistyped_fields_are_named_with_their_path() {
        let json = json!({"outer": {"number": "ten", "big": 4294967296u64}});
        let mut fields = Fields::new("x.json", &json).unwrap();
        let mut outer = fields.object("outer").unwrap().unwrap();
        let message = |e: Result<u32>| e.unwrap_err().message().to_string();
        assert_eq!(
            message(outer.u32("absent")),
            "x.json: field outer.absent is missing"
        );
        assert_eq!(
            message(outer.u32("number")),
            "x.json: field outer.number is \"ten\", expected a whole number below 2^32"
        );
        assert!(message(outer.u32("big")).contains("is 4294967296, expected"));
    }

    #[test]
    fn a_value_that_changes_the_mathematics_is_refused_also_when_it_is_a_default() {
        let json = json!({"window": 4096, "act": "relu"});
        let mut fields = Fields::new("x.json", &json).unwrap();
        let e = fields.only("window", &[Value::Null]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::UnsupportedModel);
        assert_eq!(
            e.message(),
            "x.json: window is 4096: only models where it is null are supported"
        );
        let e = fields
            .only_with_default("layer", json!(-2), "LlavaConfig", &[json!(-1)])
            .unwrap_err();
        assert_eq!(
            e.message(),
            "x.json: layer is -2 (LlavaConfig's default): only models where it is -1 are supported"
        );
        assert!(fields.only("absent", &[json!(false)]).is_ok());
    }

    #[test]
    fn fields_that_nobody_asked_for_are_noted() {
        let json = json!({"dim": 1, "name": "x", "strange": [1, 2]});
        let mut fields = Fields::new("x.json", &json).unwrap();
        fields.u32("dim").unwrap();
        fields.ignore(&["name"]);
        let mut notes = Vec::new();
        fields.finish(&mut notes);
        assert_eq!(notes, ["x.json: unknown field strange ([1,2]) is ignored"]);
    }
}
