//! The rules of the template, each by itself, and properties of all conversations.

use super::testing::{encode, image, render, template, tokenizer, tokenizer_with, vision};
use super::{ChatRequest, ChatTemplate, Message, Part, Tool, ToolCall};
use crate::{Error, ErrorKind};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::Arc;

fn user(text: &str) -> Message {
    Message::user([text])
}

fn rendered(messages: Vec<Message>) -> String {
    render(&ChatRequest::new(messages))
}

fn call(id: &str) -> ToolCall {
    ToolCall::new(id, "f", "{\"x\":1}")
}

fn tool() -> Tool {
    Tool {
        name: "f".into(),
        description: "d".into(),
        parameters: Map::new(),
    }
}

const DECLARED: &str = "[AVAILABLE_TOOLS][{\"type\": \"function\", \"function\": {\"name\": \"f\", \
                        \"description\": \"d\", \"parameters\": {}}}][/AVAILABLE_TOOLS]";

#[test]
fn turns_follow_each_other_without_spaces() {
    assert_eq!(
        rendered(vec![user("a"), Message::assistant("b"), user("c")]),
        "<s>[INST]a[/INST]b</s>[INST]c[/INST]"
    );
}

#[test]
fn all_system_texts_begin_the_last_user_turn() {
    assert_eq!(
        rendered(vec![
            Message::system("s1"),
            user("a"),
            Message::assistant("b"),
            user("c"),
            Message::system("s2"),
        ]),
        "<s>[INST]a[/INST]b</s>[INST]s1\n\ns2\n\nc[/INST]"
    );
    assert_eq!(
        rendered(vec![Message::system("s")]),
        "<s>[INST]s\n\n[/INST]"
    );
}

#[test]
fn neighbours_of_one_role_are_one_turn() {
    assert_eq!(
        rendered(vec![
            user("a"),
            user(""),
            user("b"),
            Message::assistant("c "),
            Message::assistant("d"),
            user("e"),
        ]),
        "<s>[INST]a\n\nb[/INST]c \n\nd</s>[INST]e[/INST]"
    );
}

#[test]
fn a_system_message_between_users_separates_them() {
    assert_eq!(
        rendered(vec![user("a"), Message::system("s"), user("b")]),
        "<s>[INST]a[/INST][INST]s\n\nb[/INST]"
    );
}

#[test]
fn a_conversation_that_the_user_does_not_begin_gets_an_empty_first_turn() {
    assert_eq!(
        rendered(vec![Message::assistant("a"), user("b")]),
        "<s>[INST][/INST]a</s>[INST]b[/INST]"
    );
}

#[test]
fn texts_are_joined_with_an_empty_line_and_never_beside_a_picture() {
    let parts = ["a", "", "b"].map(Part::text).into_iter();
    let parts = parts.chain([Part::image_url("1x2"), Part::text("c")]);
    assert_eq!(
        rendered(vec![Message::user(parts)]),
        "<s>[INST]a\n\nb[IMG][IMG][IMG_END]c[/INST]"
    );
}

#[test]
fn one_picture_after_text_comes_first_and_any_other_order_is_kept() {
    let of = |parts: &[&str]| {
        rendered(vec![Message::user(parts.iter().map(|&part| match part {
            "#" => Part::image_url("2x1"),
            text => Part::text(text),
        }))])
    };
    let picture = "[IMG][IMG_BREAK][IMG][IMG_END]";
    for (parts, expected) in [
        (&["a", "#"][..], "#a"),
        (&["a", "b", "#"], "#a\n\nb"),
        (&["#", "a"], "#a"),
        (&["a", "#", "b"], "a#b"),
        (&["a", "#", "#"], "a##"),
        (&["#", "a", "#"], "#a#"),
    ] {
        let expected = format!("<s>[INST]{}[/INST]", expected.replace('#', picture));
        assert_eq!(of(parts), expected);
    }
}

#[test]
fn the_system_s_text_comes_before_a_picture() {
    let parts = [Part::text("a"), Part::image_url("1x1")];
    assert_eq!(
        rendered(vec![Message::system("s"), Message::user(parts)]),
        "<s>[INST]s\n\n[IMG][IMG_END]a[/INST]"
    );
}

#[test]
fn an_answer_loses_its_trailing_spaces_and_nothing_else() {
    assert_eq!(
        rendered(vec![user("a "), Message::assistant(" b \n  "), user(" c ")]),
        "<s>[INST]a [/INST] b \n</s>[INST] c [/INST]"
    );
}

#[test]
fn a_prefix_is_left_open() {
    assert_eq!(
        rendered(vec![user("a"), Message::assistant_prefix("b ")]),
        "<s>[INST]a[/INST]b"
    );
}

#[test]
fn tools_are_declared_before_the_last_user_turn() {
    let request = ChatRequest::new(vec![user("a"), Message::assistant("b"), user("c")]);
    assert_eq!(
        render(&request.with_tools(vec![tool()])),
        format!("<s>[INST]a[/INST]b</s>{DECLARED}[INST]c[/INST]")
    );
}

#[test]
fn calls_are_one_list_and_each_result_stands_alone() {
    let request = ChatRequest::new(vec![
        user("a"),
        Message::tool_calls(vec![call("aaaaaaaa1"), call("aaaaaaaa2")]),
        Message::tool_result("aaaaaaaa1", "{\"y\":2}"),
        Message::tool_result("aaaaaaaa2", "text"),
    ]);
    assert_eq!(
        render(&request.with_tools(vec![tool()])),
        format!(
            "<s>{DECLARED}[INST]a[/INST][TOOL_CALLS]\
             [{{\"name\": \"f\", \"arguments\": {{\"x\": 1}}, \"id\": \"aaaaaaaa1\"}}, \
             {{\"name\": \"f\", \"arguments\": {{\"x\": 1}}, \"id\": \"aaaaaaaa2\"}}]</s>\
             [TOOL_RESULTS]{{\"content\": {{\"y\": 2}}, \"call_id\": \"aaaaaaaa1\"}}[/TOOL_RESULTS]\
             [TOOL_RESULTS]{{\"content\": \"text\", \"call_id\": \"aaaaaaaa2\"}}[/TOOL_RESULTS]"
        )
    );
}

#[test]
fn the_parts_of_a_result_are_joined_before_they_are_read_as_json() {
    let result = Message::Tool {
        texts: vec!["[1,".into(), "2]".into()],
        call_id: "aaaaaaaa1".into(),
        name: Some("f".into()),
    };
    let messages = vec![
        user("a"),
        Message::tool_calls(vec![call("aaaaaaaa1")]),
        result,
    ];
    let expected = "[TOOL_RESULTS]{\"content\": [1, 2], \"call_id\": \"aaaaaaaa1\"}[/TOOL_RESULTS]";
    assert!(rendered(messages).ends_with(expected));
}

#[test]
fn prepared_pictures_are_shared_and_not_copied() {
    let picture = image(1, 2);
    let request = ChatRequest::new(vec![Message::user([
        Part::image(picture.clone()),
        Part::image_url("3x1"),
    ])]);
    let prompt = encode(&request).unwrap();
    assert!(Arc::ptr_eq(&prompt.images[0], &picture));
    assert_eq!(prompt.images[1].grid.rows, 3);
}

#[test]
fn text_is_tokenised_together_with_the_system_s_unless_there_are_pictures() {
    let encoded = |parts: Vec<Part>| {
        let messages = vec![Message::system("s"), Message::user(parts)];
        encode(&ChatRequest::new(messages)).unwrap().ids
    };
    let tokens = |text: &str| tokenizer().encode(text);
    let (text, image) = (Part::text("\na"), Part::image_url("1x1"));
    let alone = encoded(vec![text.clone()]);
    assert_eq!(alone[2..alone.len() - 1], tokens("s\n\n\na"));
    let beside = encoded(vec![text, image.clone(), image]);
    let expected = [tokens("s\n\n"), tokens("\na"), vec![10, 13, 10, 13]].concat();
    assert_eq!(beside[2..beside.len() - 1], expected);
    assert_ne!(tokens("s\n\n\na"), expected[..expected.len() - 4]);
}

#[test]
fn the_loader_s_error_is_the_caller_s() {
    let request = ChatRequest::new(vec![Message::user([Part::image_url("x.png")])]);
    let e = template()
        .encode(&request, &mut |url| {
            Err(Error::new(ErrorKind::NotFound, url))
        })
        .unwrap_err();
    assert_eq!((e.kind(), e.message()), (ErrorKind::NotFound, "x.png"));
}

#[test]
fn a_vocabulary_without_a_control_token_is_refused_by_name() {
    let special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"];
    let special: Vec<Value> = (0..)
        .zip(special)
        .map(|(rank, name): (u32, _)| json!({"rank": rank, "token_str": name}))
        .collect();
    let e = ChatTemplate::new(&tokenizer_with(&json!(special)), &vision()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidTokenizer);
    assert!(e.message().contains("[AVAILABLE_TOOLS]"), "{e}");
}

#[test]
fn answers_that_are_text_and_calls_only_together_are_refused() {
    let id = "aaaaaaaa1";
    for messages in [
        vec![
            user("a"),
            Message::assistant("b"),
            Message::tool_calls(vec![call(id)]),
            Message::tool_result(id, ""),
        ],
        vec![
            user("a"),
            Message::Assistant {
                texts: vec![String::new()],
                tool_calls: vec![],
                prefix: false,
            },
            user("b"),
        ],
    ] {
        let e = encode(&ChatRequest::new(messages)).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidAssistantMessage, "{e}");
    }
}

/// A turn of the user and what the assistant answered to it.
#[derive(Clone, Debug)]
struct Exchange {
    parts: Vec<Result<String, (u32, u32)>>,
    answer: String,
    tool: bool,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let text = prop_oneof![
        "\\PC{0,12}",
        prop::sample::select(vec!["[INST]", "</s>", "[IMG][IMG_END]", "\n\n", " "])
            .prop_map(str::to_owned),
    ];
    let part = prop_oneof![
        3 => text.prop_map(Ok),
        1 => (1u32..4, 1u32..4).prop_map(Err),
    ];
    (
        prop::collection::vec(part, 0..5),
        "\\PC{1,12}",
        any::<bool>(),
    )
        .prop_map(|(parts, answer, tool)| Exchange {
            parts,
            answer,
            tool,
        })
}

fn messages(exchanges: &[Exchange]) -> Vec<Message> {
    let mut messages = vec![Message::system("system")];
    for (i, exchange) in exchanges.iter().enumerate() {
        messages.push(Message::user(exchange.parts.iter().map(
            |part| match part {
                Ok(text) => Part::text(text),
                Err((rows, cols)) => Part::image_url(format!("{rows}x{cols}")),
            },
        )));
        if exchange.tool {
            let id = format!("{i:09}");
            messages.push(Message::tool_calls(vec![call(&id)]));
            messages.push(Message::tool_result(id, &exchange.answer));
        }
        if i + 1 < exchanges.len() {
            messages.push(Message::assistant(&exchange.answer));
        }
    }
    messages
}

proptest! {
    #[test]
    fn every_text_of_the_user_is_in_the_prompt_in_order(
        exchanges in prop::collection::vec(exchange(), 1..4),
    ) {
        let prompt = encode(&ChatRequest::new(messages(&exchanges))).unwrap();
        let text = tokenizer().decode_with_special(&prompt.ids);
        let mut rest = text.as_str();
        for part in exchanges.iter().flat_map(|e| &e.parts).flatten() {
            let at = rest.find(part.as_str());
            prop_assert!(at.is_some(), "{part:?} is not in {rest:?}");
            rest = &rest[at.unwrap() + part.len()..];
        }
    }

    #[test]
    fn control_tokens_come_from_the_structure_and_never_from_text(
        exchanges in prop::collection::vec(exchange(), 1..4),
    ) {
        let special = |exchanges: &[Exchange]| {
            let mut prompt = encode(&ChatRequest::new(messages(exchanges))).unwrap();
            prompt.ids.retain(|&id| tokenizer().is_special(id));
            (prompt.ids, prompt.images.iter().map(|i| i.grid).collect::<Vec<_>>())
        };
        let mut plain = exchanges.clone();
        for exchange in &mut plain {
            exchange.answer = "x".to_owned();
            for text in exchange.parts.iter_mut().flatten().filter(|text| !text.is_empty()) {
                *text = "x".to_owned();
            }
        }
        prop_assert_eq!(special(&exchanges), special(&plain));
    }

    #[test]
    fn every_patch_of_every_picture_has_one_token(
        exchanges in prop::collection::vec(exchange(), 1..4),
    ) {
        let prompt = encode(&ChatRequest::new(messages(&exchanges))).unwrap();
        let image = vision().image_token_id;
        let n_tokens = prompt.ids.iter().filter(|&&id| id == image).count();
        let n_patches: u32 = prompt.images.iter().map(|i| i.grid.rows * i.grid.cols).sum();
        prop_assert_eq!(n_tokens, n_patches as usize);
    }
}
