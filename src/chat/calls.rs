//! Tool calls in answers: what the model writes after `[TOOL_CALLS]`.
//!
//! It reads text as it comes, piece by piece, and knows neither tokens nor who calls the tools.

use super::fields::quoted;
use crate::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A piece of a call that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPiece {
    /// Which call of the answer it belongs to.
    pub index: usize,
    /// The tool's name, in the first piece of each call and in no other.
    pub name: Option<String>,
    /// The next part of the arguments, JSON text; may be empty.
    pub arguments: String,
}

/// Reads the calls of one answer while they are written: a list of objects with `name` and
/// `arguments`.
#[derive(Debug, Default)]
pub struct CallReader {
    text: String,
    /// Bytes of it that were looked at.
    seen: usize,
    depth: usize,
    /// Where the text that is being read begins, its quote included.
    string: Option<usize>,
    escaped: bool,
    /// The field of the call that is being read.
    key: Option<String>,
    /// Where its value begins.
    value: Option<usize>,
    /// Whether it is arguments that are an object, which are passed on piece by piece.
    in_arguments: bool,
    name: Option<String>,
    /// Arguments that have come and were not passed on.
    arguments: String,
    /// Whether the call's name was passed on.
    announced: bool,
    index: usize,
}

/// Depth of a call's fields: within the list, within the object.
const FIELDS: usize = 2;

impl CallReader {
    /// Takes the next text and returns what is new in it.
    pub fn push(&mut self, text: &str) -> Vec<CallPiece> {
        let mut pieces = Vec::new();
        self.text.push_str(text);
        while let Some(&byte) = self.text.as_bytes().get(self.seen) {
            self.step(byte, &mut pieces);
            self.seen += 1;
        }
        if self.in_arguments
            && let Some(start) = self.value
        {
            self.arguments.push_str(&self.text[start..]);
            self.value = Some(self.text.len());
        }
        self.pass_on(&mut pieces);
        pieces
    }

    /// Name and arguments of every call, now that all has come.
    ///
    /// Errors with `InvalidFunctionCall` if the text is no list of calls.
    pub fn finish(self) -> Result<Vec<(String, String)>> {
        read_calls(&self.text)
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn step(&mut self, byte: u8, pieces: &mut Vec<CallPiece>) {
        if let Some(start) = self.string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.string = None;
                    if self.depth == FIELDS && self.key.is_none() {
                        let key = serde_json::from_str(&self.text[start..=self.seen]);
                        self.key = Some(key.unwrap_or_default());
                    }
                }
                _ => {}
            }
            return;
        }
        let begins_value = self.depth == FIELDS && self.key.is_some() && self.value.is_none();
        match byte {
            b',' if self.depth == FIELDS => self.end_field(self.seen, pieces),
            b'}' if self.depth == FIELDS => {
                self.end_field(self.seen, pieces);
                self.end_call();
                self.depth -= 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == FIELDS {
                    self.end_field(self.seen + 1, pieces);
                }
            }
            b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => {
                if begins_value {
                    self.value = Some(self.seen);
                    self.in_arguments = byte == b'{' && self.key.as_deref() == Some("arguments");
                }
                match byte {
                    b'"' => self.string = Some(self.seen),
                    b'{' | b'[' => self.depth += 1,
                    _ => {}
                }
            }
        }
    }

    /// The field that was being read ends at byte `end`.
    fn end_field(&mut self, end: usize, pieces: &mut Vec<CallPiece>) {
        let (Some(key), Some(start)) = (self.key.take(), self.value.take()) else {
            return;
        };
        let value = self.text[start..end].trim_end();
        match key.as_str() {
            "name" => self.name = serde_json::from_str(value).ok(),
            "arguments" if std::mem::take(&mut self.in_arguments) => self.arguments.push_str(value),
            // A text holds the JSON.
            "arguments" => match serde_json::from_str::<String>(value) {
                Ok(text) => self.arguments.push_str(&text),
                Err(_) => self.arguments.push_str(value),
            },
            _ => {}
        }
        self.pass_on(pieces);
    }

    fn end_call(&mut self) {
        self.index += usize::from(self.announced);
        self.announced = false;
        self.name = None;
        self.arguments.clear();
    }

    /// Passes on what can be: nothing before the name.
    fn pass_on(&mut self, pieces: &mut Vec<CallPiece>) {
        let name = match self.announced {
            false => self.name.take(),
            true => None,
        };
        if name.is_none() && (!self.announced || self.arguments.is_empty()) {
            return;
        }
        self.announced = true;
        pieces.push(CallPiece {
            index: self.index,
            name,
            arguments: std::mem::take(&mut self.arguments),
        });
    }
}

#[derive(Deserialize)]
struct Written<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

fn read_calls(text: &str) -> Result<Vec<(String, String)>> {
    let calls: Vec<Written> = serde_json::from_str(text.trim()).map_err(|e| {
        Error::new(
            ErrorKind::InvalidFunctionCall,
            format!("the model wrote {} as tool calls: {e}", quoted(text)),
        )
        .with_source(e)
    })?;
    let arguments = |call: &Written| match call.arguments.map(RawValue::get) {
        None => "{}".to_owned(),
        Some(json) => serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()),
    };
    Ok(calls
        .into_iter()
        .map(|call| (arguments(&call), call.name))
        .map(|(arguments, name)| (name, arguments))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Calls put together from the pieces that `texts` lead to.
    fn streamed<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<(String, String)> {
        let mut reader = CallReader::default();
        let mut calls: Vec<(String, String)> = Vec::new();
        for piece in texts.into_iter().flat_map(|text| reader.push(text)) {
            match piece.name {
                Some(name) => {
                    assert_eq!(piece.index, calls.len());
                    calls.push((name, piece.arguments));
                }
                None => calls[piece.index].1.push_str(&piece.arguments),
            }
        }
        calls
    }

    fn call(name: &str, arguments: &str) -> (String, String) {
        (name.to_owned(), arguments.to_owned())
    }

    #[test]
    fn arguments_come_while_they_are_written() {
        let mut reader = CallReader::default();
        assert!(reader.push(r#"[{"name": "we"#).is_empty());
        assert_eq!(
            reader.push(r#"ather", "arguments": {"ci"#),
            [
                CallPiece {
                    index: 0,
                    name: Some("weather".into()),
                    arguments: String::new()
                },
                CallPiece {
                    index: 0,
                    name: None,
                    arguments: r#"{"ci"#.into()
                }
            ]
        );
        let rest = reader.push(r#"ty": "Pa}ris\""}, "id": "aaaaaaaa1"}]"#);
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].arguments, r#"ty": "Pa}ris\""}"#);
        let arguments = r#"{"city": "Pa}ris\""}"#;
        assert_eq!(reader.finish().unwrap(), [call("weather", arguments)]);
    }

    #[test]
    fn fields_may_come_in_any_order_and_arguments_as_text() {
        let text = r#" [ {"arguments" : {"x":[1,{"name":"no"}]} , "name":"f"},
            {"name":"g","arguments":"{\"y\": 2}"}, {"name": "h", "arguments": {}} ] "#;
        let expected = [
            call("f", r#"{"x":[1,{"name":"no"}]}"#),
            call("g", r#"{"y": 2}"#),
            call("h", "{}"),
        ];
        assert_eq!(streamed([text]), expected);
        assert_eq!(read_calls(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_list_of_calls_is_refused() {
        for text in ["", "hello", "{}", r#"[{"name": 1}]"#, r#"[{"name": "f""#] {
            let e = read_calls(text).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidFunctionCall, "{text}");
        }
    }

    /// JSON, perhaps of calls.
    fn json_text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(Value::from),
            "[a-z\"\\\\{}é,:]{0,6}".prop_map(Value::from),
        ];
        let tree = leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec(("[a-z\"]{0,4}", inner), 0..3)
                    .prop_map(|fields| { Value::Object(fields.into_iter().collect()) }),
            ]
        });
        let object = prop::collection::vec(("[a-z\"]{0,4}", tree), 0..3)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()));
        let call =
            ("[a-z\"\\\\]{1,5}", object, any::<bool>()).prop_map(|(name, arguments, first)| {
                match first {
                    true => json!({"name": name, "arguments": arguments}),
                    false => json!({"id": "x", "arguments": arguments, "name": name}),
                }
            });
        prop::collection::vec(call, 0..4).prop_map(|calls| Value::from(calls).to_string())
    }

    proptest! {
        #[test]
        fn the_pieces_of_a_stream_are_the_calls_however_it_is_cut(
            text in json_text(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.retain(|&at| text.is_char_boundary(at));
            at.extend([0, text.len()]);
            at.sort_unstable();
            let texts = at.windows(2).map(|ends| &text[ends[0]..ends[1]]);
            prop_assert_eq!(streamed(texts), read_calls(&text).unwrap());
        }

        #[test]
        fn no_text_whatever_makes_reading_panic(text in "[\\[\\]{}\",:\\\\a-né ]{0,40}") {
            CallReader::default().push(&text);
        }
    }
}
