//! A request for an answer, built by a program or read from OpenAI's JSON.
//!
//! Owns the request as a whole: messages, tools, and what is to be continued; fields that decide
//! how to answer (sampling, streaming) belong to whoever answers. Whether the messages make a
//! conversation is checked when they are encoded, wherever they come from.

use super::{
    Message, Tool,
    fields::{Fields, invalid},
    read,
};
use crate::{Error, ErrorKind, Result};
use serde_json::Value;

/// Messages, and the tools that the model may call.
#[derive(Clone, Debug, Default)]
pub struct ChatRequest {
    /// The conversation, oldest message first.
    pub messages: Vec<Message>,
    /// The tools.
    pub tools: Vec<Tool>,
}

impl ChatRequest {
    /// A request without tools.
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            tools: Vec::new(),
        }
    }

    /// The same request with `tools`.
    pub fn with_tools(mut self, tools: Vec<Tool>) -> Self {
        self.tools = tools;
        self
    }

    /// Reads `messages` and `tools` of an OpenAI-style request. `"prefix": true` in the last
    /// message, or `prefix` or `continue_final_message` beside the messages, asks to continue
    /// that message, which must be the assistant's.
    ///
    /// # Errors
    /// `InvalidRequest` for a field that is missing or of a wrong type, `InvalidValue` for a role
    /// or a kind of content that does not exist, `InvalidAssistantMessage` for reasoning, which
    /// this template cannot express, `InvalidMessageStructure` if what should be continued is no
    /// assistant's message. Sentences name the field, as in `messages[2].content[0].text`.
    pub fn from_json(json: &Value) -> Result<Self> {
        let fields = Fields::new(String::new(), json)?;
        if fields.get("messages").is_none() {
            return Err(fields.missing("messages", "a list"));
        }
        if fields.get("reasoning_effort").is_some() {
            return Err(invalid(
                "reasoning_effort: this model has no reasoning to adjust, leave it out".to_owned(),
            ));
        }
        let mut messages = fields
            .items("messages")?
            .map(|(path, value)| read::message(&Fields::new(path, value)?))
            .collect::<Result<Vec<_>>>()?;
        if fields.bool("prefix")? || fields.bool("continue_final_message")? {
            continue_last(&mut messages)?;
        }
        let tools = fields
            .items("tools")?
            .map(|(path, value)| read::tool(&Fields::new(path, value)?))
            .collect::<Result<_>>()?;
        Ok(Self { messages, tools })
    }
}

fn continue_last(messages: &mut [Message]) -> Result<()> {
    let found = match messages.last_mut() {
        Some(Message::Assistant { prefix, .. }) => {
            *prefix = true;
            return Ok(());
        }
        Some(other) => format!("the last one is of the {}", other.role()),
        None => "there is none".to_owned(),
    };
    Err(Error::new(
        ErrorKind::InvalidMessageStructure,
        format!("only a message of the assistant can be continued, but {found}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{
        ImageSource, Part,
        testing::{encode, render},
    };
    use proptest::prelude::*;
    use serde_json::{Map, json};

    fn read(json: Value) -> Result<ChatRequest> {
        ChatRequest::from_json(&json)
    }

    #[test]
    fn content_is_a_string_or_a_list_of_parts() {
        let request = read(json!({"messages": [
            {"role": "developer", "content": "s"},
            {"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": "1x1"},
                {"type": "image_url", "image_url": {"url": "1x2", "detail": "high"}},
            ]},
        ]}))
        .unwrap();
        assert_eq!(
            render(&request),
            "<s>[INST]s\n\na[IMG][IMG_END][IMG][IMG][IMG_END][/INST]"
        );
        let Message::User { parts } = &request.messages[1] else {
            panic!("{request:?}");
        };
        assert!(matches!(&parts[1], Part::Image(ImageSource::Url(url)) if url == "1x1"));
    }

    #[test]
    fn arguments_are_text_or_an_object() {
        let request = |arguments: Value| {
            let call =
                json!({"id": "aaaaaaaa1", "function": {"name": "f", "arguments": arguments}});
            read(json!({"messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "aaaaaaaa1", "content": ""},
            ]}))
        };
        for (arguments, expected) in [
            (json!("{\"x\":1e5}"), "{\"x\": 100000.0}"),
            (
                json!({"x": 1e5, "y": [0.1]}),
                "{\"x\": 100000.0, \"y\": [0.1]}",
            ),
            (json!(""), "{}"),
            (json!(null), "{}"),
        ] {
            let expected = format!("\"arguments\": {expected}, ");
            let text = render(&request(arguments).unwrap());
            assert!(text.contains(&expected), "{text}");
        }
        let e = request(json!([1])).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidRequest);
        assert!(
            e.message()
                .starts_with("messages[1].tool_calls[0].function.arguments"),
            "{e}"
        );
    }

    #[test]
    fn what_a_tool_leaves_out_is_empty() {
        let tools = json!([{"function": {"name": "f", "description": null, "strict": true}}]);
        let request = read(json!({"messages": [], "tools": tools, "temperature": 0})).unwrap();
        assert_eq!(
            request.tools,
            [Tool {
                name: "f".into(),
                description: String::new(),
                parameters: Map::new(),
            }]
        );
    }

    #[test]
    fn numbers_of_a_schema_keep_their_exact_value() {
        let text = r#"{"messages": [{"role": "user", "content": ""}], "tools": [{"function":
            {"name": "f", "parameters": {"maximum": 0.30000000000000004, "x": 8.41e21}}}]}"#;
        let rendered = render(&read(serde_json::from_str(text).unwrap()).unwrap());
        assert!(
            rendered.contains("{\"maximum\": 0.30000000000000004, \"x\": 8.41e+21}"),
            "{rendered}"
        );
    }

    #[test]
    fn the_last_message_is_continued_however_that_is_asked() {
        let messages =
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
        let mut marked = messages.clone();
        marked[1]["prefix"] = json!(true);
        for request in [
            json!({"messages": messages, "prefix": true}),
            json!({"messages": messages, "continue_final_message": true}),
            json!({"messages": marked}),
        ] {
            assert_eq!(render(&read(request).unwrap()), "<s>[INST]a[/INST]b");
        }
        let e = read(json!({"messages": [messages[0]], "prefix": true})).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidMessageStructure);
        assert!(e.message().contains("user"), "{e}");
    }

    /// JSON of which much looks like parts of a request.
    fn request_like() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(vec![
            "messages",
            "role",
            "content",
            "tools",
            "tool_calls",
            "tool_call_id",
            "function",
            "name",
            "arguments",
            "parameters",
            "type",
            "text",
            "image_url",
            "url",
            "prefix",
            "id",
            "properties",
            "user",
            "assistant",
            "system",
            "tool",
            "aaaaaaaa1",
            "{\"x\":1}",
            "",
        ]);
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            word.clone().prop_map(Value::from),
        ];
        let tree = leaf.prop_recursive(5, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((word.clone(), inner), 0..5).prop_map(|fields| {
                    let fields = fields.into_iter().map(|(k, v)| (k.to_owned(), v));
                    Value::Object(fields.collect())
                }),
            ]
        });
        let message = (
            prop::sample::select(vec!["user", "assistant", "system", "tool"]),
            tree.clone(),
            tree.clone(),
            prop::option::of(tree.clone()),
        )
            .prop_map(|(role, content, calls, name)| {
                json!({"role": role, "content": content, "tool_calls": calls,
                       "tool_call_id": "aaaaaaaa1", "name": name})
            });
        let request = (prop::collection::vec(message, 0..4), tree.clone())
            .prop_map(|(messages, tools)| json!({"messages": messages, "tools": tools}));
        prop_oneof![tree, request]
    }

    proptest! {
        #[test]
        fn no_json_whatever_makes_reading_or_encoding_panic(json in request_like()) {
            match ChatRequest::from_json(&json).and_then(|request| encode(&request)) {
                Ok(prompt) => prop_assert!(!prompt.ids.is_empty()),
                Err(e) => prop_assert!((40..=46).contains(&e.kind().code()), "{e}"),
            }
        }
    }
}
