//! Messages and tools from OpenAI's JSON.
//!
//! Checks that each field it knows has its type and ignores all others, as mistral_common does. It
//! knows the fields of one message or tool and nothing of how they follow each other.

use super::{
    Message, Part, Role, Tool, ToolCall,
    fields::{Fields, invalid, mistyped, quoted},
};
use crate::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

pub(super) fn message(fields: &Fields) -> Result<Message> {
    match read_role(fields)? {
        Role::System => Ok(Message::System {
            texts: need_content(fields, read_texts(fields, Role::System)?)?,
        }),
        Role::User => Ok(Message::User {
            parts: need_content(fields, read_parts(fields)?)?,
        }),
        Role::Assistant => read_assistant(fields),
        Role::Tool => Ok(Message::Tool {
            texts: need_content(fields, read_texts(fields, Role::Tool)?)?,
            call_id: fields.str("tool_call_id")?.to_owned(),
            name: fields.opt_str("name")?.map(str::to_owned),
        }),
    }
}

fn read_role(fields: &Fields) -> Result<Role> {
    match fields.str("role")? {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" => Ok(Role::Tool),
        other => Err(Error::new(
            ErrorKind::InvalidValue,
            format!(
                "{}: there is no role {}, expected system, developer, user, assistant or tool",
                fields.path("role"),
                quoted(other)
            ),
        )),
    }
}

fn read_assistant(fields: &Fields) -> Result<Message> {
    if let Some(key) = ["reasoning", "reasoning_content"]
        .into_iter()
        .find(|key| fields.get(key).is_some())
    {
        return Err(Error::new(
            ErrorKind::InvalidAssistantMessage,
            format!(
                "{}: this model's template has no place for reasoning, leave it out",
                fields.path(key)
            ),
        ));
    }
    Ok(Message::Assistant {
        texts: read_texts(fields, Role::Assistant)?.unwrap_or_default(),
        tool_calls: fields
            .items("tool_calls")?
            .map(|(path, value)| read_tool_call(&Fields::new(path, value)?))
            .collect::<Result<_>>()?,
        prefix: fields.bool("prefix")?,
    })
}

fn need_content<T>(fields: &Fields, content: Option<T>) -> Result<T> {
    content.ok_or_else(|| fields.missing("content", "a string or a list of parts"))
}

/// The content of a message that takes text only.
fn read_texts(fields: &Fields, role: Role) -> Result<Option<Vec<String>>> {
    let Some(parts) = read_parts(fields)? else {
        return Ok(None);
    };
    let texts = parts.into_iter().enumerate().map(|(i, part)| match part {
        Part::Text(text) => Ok(text),
        Part::Image(_) => Err(invalid(format!(
            "{}[{i}]: a picture in a message of role {role}: only messages of role user take pictures",
            fields.path("content")
        ))),
    });
    texts.collect::<Result<_>>().map(Some)
}

/// The content of a message, if it has any: one text or a list of parts.
fn read_parts(fields: &Fields) -> Result<Option<Vec<Part>>> {
    match fields.get("content") {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(Some(Vec::new())),
        Some(Value::String(text)) => Ok(Some(vec![Part::text(text)])),
        Some(Value::Array(_)) => fields
            .items("content")?
            .map(|(path, value)| read_part(&Fields::new(path, value)?))
            .collect::<Result<_>>()
            .map(Some),
        Some(other) => Err(mistyped(
            &fields.path("content"),
            other,
            "a string or a list of parts",
        )),
    }
}

fn read_part(fields: &Fields) -> Result<Part> {
    match fields.str("type")? {
        "text" => fields.str("text").map(Part::text),
        "image_url" => read_image_url(fields).map(Part::image_url),
        other => Err(Error::new(
            ErrorKind::InvalidValue,
            format!(
                "{}: this model takes no {}, expected text or image_url",
                fields.path("type"),
                quoted(other)
            ),
        )),
    }
}

fn read_image_url<'a>(fields: &Fields<'a>) -> Result<&'a str> {
    if let Some(Value::String(url)) = fields.get("image_url") {
        return Ok(url);
    }
    let image = fields.object("image_url")?;
    if let Some(key) = image.keys().find(|key| !["url", "detail"].contains(key)) {
        return Err(invalid(format!(
            "{}: unknown field, expected url and perhaps detail",
            image.path(key)
        )));
    }
    image.opt_str("detail")?;
    image.str("url")
}

fn read_tool_call(fields: &Fields) -> Result<ToolCall> {
    check_type(fields)?;
    let function = fields.object("function")?;
    Ok(ToolCall {
        // Without an id it is refused later, like a malformed one.
        id: fields.opt_str("id")?.unwrap_or_default().to_owned(),
        name: function.str("name")?.to_owned(),
        arguments: match function.get("arguments") {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(object @ Value::Object(_)) => object.to_string(),
            Some(other) => {
                return Err(mistyped(
                    &function.path("arguments"),
                    other,
                    "JSON in a string, or an object",
                ));
            }
        },
    })
}

pub(super) fn tool(fields: &Fields) -> Result<Tool> {
    check_type(fields)?;
    let function = fields.object("function")?;
    Ok(Tool {
        name: function.str("name")?.to_owned(),
        description: function
            .opt_str("description")?
            .unwrap_or_default()
            .to_owned(),
        parameters: match function.get("parameters") {
            None => Map::new(),
            Some(Value::Object(parameters)) => parameters.clone(),
            Some(other) => return Err(mistyped(&function.path("parameters"), other, "an object")),
        },
    })
}

/// Tools of other types than functions do not exist here.
fn check_type(fields: &Fields) -> Result<()> {
    match fields.opt_str("type")? {
        None | Some("function") => Ok(()),
        Some(other) => Err(mistyped(
            &fields.path("type"),
            &Value::from(other),
            "\"function\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ChatRequest;
    use serde_json::json;

    #[test]
    fn wrong_fields_are_refused_by_their_path() {
        use ErrorKind::{InvalidAssistantMessage, InvalidRequest, InvalidValue};
        let message = |message: Value| json!({"messages": [message]});
        let part = |part: Value| message(json!({"role": "user", "content": [part]}));
        for (request, kind, path) in [
            (json!([]), InvalidRequest, "the request"),
            (json!({}), InvalidRequest, "messages is missing"),
            (json!({"messages": 1}), InvalidRequest, "messages"),
            (
                json!({"messages": [], "reasoning_effort": "high"}),
                InvalidRequest,
                "reasoning_effort",
            ),
            (message(json!("a")), InvalidRequest, "messages[0]"),
            (
                message(json!({"content": "a"})),
                InvalidRequest,
                "messages[0].role",
            ),
            (message(json!({"role": "robot"})), InvalidValue, "\"robot\""),
            (
                message(json!({"role": "user", "content": null})),
                InvalidRequest,
                "messages[0].content",
            ),
            (
                message(json!({"role": "tool", "content": "a"})),
                InvalidRequest,
                "messages[0].tool_call_id",
            ),
            (
                message(json!({"role": "assistant", "content": "a", "reasoning": ""})),
                InvalidAssistantMessage,
                "messages[0].reasoning",
            ),
            (
                part(json!({"type": "input_audio"})),
                InvalidValue,
                "\"input_audio\"",
            ),
            (
                part(json!({"text": "a"})),
                InvalidRequest,
                "messages[0].content[0].type",
            ),
            (
                part(json!({"type": "text"})),
                InvalidRequest,
                "messages[0].content[0].text",
            ),
            (
                part(json!({"type": "image_url", "image_url": {"url": "a", "size": 1}})),
                InvalidRequest,
                "messages[0].content[0].image_url.size",
            ),
            (
                json!({"messages": [], "tools": [{"type": "retrieval"}]}),
                InvalidRequest,
                "tools[0].type",
            ),
            (
                json!({"messages": [], "tools": [{"function": {"name": "f", "parameters": []}}]}),
                InvalidRequest,
                "tools[0].function.parameters",
            ),
        ] {
            let e = ChatRequest::from_json(&request).expect_err(path);
            assert_eq!(e.kind(), kind, "{request}");
            assert!(e.message().contains(path), "{request}: {e}");
        }
        for role in ["system", "assistant", "tool"] {
            let picture = json!([{"type": "image_url", "image_url": "a"}]);
            let request = message(json!({"role": role, "content": picture}));
            let e = ChatRequest::from_json(&request).unwrap_err();
            assert_eq!(e.kind(), InvalidRequest);
            assert!(e.message().contains(role), "{e}");
        }
    }
}
