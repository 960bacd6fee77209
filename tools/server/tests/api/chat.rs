//! Chats with whole answers.

use super::support::{about, content, demo, endless, picture, start, start_with, with};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

#[tokio::test]
async fn questions_about_pictures_are_answered_rightly() {
    let server = start();
    let response = server.chat(&about("demo.png", "What is written?")).await;
    assert_eq!(response["object"], "chat.completion");
    assert_eq!(response["model"], "demo");
    assert_eq!(response["choices"][0]["finish_reason"], "stop");
    assert!(content(&response).contains("HELLO"), "{response}");
    let usage = &response["usage"];
    let sum =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], sum);

    // The same picture again: what was read of it is known.
    let again = server
        .chat(&about("demo.png", "What colour is the heart?"))
        .await;
    assert!(content(&again).contains("pink"), "{again}");
    let cached = &again["usage"]["prompt_tokens_details"]["cached_tokens"];
    assert!(cached.as_u64().unwrap() > 100, "{again}");
}

#[tokio::test]
async fn a_conversation_goes_on() {
    let server = start();
    let mut request = about("demo.png", "What is the largest shape?");
    let first = server.chat(&request).await;
    let messages = request["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": content(&first)}));
    messages.push(json!({"role": "user", "content": "What is written?"}));
    let second = server.chat(&request).await;
    assert!(content(&second).contains("HELLO"), "{second}");
}

#[tokio::test]
async fn a_beginning_of_the_answer_is_continued() {
    let server = start();
    let request = about("demo.png", "What is written?");
    let whole = server.chat(&request).await;
    let whole = content(&whole);
    let (begun, _) = whole.rsplit_once(' ').unwrap();
    let rest = &whole[begun.len()..];
    let mut continued = request.clone();
    let messages = continued["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": begun, "prefix": true}));
    assert_eq!(content(&server.chat(&continued).await), rest);
}

#[tokio::test]
async fn answers_end_where_it_is_asked() {
    let server = start();
    let request = about("demo.png", "Describe the image.");
    let whole = server.chat(&request).await;
    let whole = content(&whole);
    let cut = server
        .chat(&with(request.clone(), json!({"max_completion_tokens": 3})))
        .await;
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    assert_eq!(cut["usage"]["completion_tokens"], 3);
    assert!(whole.starts_with(content(&cut)));
    let stop = whole.split(' ').nth(3).unwrap();
    let stopped = server.chat(&with(request, json!({"stop": [stop]}))).await;
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    assert_eq!(content(&stopped), whole.split(stop).next().unwrap());
    // The context is full before the answer has ended.
    let full = server.chat(&endless()).await;
    assert_eq!(full["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn a_seed_gives_the_same_answers_again_and_several_differ() {
    let server = start();
    let request = json!({
        "messages": [{"role": "user", "content": "Tell me something."}],
        "n": 3, "seed": 5, "temperature": 2, "max_tokens": 12,
    });
    let texts = |response: Value| -> Vec<Value> {
        let choices = response["choices"].as_array().unwrap().iter();
        choices
            .map(|choice| choice["message"]["content"].clone())
            .collect()
    };
    let first = texts(server.chat(&request).await);
    assert_eq!(first.len(), 3);
    assert!(first[0] != first[1] || first[1] != first[2], "{first:?}");
    assert_eq!(texts(server.chat(&request).await), first);
}

#[tokio::test]
async fn probabilities_of_tokens_are_told() {
    let server = start();
    let request = about("demo.png", "What is written?");
    let request = with(request, json!({"logprobs": true, "top_logprobs": 3}));
    let response = server.chat(&request).await;
    let tokens = response["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    assert_eq!(response["usage"]["completion_tokens"], tokens.len());
    let text: String = tokens
        .iter()
        .map(|t| t["token"].as_str().unwrap())
        .collect();
    assert_eq!(text, content(&response));
    for token in tokens {
        // Greedy: the most likely of three is the one chosen.
        assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 3);
        assert_eq!(token["top_logprobs"][0]["logprob"], token["logprob"]);
        assert_eq!(
            token["bytes"],
            json!(token["token"].as_str().unwrap().as_bytes())
        );
    }
}

#[tokio::test]
async fn biases_and_penalties_change_the_answer() {
    let server = start();
    let request = about("demo.png", "What is written?");
    let plain = server.chat(&request).await;
    let tokens = server
        .answer("/tokenize", &json!({"content": content(&plain)}))
        .await;
    let first = tokens["tokens"][0].to_string();
    let biased = server
        .chat(&with(request, json!({"logit_bias": {first: -100}})))
        .await;
    assert_ne!(content(&biased), content(&plain));
}

#[tokio::test]
async fn answers_keep_the_form_that_is_asked_for() {
    let server = start();
    let schema = json!({
        "type": "object",
        "properties": {"word": {"type": "string", "maxLength": 10}, "n": {"enum": [1, 2, 3]}},
        "required": ["word", "n"],
        "additionalProperties": false,
    });
    let request = about("demo.png", "What is written?");
    // A small model that is at a loss writes much white space.
    let formed = |format: Value| {
        let fields = json!({"response_format": format, "max_tokens": 700});
        with(request.clone(), fields)
    };
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": true}});
    let response = server.chat(&formed(format)).await;
    let answer: Value = serde_json::from_str(content(&response)).unwrap();
    assert!(
        answer["word"].is_string() && answer["n"].is_u64(),
        "{answer}"
    );
    let response = server
        .chat(&formed(json!({"type": "regex", "pattern": "(yes|no)"})))
        .await;
    assert!(["yes", "no"].contains(&content(&response)));
    let grammar = json!({"type": "grammar", "grammar": "start: \"a\" | \"b\""});
    let response = server.chat(&formed(grammar)).await;
    assert!(["a", "b"].contains(&content(&response)));
}

#[tokio::test]
async fn a_budget_makes_pictures_smaller() {
    let server = start();
    let tokens = |response: Value| response["usage"]["prompt_tokens"].as_u64().unwrap();
    let request = with(about("demo.png", "What?"), json!({"max_tokens": 1}));
    let usual = tokens(server.chat(&request).await);
    let small = tokens(
        server
            .chat(&with(request.clone(), json!({"max_image_tokens": 20})))
            .await,
    );
    assert!(small + 100 < usual, "{small} {usual}");
    // The largest picture has 16 rows of 17 tokens.
    let mut low = request;
    low["messages"][0]["content"][0] =
        json!({"type": "image_url", "image_url": {"url": bitmap(256)}});
    assert!(tokens(server.chat(&low).await) > 272);
    low["messages"][0]["content"][0]["image_url"]["detail"] = json!("low");
    assert!(tokens(server.chat(&low).await) < 272);
}

/// A black picture of `side` × `side` pixels.
fn bitmap(side: u32) -> String {
    let n_bytes = 3 * side * side;
    let header = [
        14 + 40 + n_bytes,
        0,
        14 + 40,
        40,
        side,
        side,
        1 | 24 << 16,
        0,
        n_bytes,
        0,
        0,
        0,
        0,
    ];
    let mut file = b"BM".to_vec();
    file.extend(header.iter().flat_map(|word| word.to_le_bytes()));
    file.resize(file.len() + n_bytes as usize, 0);
    format!("data:image/bmp;base64,{}", BASE64_STANDARD.encode(file))
}

#[tokio::test]
async fn pictures_may_come_from_the_folder_that_is_allowed() {
    let server = start_with(|options| options.pictures_folder = Some(demo("")));
    let mut request = about("demo.png", "What is written?");
    let url = &mut request["messages"][0]["content"][0]["image_url"]["url"];
    *url = json!("demo.png");
    assert!(content(&server.chat(&request).await).contains("HELLO"));
    request["messages"][0]["content"][0]["image_url"]["url"] = json!("../src/main.rs");
    let path = "/v1/chat/completions";
    let error = server.refused(path, &request, 400).await;
    assert_eq!(error["param"], "messages[0].content[0].image_url");
}

#[tokio::test]
async fn several_pictures_keep_their_order() {
    let server = start();
    let text = json!({"type": "text", "text": "What changed?"});
    let content_of = |first, second| {
        json!({
            "messages": [{"role": "user", "content": [picture(first), picture(second), text]}],
            "temperature": 0,
            "max_tokens": 40,
        })
    };
    let forth = server.chat(&content_of("before.png", "after.png")).await;
    let back = server.chat(&content_of("after.png", "before.png")).await;
    assert_ne!(content(&forth), content(&back));
}
