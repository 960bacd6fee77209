//! Tools and calls of them, and how the template writes them.
//!
//! Owns the types and the order of the JSON fields that the model knows. It checks nothing.

use super::python_json::{self, Json};
use crate::Result;
use serde::Serialize;
use serde_json::{Map, Value};

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name: 1 to 64 letters, digits, underscores or dashes.
    pub name: String,
    /// What it does, for the model to read.
    pub description: String,
    /// JSON schema (draft 7) of its parameters.
    pub parameters: Map<String, Value>,
}

/// A call that the model made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// What its result refers to: 9 letters or digits.
    pub id: String,
    /// The [name](Tool::name) of the tool.
    pub name: String,
    /// The arguments as JSON text. Nothing means none; text that is not JSON is passed on as a
    /// string.
    pub arguments: String,
}

impl ToolCall {
    /// A call of the tool `name`.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        }
    }
}

#[derive(Serialize)]
struct Declaration<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Call<'a> {
    name: &'a str,
    arguments: Json<'a>,
    id: &'a str,
}

#[derive(Serialize)]
struct ToolResult<'a> {
    content: Json<'a>,
    call_id: &'a str,
}

/// What stands between `[AVAILABLE_TOOLS]` and `[/AVAILABLE_TOOLS]`.
pub(super) fn declarations(tools: &[Tool]) -> Result<String> {
    let list: Vec<Declaration> = tools
        .iter()
        .map(|tool| Declaration {
            kind: "function",
            function: Function {
                name: &tool.name,
                description: &tool.description,
                parameters: &tool.parameters,
            },
        })
        .collect();
    python_json::to_string(&list)
}

/// What stands after `[TOOL_CALLS]`.
pub(super) fn calls(calls: &[&ToolCall]) -> Result<String> {
    let list: Vec<Call> = calls
        .iter()
        .map(|call| Call {
            name: &call.name,
            arguments: Json::from_text(&call.arguments),
            id: &call.id,
        })
        .collect();
    python_json::to_string(&list)
}

/// What stands between `[TOOL_RESULTS]` and `[/TOOL_RESULTS]`.
pub(super) fn result(text: &str, call_id: &str) -> Result<String> {
    python_json::to_string(&ToolResult {
        content: Json::from_text(text),
        call_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_declaration_has_every_field_even_if_empty() {
        let parameters = json!({"type": "object", "properties": {"x": {"maximum": 1e5}}});
        let tool = Tool {
            name: "f".into(),
            description: String::new(),
            parameters: parameters.as_object().unwrap().clone(),
        };
        assert_eq!(
            declarations(&[tool]).unwrap(),
            "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"\", \
             \"parameters\": {\"type\": \"object\", \"properties\": {\"x\": {\"maximum\": 100000.0}}}}}]"
        );
    }

    #[test]
    fn arguments_are_json_or_else_a_string() {
        let json = ToolCall::new("aaaaaaaa1", "f", "{\"x\":1}");
        let none = ToolCall::new("aaaaaaaa2", "g", "");
        let text = ToolCall::new("aaaaaaaa3", "h", "x = 1");
        assert_eq!(
            calls(&[&json, &none, &text]).unwrap(),
            "[{\"name\": \"f\", \"arguments\": {\"x\": 1}, \"id\": \"aaaaaaaa1\"}, \
             {\"name\": \"g\", \"arguments\": {}, \"id\": \"aaaaaaaa2\"}, \
             {\"name\": \"h\", \"arguments\": \"x = 1\", \"id\": \"aaaaaaaa3\"}]"
        );
    }

    #[test]
    fn results_are_json_or_else_a_string() {
        let content = |text| result(text, "aaaaaaaa1").unwrap();
        assert_eq!(
            content("[1,2]"),
            "{\"content\": [1, 2], \"call_id\": \"aaaaaaaa1\"}"
        );
        assert_eq!(
            content("sunny"),
            "{\"content\": \"sunny\", \"call_id\": \"aaaaaaaa1\"}"
        );
        assert_eq!(content(""), "{\"content\": {}, \"call_id\": \"aaaaaaaa1\"}");
    }
}
