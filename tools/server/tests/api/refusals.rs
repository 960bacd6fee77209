//! Requests that cannot be answered: what they are told.

use super::support::{about, error_of, start, with};
use serde_json::json;

const PATH: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_wrong_field_is_named() {
    let server = start();
    let message = |message| json!({"messages": [message]});
    let user = |content| message(json!({"role": "user", "content": content}));
    let picture = |url: &str| user(json!([{"type": "image_url", "image_url": {"url": url}}]));
    for (request, param) in [
        (json!({}), None),
        (json!({"messages": []}), None),
        (message(json!({"role": "robot"})), Some("messages[0].role")),
        (user(json!(1)), Some("messages[0].content")),
        (
            user(json!([{"type": "audio"}])),
            Some("messages[0].content[0].type"),
        ),
        (
            user(json!([{"type": "image_url", "image_url": {"url": "a", "detail": "ultra"}}])),
            Some("messages[0].content[0].image_url.detail"),
        ),
        (
            picture("data:image/png;base64,AAAA"),
            Some("messages[0].content[0].image_url"),
        ),
        (
            picture("https://example.org/a.png"),
            Some("messages[0].content[0].image_url"),
        ),
        (
            picture("/etc/passwd"),
            Some("messages[0].content[0].image_url"),
        ),
        (message(json!({"role": "assistant", "content": "a"})), None),
        (
            with(user(json!("a")), json!({"temperature": "hot"})),
            Some("temperature"),
        ),
        (
            with(user(json!("a")), json!({"max_tokens": 0})),
            Some("max_tokens"),
        ),
        (
            with(user(json!("a")), json!({"top_logprobs": 2})),
            Some("top_logprobs"),
        ),
        (with(user(json!("a")), json!({"n": 0})), Some("n")),
        (
            with(
                user(json!("a")),
                json!({"response_format": {"type": "xml"}}),
            ),
            Some("response_format"),
        ),
        (
            with(
                user(json!("a")),
                json!({"response_format": {"type": "json_schema",
                    "json_schema": {"name": "a", "schema": {"type": "strin"}}}}),
            ),
            Some("response_format"),
        ),
    ] {
        let error = server.refused(PATH, &request, 400).await;
        assert_eq!(error["type"], "invalid_request_error");
        if let Some(param) = param {
            let named = error["param"].as_str().unwrap_or_default();
            assert!(named.starts_with(param), "{error}");
        }
    }
}

#[tokio::test]
async fn what_clients_send_beside_is_ignored() {
    let server = start();
    let more = json!({
        "model": "mistralai/Pixtral-12B-2409", "user": "u", "store": false, "metadata": {},
        "service_tier": "auto", "logit_bias": {}, "tools": [], "stop": null, "safe_prompt": true,
    });
    server
        .chat(&with(about("demo.png", "What is written?"), more))
        .await;
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let server = start();
    for body in ["", "{", "[]", "1", "{\"messages\": [}", "\u{feff}{}"] {
        let request = server.post(PATH, &json!({})).body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 400, "{body:?}");
        error_of(response).await;
    }
    let request = server.post(PATH, &json!({})).body(vec![b'{', 0xff, b'}']);
    assert_eq!(request.send().await.unwrap().status(), 400);
    let deep = "[".repeat(100_000);
    let request = server
        .post(PATH, &json!({}))
        .body(format!("{{\"messages\": {deep}"));
    assert_eq!(request.send().await.unwrap().status(), 400);
    // A form of a page of another origin is sent without asking; JSON is not.
    let request = server.get(PATH).body("{}").build().unwrap();
    let url = request.url().clone();
    let client = reqwest::Client::new();
    let response = client
        .post(url)
        .header("Content-Type", "text/plain")
        .body("{}")
        .send();
    assert_eq!(response.await.unwrap().status(), 415);
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_say_so() {
    let server = start();
    let response = server.get("/v1/nothing").send().await.unwrap();
    assert_eq!(response.status(), 404);
    error_of(response).await;
    let response = server.get(PATH).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "POST");
    error_of(response).await;
}
