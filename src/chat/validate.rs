//! The rules that a conversation and its tools must keep.
//!
//! They are those of mistral_common's validator for version 3 in its default mode: what it
//! refuses is refused here. It judges the request alone and changes nothing.

use super::{ChatRequest, Message, Role, Tool, ToolCall, fields::quoted, schema};
use crate::{Error, ErrorKind, Result};

/// Length of a tool call's id.
const ID_LENGTH: usize = 9;
/// Longest name of a tool.
const MAX_NAME_LENGTH: usize = 64;

/// Errors name the message or tool by its index, say what is wrong and what is expected.
pub(super) fn validate(request: &ChatRequest) -> Result<()> {
    let messages = &request.messages;
    check_ends(messages)?;
    check_order(messages)?;
    check_results(messages)?;
    let last = messages.len().saturating_sub(1);
    for (i, message) in messages.iter().enumerate() {
        let path = format!("messages[{i}]");
        match message {
            Message::System { .. } | Message::User { .. } => {}
            Message::Assistant {
                texts,
                tool_calls,
                prefix,
            } => {
                check_assistant(&path, texts, tool_calls)?;
                if *prefix && i != last {
                    return Err(assistant(format!(
                        "{path}: only the last message can be continued (prefix)"
                    )));
                }
            }
            Message::Tool { call_id, name, .. } => check_tool(&path, call_id, name.as_deref())?,
        }
    }
    (0..)
        .zip(&request.tools)
        .try_for_each(|(i, tool): (usize, _)| check_declaration(&format!("tools[{i}]"), tool))
}

/// A conversation begins and ends with somebody who expects an answer.
fn check_ends(messages: &[Message]) -> Result<()> {
    match messages {
        [] => Err(structure(
            "messages is empty, expected at least one message".to_owned(),
        )),
        [only] if !matches!(only.role(), Role::User | Role::System) => Err(structure(format!(
            "messages[0]: a conversation cannot consist of one message of role {}, expected user \
             or system",
            only.role()
        ))),
        [_, .., Message::Assistant { prefix: false, .. }] => Err(structure(format!(
            "messages[{}]: the last message is of role assistant, expected user or tool, or \
             \"prefix\": true to continue it",
            messages.len() - 1
        ))),
        _ => Ok(()),
    }
}

fn check_order(messages: &[Message]) -> Result<()> {
    for (i, pair) in messages.windows(2).enumerate() {
        let [before, role] = [pair[0].role(), pair[1].role()];
        let expected = match before {
            Role::System => [Role::User, Role::Assistant, Role::System],
            Role::User => [Role::Assistant, Role::System, Role::User],
            Role::Assistant | Role::Tool => [Role::Assistant, Role::User, Role::Tool],
        };
        if !expected.contains(&role) {
            let [a, b, c] = expected;
            return Err(structure(format!(
                "messages[{}]: role {role} cannot follow role {before}, expected {a}, {b} or {c}",
                i + 1
            )));
        }
    }
    Ok(())
}

/// Before the assistant speaks again, each of its calls has its result. The first message is not
/// counted, and what the last calls lack is not missed.
fn check_results(messages: &[Message]) -> Result<()> {
    let (mut n_calls, mut n_results) = (0, 0);
    for (i, message) in messages.iter().enumerate().skip(1) {
        match message {
            Message::Tool { .. } => n_results += 1,
            Message::Assistant { tool_calls, .. } => {
                if n_results != n_calls {
                    return Err(structure(format!(
                        "messages[{i}]: {n_calls} tool calls and {n_results} results of tools come \
                         before this message of the assistant, expected one result for each call"
                    )));
                }
                (n_calls, n_results) = (tool_calls.len(), 0);
            }
            Message::System { .. } | Message::User { .. } => {}
        }
    }
    Ok(())
}

fn check_assistant(path: &str, texts: &[String], tool_calls: &[ToolCall]) -> Result<()> {
    match (texts.is_empty(), tool_calls.is_empty()) {
        (true, true) => {
            return Err(assistant(format!(
                "{path}: a message of the assistant without content, expected text or tool calls"
            )));
        }
        (false, false) => {
            return Err(assistant(format!(
                "{path}: a message of the assistant with text and tool calls, expected one of them"
            )));
        }
        _ => {}
    }
    for (i, call) in tool_calls.iter().enumerate() {
        let path = format!("{path}.tool_calls[{i}]");
        if !is_id(&call.id) {
            return Err(bad_id(&format!("{path}.id"), &call.id));
        }
        if !is_name(&call.name) {
            let path = format!("{path}.function.name");
            return Err(bad_name(ErrorKind::InvalidFunctionCall, &path, &call.name));
        }
    }
    Ok(())
}

fn check_tool(path: &str, call_id: &str, name: Option<&str>) -> Result<()> {
    if let Some(name) = name.filter(|name| !is_name(name)) {
        let path = format!("{path}.name");
        return Err(bad_name(ErrorKind::InvalidFunctionCall, &path, name));
    }
    match is_id(call_id) {
        true => Ok(()),
        false => Err(bad_id(&format!("{path}.tool_call_id"), call_id)),
    }
}

fn check_declaration(path: &str, tool: &Tool) -> Result<()> {
    schema::check(&format!("{path}.function.parameters"), &tool.parameters)?;
    match is_name(&tool.name) {
        true => Ok(()),
        false => Err(bad_name(
            ErrorKind::InvalidTool,
            &format!("{path}.function.name"),
            &tool.name,
        )),
    }
}

fn is_id(id: &str) -> bool {
    id.len() == ID_LENGTH && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn bad_id(path: &str, id: &str) -> Error {
    Error::new(
        ErrorKind::InvalidFunctionCall,
        format!(
            "{path}: {} is no id of a tool call, expected {ID_LENGTH} of a-z, A-Z, 0-9",
            quoted(id)
        ),
    )
}

fn bad_name(kind: ErrorKind, path: &str, name: &str) -> Error {
    Error::new(
        kind,
        format!(
            "{path}: {} is no name of a tool, expected 1 to {MAX_NAME_LENGTH} of a-z, A-Z, 0-9, \
             underscore and dash",
            quoted(name)
        ),
    )
}

fn structure(message: String) -> Error {
    Error::new(ErrorKind::InvalidMessageStructure, message)
}

/// A message of the assistant that the template cannot express.
pub(super) fn assistant(message: String) -> Error {
    Error::new(ErrorKind::InvalidAssistantMessage, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    const ID: &str = "abcDEF123";

    fn user() -> Message {
        Message::user(["a"])
    }

    fn assistant() -> Message {
        Message::assistant("b")
    }

    fn calls(n: usize) -> Message {
        Message::tool_calls(vec![ToolCall::new(ID, "f", ""); n])
    }

    fn result() -> Message {
        Message::tool_result(ID, "")
    }

    fn validated(messages: Vec<Message>) -> Result<()> {
        validate(&ChatRequest::new(messages))
    }

    #[track_caller]
    fn refused(messages: Vec<Message>, kind: ErrorKind, part: &str) {
        let e = validated(messages).expect_err(part);
        assert_eq!(e.kind(), kind, "{e}");
        assert!(e.message().contains(part), "{e}");
    }

    #[test]
    fn conversations_end_where_an_answer_is_expected() {
        let kind = ErrorKind::InvalidMessageStructure;
        refused(vec![], kind, "at least one");
        refused(vec![assistant()], kind, "role assistant");
        refused(vec![result()], kind, "role tool");
        refused(vec![user(), assistant()], kind, "messages[1]");
        validated(vec![user(), Message::system("s")]).unwrap();
        validated(vec![user(), Message::assistant_prefix("b")]).unwrap();
    }

    #[test]
    fn roles_follow_each_other_in_order() {
        let of = |role| match role {
            Role::System => Message::system("s"),
            Role::User => user(),
            Role::Assistant => assistant(),
            Role::Tool => result(),
        };
        use Role::{Assistant, System, Tool, User};
        let allowed = [
            (System, vec![System, User, Assistant]),
            (User, vec![System, User, Assistant]),
            (Assistant, vec![User, Assistant, Tool]),
            (Tool, vec![User, Assistant, Tool]),
        ];
        for (before, allowed) in allowed {
            for after in [System, User, Assistant, Tool] {
                let result = check_order(&[of(before), of(after)]);
                assert_eq!(result.is_ok(), allowed.contains(&after));
                if let Err(e) = result {
                    assert_eq!(e.kind(), ErrorKind::InvalidMessageStructure);
                    let sentence = format!("role {after} cannot follow role {before}");
                    assert!(e.message().contains(&sentence), "{e}");
                }
            }
        }
    }

    #[test]
    fn each_call_has_its_result_before_the_assistant_goes_on() {
        let kind = ErrorKind::InvalidMessageStructure;
        validated(vec![
            user(),
            calls(2),
            result(),
            result(),
            assistant(),
            user(),
        ])
        .unwrap();
        refused(
            vec![user(), calls(2), result(), assistant(), user()],
            kind,
            "messages[3]: 2 tool calls and 1 results",
        );
        refused(
            vec![user(), calls(1), result(), result(), assistant(), user()],
            kind,
            "messages[4]: 1 tool calls and 2 results",
        );
        // At the end, calls are perhaps still being answered.
        validated(vec![user(), calls(2), result()]).unwrap();
    }

    #[test]
    fn the_assistant_answers_or_calls() {
        let kind = ErrorKind::InvalidAssistantMessage;
        let both = Message::Assistant {
            texts: vec!["b".into()],
            tool_calls: vec![ToolCall::new(ID, "f", "")],
            prefix: false,
        };
        refused(vec![user(), both, result()], kind, "text and tool calls");
        refused(
            vec![user(), Message::assistant(""), user()],
            kind,
            "messages[1]",
        );
        let prefix = Message::assistant_prefix("b");
        refused(vec![user(), prefix, user()], kind, "messages[1]");
    }

    #[test]
    fn ids_and_names_have_their_form() {
        let kind = ErrorKind::InvalidFunctionCall;
        let call = |id, name| Message::tool_calls(vec![ToolCall::new(id, name, "")]);
        for id in [
            "",
            "null",
            "abcDEF12",
            "abcDEF1234",
            "abcDEF12-",
            "abcDEF1é",
        ] {
            let sentence = format!("messages[1].tool_calls[0].id: {id:?}");
            refused(vec![user(), call(id, "f"), result()], kind, &sentence);
            let messages = vec![user(), calls(1), Message::tool_result(id, "")];
            refused(messages, kind, &format!("messages[2].tool_call_id: {id:?}"));
        }
        let long = "x".repeat(MAX_NAME_LENGTH);
        validated(vec![user(), call(ID, &long), result()]).unwrap();
        for name in ["", "a b", "é", "f\n", &format!("{long}x")] {
            let messages = vec![user(), call(ID, name), result()];
            refused(messages, kind, "tool_calls[0].function.name");
            let named = Message::Tool {
                texts: vec![],
                call_id: ID.into(),
                name: Some(name.into()),
            };
            refused(vec![user(), calls(1), named], kind, "messages[2].name");
            let tool = Tool {
                name: name.into(),
                description: String::new(),
                parameters: Map::new(),
            };
            let request = ChatRequest::new(vec![user()]).with_tools(vec![tool]);
            let e = validate(&request).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidTool);
            assert!(e.message().starts_with("tools[0].function.name"), "{e}");
        }
    }
}
