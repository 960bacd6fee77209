//! Clients that go away, and servers that are stopped.

use super::support::{LONG, endless, start_with, with};
use serde_json::json;
use std::time::Duration;

const PATH: &str = "/v1/chat/completions";

#[tokio::test]
async fn who_goes_away_is_not_answered_any_more() {
    let server = start_with(|options| options.session.n_ctx = Some(LONG));
    for stream in [true, false] {
        let request = with(endless(), json!({"stream": stream}));
        let request = server.post(PATH, &request).send();
        // With a stream the response comes first, without one it would not come.
        _ = tokio::time::timeout(Duration::from_millis(300), async {
            let response = request.await.unwrap();
            response.text().await.unwrap();
        })
        .await
        .unwrap_err();
        server.wait_for("pixtral_running ", 0.0).await;
        assert_eq!(server.metric("pixtral_waiting ").await, 0.0);
    }
    let gone = "pixtral_requests_total{path=\"/v1/chat/completions\",status=\"499\"} ";
    server.wait_for(gone, 2.0).await;
}

#[tokio::test]
async fn answers_in_the_making_are_finished_when_the_server_is_stopped() {
    let mut server = start_with(|options| options.session.n_ctx = Some(LONG));
    let request = with(endless(), json!({"max_tokens": 3000}));
    let running = tokio::spawn(server.post(PATH, &request).send());
    server.wait_for("pixtral_running ", 1.0).await;
    server.stop();
    let response = running.await.unwrap().unwrap();
    let response = super::support::json_of(response).await;
    assert_eq!(response["usage"]["completion_tokens"], 3000);
    server.join().unwrap();
}

#[tokio::test]
async fn answers_that_take_too_long_do_not_keep_the_server_from_stopping() {
    let mut server = start_with(|options| {
        options.grace = Duration::from_millis(100);
        options.session.n_ctx = Some(LONG);
    });
    let request = tokio::spawn(server.post(PATH, &endless()).send());
    server.wait_for("pixtral_running ", 1.0).await;
    server.stop();
    let response = request.await.unwrap().unwrap();
    assert_eq!(response.status(), 503);
    server.join().unwrap();
}
