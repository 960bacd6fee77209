//! `tools`, `tool_choice` and `parallel_tool_calls`: whether the model may, must or must not call.

use crate::{
    body::fields,
    error::{ApiError, Result},
    ids,
};
use pixtral::chat::{ChatRequest, Message, Tool};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Whether tools are called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Calls {
    /// The model decides; without tools it has nothing to decide.
    Auto,
    /// It answers in words.
    Never,
    /// It calls some of these.
    Forced {
        tools: Vec<Tool>,
        /// Most calls.
        most: Option<usize>,
    },
}

#[derive(Deserialize)]
struct Fields {
    tool_choice: Option<Choice>,
    parallel_tool_calls: Option<bool>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"none\", \"auto\", \"required\" or {\"type\": \"function\", \"function\": {\"name\": …}}"
)]
enum Choice {
    Mode(Mode),
    Named { function: Named },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    None,
    Auto,
    /// Mistral's name for it is `any`.
    #[serde(alias = "any")]
    Required,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Calls {
    /// What `request`, which declares `tools`, asks for.
    pub(crate) fn read(request: &Value, tools: &[Tool]) -> Result<Self> {
        let Fields {
            tool_choice,
            parallel_tool_calls,
        } = fields(request)?;
        let most = (parallel_tool_calls == Some(false)).then_some(1);
        let forced = |tools: Vec<Tool>, most| match tools.is_empty() {
            true => Err(ApiError::field(
                "tool_choice",
                "no such tool is declared in tools",
            )),
            false => Ok(Self::Forced { tools, most }),
        };
        match tool_choice {
            None | Some(Choice::Mode(Mode::Auto)) => Ok(Self::Auto),
            Some(Choice::Mode(Mode::None)) => Ok(Self::Never),
            Some(Choice::Mode(Mode::Required)) => forced(tools.to_vec(), most),
            Some(Choice::Named { function }) => {
                let named = tools.iter().filter(|tool| tool.name == function.name);
                forced(named.take(1).cloned().collect(), Some(1))
            }
        }
    }
}

/// Gives calls that were made elsewhere ids of the form that the template demands: those of other models
/// are longer. The same id always becomes the same, so calls and results still belong together.
pub(crate) fn shorten_ids(chat: &mut ChatRequest) {
    for message in &mut chat.messages {
        match message {
            Message::Assistant { tool_calls, .. } => {
                tool_calls.iter_mut().for_each(|call| shorten(&mut call.id));
            }
            Message::Tool { call_id, .. } => shorten(call_id),
            Message::System { .. } | Message::User { .. } => {}
        }
    }
}

fn shorten(id: &mut String) {
    if id.chars().count() > ids::CALL_LENGTH {
        let hash = Sha256::digest(id.as_bytes());
        *id = format!("{hash:x}");
        id.truncate(ids::CALL_LENGTH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixtral::chat::ToolCall;
    use serde_json::{Map, json};

    fn tool(name: &str) -> Tool {
        Tool {
            name: name.to_owned(),
            description: String::new(),
            parameters: Map::new(),
        }
    }

    #[test]
    fn a_choice_is_a_mode_or_a_name() {
        let tools = [tool("f"), tool("g")];
        let read = |request: Value| Calls::read(&request, &tools);
        assert_eq!(read(json!({})).unwrap(), Calls::Auto);
        assert_eq!(read(json!({"tool_choice": "none"})).unwrap(), Calls::Never);
        for mode in ["required", "any"] {
            let request = json!({"tool_choice": mode, "parallel_tool_calls": false});
            let forced = Calls::Forced {
                tools: tools.to_vec(),
                most: Some(1),
            };
            assert_eq!(read(request).unwrap(), forced);
        }
        let named = json!({"type": "function", "function": {"name": "g"}});
        let forced = Calls::Forced {
            tools: vec![tool("g")],
            most: Some(1),
        };
        assert_eq!(read(json!({"tool_choice": named})).unwrap(), forced);
        for choice in [
            json!("sometimes"),
            json!(1),
            json!({"type": "function"}),
            json!({"function": {"name": "h"}}),
        ] {
            let e = read(json!({"tool_choice": choice})).unwrap_err();
            assert_eq!(e.param.as_deref(), Some("tool_choice"), "{choice}");
        }
        assert!(Calls::read(&json!({"tool_choice": "required"}), &[]).is_err());
    }

    #[test]
    fn ids_of_other_models_still_tie_results_to_calls() {
        let long = "call_0123456789abcdef";
        let mut chat = ChatRequest::new(vec![
            Message::tool_calls(vec![
                ToolCall::new(long, "f", ""),
                ToolCall::new("aaaaaaaa1", "f", ""),
            ]),
            Message::tool_result(long, "x"),
        ]);
        shorten_ids(&mut chat);
        let Message::Assistant { tool_calls, .. } = &chat.messages[0] else {
            panic!("{chat:?}");
        };
        let Message::Tool { call_id, .. } = &chat.messages[1] else {
            panic!("{chat:?}");
        };
        assert_eq!(&tool_calls[0].id, call_id);
        assert_eq!(call_id.len(), 9);
        assert_eq!(tool_calls[1].id, "aaaaaaaa1");
    }
}
