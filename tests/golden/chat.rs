//! Conversations as ids and pictures, exactly those of mistral_common, and what it refuses.

use crate::support::{cases, full_tokenizer, ids, json, picture, section, text};
use pixtral::{
    ErrorKind, Result,
    chat::{ChatRequest, ChatTemplate, Prompt},
    config::{Config, VisionConfig},
    preprocess::{PreprocessOptions, Preprocessor},
    tokenizer::Tokenizer,
};
use serde_json::Value;
use std::path::PathBuf;

/// The section with the real model's tokenizer and shape, unless the set lacks the section.
fn open() -> Option<(PathBuf, Tokenizer, VisionConfig)> {
    let folder = section("chat")?;
    let tokenizer = Tokenizer::from_tekken("full", &full_tokenizer()).unwrap();
    Some((folder, tokenizer, Config::pixtral_12b().vision))
}

/// Reads and encodes the request of a case.
fn encode(template: &ChatTemplate, case: &Value, preprocessor: &Preprocessor) -> Result<Prompt> {
    let request = ChatRequest::from_json(&case["request"])?;
    template.encode(&request, &mut |url| picture(preprocessor, url))
}

/// (height, width) of each picture that the reference gives to its model.
fn sizes(case: &Value) -> Vec<(u32, u32)> {
    match case.get("images") {
        None => Vec::new(),
        Some(sizes) => serde_json::from_value(sizes.clone()).expect("a list of (H, W)"),
    }
}

#[test]
fn every_conversation_gives_the_reference_ids_and_pictures() {
    let Some((folder, tokenizer, vision)) = open() else {
        return;
    };
    let template = ChatTemplate::new(&tokenizer, &vision).unwrap();
    let preprocessor = Preprocessor::new(&vision, PreprocessOptions::default());
    for case in cases(&json(folder.join("cases.json"))) {
        let name = text(&case["name"]);
        let prompt =
            encode(&template, case, &preprocessor).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(
            tokenizer.decode_with_special(&prompt.ids),
            text(&case["text"]),
            "{name}"
        );
        assert_eq!(prompt.ids, ids(&case["ids"]), "{name}");
        let found: Vec<_> = prompt.images.iter().map(|i| (i.height, i.width)).collect();
        assert_eq!(found, sizes(case), "{name}");
    }
}

/// What stands for an error class of the reference.
fn kind(class: &str) -> ErrorKind {
    match class {
        "InvalidMessageStructureException" => ErrorKind::InvalidMessageStructure,
        "InvalidAssistantMessageException" => ErrorKind::InvalidAssistantMessage,
        "InvalidFunctionCallException" => ErrorKind::InvalidFunctionCall,
        "InvalidToolException" => ErrorKind::InvalidTool,
        "InvalidToolSchemaException" => ErrorKind::InvalidToolSchema,
        "ValidationError" => ErrorKind::InvalidRequest,
        "ValueError" => ErrorKind::InvalidValue,
        other => panic!("no kind stands for {other}"),
    }
}

/// What the sentence about a case of the committed set must name.
const OFFENDERS: [(&str, &str); 15] = [
    ("empty", "messages is empty"),
    ("assistant_alone", "role assistant"),
    ("tool_alone", "role tool"),
    ("ends_with_assistant", "messages[1]"),
    ("tool_after_user", "role tool cannot follow role user"),
    ("user_then_tool_mid", "messages[3]"),
    (
        "system_after_assistant",
        "role system cannot follow role assistant",
    ),
    ("bad_call_id", "messages[1].tool_calls[0].id: \"short\""),
    ("missing_result", "messages[2]: 1 tool calls and 0 results"),
    ("content_and_calls", "messages[1]"),
    ("neither", "messages[1]"),
    ("bad_function_name", "tools[0].function.name: \"bad name\""),
    ("bad_schema", "tools[0].function.parameters.type"),
    ("image_in_system", "messages[0].content[0]"),
    (
        "unknown_role",
        "messages[0].role: there is no role \"robot\"",
    ),
];

#[test]
fn what_the_reference_refuses_is_refused_in_a_sentence_that_names_it() {
    let Some((folder, tokenizer, vision)) = open() else {
        return;
    };
    let template = ChatTemplate::new(&tokenizer, &vision).unwrap();
    let preprocessor = Preprocessor::new(&vision, PreprocessOptions::default());
    for case in cases(&json(folder.join("errors.json"))) {
        let name = text(&case["name"]);
        let e = encode(&template, case, &preprocessor).expect_err(name);
        assert_eq!(e.kind(), kind(text(&case["error"])), "{name}: {e}");
        let known = OFFENDERS.iter().find(|(known, _)| *known == name);
        let offender = known.map_or("", |(_, offender)| offender);
        assert!(!e.message().is_empty(), "{name}");
        assert!(e.message().contains(offender), "{name}: {e}");
    }
}
