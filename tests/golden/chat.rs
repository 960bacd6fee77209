//! Conversations as ids and pictures, exactly those of mistral_common, and what it refuses.

use crate::{
    e2e::case,
    support::{cases, full_tokenizer, ids, json, read, root, section, text},
};
use pixtral::{
    Error, ErrorKind, Result,
    chat::{ChatRequest, ChatTemplate, Prompt},
    checkpoint::Checkpoint,
    config::{Config, VisionConfig},
    preprocess::{Patches, PreparedImage},
    tokenizer::Tokenizer,
};
use serde_json::Value;
use std::{path::PathBuf, sync::Arc};

/// The section with the real model's tokenizer and shape, unless the set lacks the section.
fn open() -> Option<(PathBuf, Tokenizer, VisionConfig)> {
    let folder = section("chat")?;
    let tokenizer = Tokenizer::from_tekken("full", &full_tokenizer()).unwrap();
    Some((folder, tokenizer, Config::pixtral_12b().vision))
}

/// Reads and encodes the request of a case. Its pictures are blank ones of the sizes it lists.
fn encode(template: &ChatTemplate, case: &Value, patch_size: u32) -> Result<Prompt> {
    let mut sizes = sizes(case).into_iter();
    let request = ChatRequest::from_json(&case["request"])?;
    template.encode(&request, &mut |url| {
        let (height, width) = sizes.next().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("{url}: the case has no such picture"),
            )
        })?;
        Ok(Arc::new(PreparedImage {
            pixels: vec![0.0; 3 * (width * height) as usize],
            width,
            height,
            grid: Patches {
                rows: height / patch_size,
                cols: width / patch_size,
            },
        }))
    })
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
    for case in cases(&json(folder.join("cases.json"))) {
        let name = text(&case["name"]);
        let prompt =
            encode(&template, case, vision.patch_size).unwrap_or_else(|e| panic!("{name}: {e}"));
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
    for case in cases(&json(folder.join("errors.json"))) {
        let name = text(&case["name"]);
        let e = encode(&template, case, vision.patch_size).expect_err(name);
        assert_eq!(e.kind(), kind(text(&case["error"])), "{name}: {e}");
        let known = OFFENDERS.iter().find(|(known, _)| *known == name);
        let offender = known.map_or("", |(_, offender)| offender);
        assert!(!e.message().is_empty(), "{name}");
        assert!(e.message().contains(offender), "{name}: {e}");
    }
}

#[test]
fn end_to_end_requests_give_the_ids_that_the_model_was_run_on() {
    if section("checkpoint").is_none() {
        return;
    }
    let folder = root().join("checkpoint/mistral");
    let tokenizer = Tokenizer::from_tekken("small", &read(folder.join("tekken.json"))).unwrap();
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let vision = &checkpoint.config().vision;
    let template = ChatTemplate::new(&tokenizer, vision).unwrap();
    for case in case::all() {
        let request = ChatRequest::from_json(&case.request).unwrap();
        let mut images = case.images(vision.patch_size).into_iter();
        let prompt = template
            .encode(&request, &mut |url| {
                images.next().ok_or_else(|| {
                    Error::new(
                        ErrorKind::NotFound,
                        format!("{url}: the case has no such picture"),
                    )
                })
            })
            .unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(prompt.ids, case.ids("ids"), "{}", case.name);
        assert_eq!(images.count(), 0, "{}: pictures left over", case.name);
    }
}
