//! What one client cannot do to the others: fill the queue, the memory or the context.

use super::support::{LONG, about, content, endless, start_with, with};
use serde_json::json;

const PATH: &str = "/v1/chat/completions";

#[tokio::test]
async fn beyond_the_queue_requests_are_refused_for_a_while() {
    let server = start_with(|options| {
        (options.parallel, options.queue) = (1, 1);
        options.session.n_ctx = Some(LONG);
    });
    let long = with(endless(), json!({"stream": true}));
    let running = server.post(PATH, &long).send().await.unwrap();
    server.wait_for("pixtral_running ", 1.0).await;
    let waiting = server.post(PATH, &long).send().await.unwrap();
    let response = server.post(PATH, &long).send().await.unwrap();
    assert_eq!(response.status(), 429);
    let seconds = response.headers()["retry-after"].to_str().unwrap();
    assert!((1..=60).contains(&seconds.parse::<u32>().unwrap()));
    server
        .refused(PATH, &with(long.clone(), json!({"n": 2})), 429)
        .await;
    // There is room again as soon as somebody leaves, also who only waits.
    drop(waiting);
    let next = loop {
        let response = server.post(PATH, &long).send().await.unwrap();
        match response.status().as_u16() {
            429 => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            status => {
                assert_eq!(status, 200);
                break response;
            }
        }
    };
    drop((running, next));
    let request = about("demo.png", "What is written?");
    server.wait_for("pixtral_running ", 0.0).await;
    assert!(content(&server.chat(&request).await).contains("HELLO"));
}

#[tokio::test]
async fn a_large_request_is_refused_before_it_is_read() {
    let server = start_with(|options| options.max_body_bytes = 1000);
    let large = json!({"content": "a".repeat(2000)});
    server.refused("/tokenize", &large, 413).await;
    server
        .answer("/tokenize", &json!({"content": "a".repeat(500)}))
        .await;
}

#[tokio::test]
async fn a_prompt_that_is_longer_than_the_context_is_refused() {
    let server = start_with(|options| options.session.n_ctx = Some(100));
    let text = json!({"messages": [{"role": "user", "content": "a b ".repeat(200)}]});
    for request in [text, about("demo.png", "What is written?")] {
        let error = server.refused(PATH, &request, 400).await;
        assert_eq!(error["code"], "context_length_exceeded", "{error}");
    }
    let prompt = json!({"prompt": "a b ".repeat(200)});
    server.refused("/v1/completions", &prompt, 400).await;
}
