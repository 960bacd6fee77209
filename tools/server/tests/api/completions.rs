//! Completions, and tokens.

use super::support::{events, start, with};
use serde_json::{Value, json};

const PATH: &str = "/v1/completions";

#[tokio::test]
async fn a_text_goes_on_as_text_or_as_tokens() {
    let server = start();
    let request = json!({"prompt": "The image shows a", "temperature": 0, "max_tokens": 8});
    let response = server.answer(PATH, &request).await;
    assert_eq!(response["object"], "text_completion");
    let text = response["choices"][0]["text"].as_str().unwrap();
    assert!(!text.is_empty());
    assert_eq!(
        response["usage"]["completion_tokens"]
            .as_u64()
            .unwrap()
            .min(8),
        response["usage"]["completion_tokens"]
    );

    let encode = json!({"content": "The image shows a", "add_special": true});
    let tokens = server.answer("/tokenize", &encode).await["tokens"].clone();
    let by_tokens = server
        .answer(PATH, &with(request.clone(), json!({"prompt": tokens})))
        .await;
    assert_eq!(by_tokens["choices"][0]["text"], text);

    let streamed = server.post(PATH, &with(request, json!({"stream": true})));
    let events = events(streamed.send().await.unwrap()).await;
    let pieces = events
        .iter()
        .filter_map(|event| event["choices"][0]["text"].as_str());
    assert_eq!(pieces.collect::<String>(), text);
}

#[tokio::test]
async fn several_prompts_have_several_answers() {
    let server = start();
    let request = json!({
        "prompt": ["a", "b"], "n": 2, "temperature": 0, "max_tokens": 2, "logprobs": 2,
    });
    let response = server.answer(PATH, &request).await;
    let choices = response["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    for (i, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], i);
        let logprobs = &choice["logprobs"];
        let n = logprobs["tokens"].as_array().unwrap().len();
        assert_eq!(logprobs["token_logprobs"].as_array().unwrap().len(), n);
        assert_eq!(logprobs["text_offset"].as_array().unwrap().len(), n);
    }
    assert_eq!(choices[0]["text"], choices[1]["text"]);
}

#[tokio::test]
async fn what_completions_cannot_do_is_refused() {
    let server = start();
    for (fields, param) in [
        (json!({"echo": true}), "echo"),
        (json!({"suffix": "x"}), "suffix"),
        (json!({"best_of": 2}), "best_of"),
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": [1, 99999999]}), "prompt"),
        // A picture's token without a picture.
        (json!({"prompt": [1, 10]}), "prompt"),
        (json!({"prompt": {"a": 1}}), "prompt"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"n": 17}), "n"),
    ] {
        let request = with(json!({"prompt": "a"}), fields);
        let error = server.refused(PATH, &request, 400).await;
        assert_eq!(error["param"], param, "{error}");
    }
}

#[tokio::test]
async fn tokens_become_the_text_that_they_were() {
    let server = start();
    let text = "Zwei Kätzchen, 2 🐈!";
    let tokens = server.answer("/tokenize", &json!({"prompt": text})).await;
    let ids = tokens["tokens"].as_array().unwrap();
    assert_eq!(tokens["count"], ids.len());
    let back = server.answer("/detokenize", &json!({"tokens": ids})).await;
    assert_eq!(back["content"], text);
    let empty: Value = server.answer("/detokenize", &json!({"tokens": []})).await;
    assert_eq!(empty["content"], "");
    server
        .refused("/detokenize", &json!({"tokens": [99999999]}), 400)
        .await;
    server
        .refused("/detokenize", &json!({"tokens": [-1]}), 400)
        .await;
    server.refused("/tokenize", &json!({}), 400).await;
}
