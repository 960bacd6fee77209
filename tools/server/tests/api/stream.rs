//! Answers piece by piece.

use super::support::{LONG, about, content, endless, events, start, with};
use serde_json::{Value, json};

/// The text of a stream's answer `index`.
fn text(events: &[Value], index: usize) -> String {
    let choices = events.iter().filter_map(|event| event["choices"].get(0));
    let own = choices.filter(|choice| choice["index"] == index);
    own.filter_map(|choice| choice["delta"]["content"].as_str())
        .collect()
}

#[tokio::test]
async fn the_pieces_are_the_answer() {
    let server = start();
    let request = about("demo.png", "Describe the image.");
    let whole = server.chat(&request).await;
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let response = server.post("/v1/chat/completions", &with(request, options));
    let events = events(response.send().await.unwrap()).await;
    assert_eq!(text(&events, 0), content(&whole));
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(
        events
            .iter()
            .all(|event| event["object"] == "chat.completion.chunk")
    );
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]));
    let [.., closing, usage] = &events[..] else {
        panic!("{events:?}");
    };
    let finish = &whole["choices"][0]["finish_reason"];
    assert_eq!(&closing["choices"][0]["finish_reason"], finish);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(
        usage["usage"]["completion_tokens"],
        whole["usage"]["completion_tokens"]
    );
}

#[tokio::test]
async fn several_answers_come_side_by_side() {
    let server = start();
    let request = with(
        about("demo.png", "What is written?"),
        json!({"n": 2, "stream": true}),
    );
    let response = server
        .post("/v1/chat/completions", &request)
        .send()
        .await
        .unwrap();
    let events = events(response).await;
    // Greedy, so they are the same.
    assert!(text(&events, 0).contains("HELLO"));
    assert_eq!(text(&events, 0), text(&events, 1));
    let finished = events
        .iter()
        .filter(|event| event["choices"][0]["finish_reason"] == "stop");
    assert_eq!(finished.count(), 2);
    assert!(events.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn probabilities_come_with_their_text() {
    let server = start();
    let request = about("demo.png", "What is written?");
    let request = with(request, json!({"logprobs": true, "stream": true}));
    let response = server
        .post("/v1/chat/completions", &request)
        .send()
        .await
        .unwrap();
    let events = events(response).await;
    let tokens = events
        .iter()
        .filter_map(|event| event["choices"][0]["logprobs"]["content"].as_array());
    let tokens: String = tokens
        .flatten()
        .map(|token| token["token"].as_str().unwrap())
        .collect();
    assert_eq!(tokens, text(&events, 0));
}

#[tokio::test]
async fn comments_say_how_far_reading_is() {
    let server = start();
    let request = with(
        about("chart.png", "Describe the image."),
        json!({"stream": true}),
    );
    let response = server
        .post("/v1/chat/completions", &request)
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let stream = response.text().await.unwrap();
    assert!(
        stream.lines().any(|line| line.starts_with(": encoding ")),
        "{stream}"
    );
    assert!(
        stream.lines().any(|line| line.starts_with(": reading ")),
        "{stream}"
    );
}

#[tokio::test]
async fn many_streams_at_once_are_what_each_would_be_alone() {
    let server = start();
    let questions = [
        "Describe the image.",
        "What is written?",
        "What is the largest shape?",
    ];
    let requests: Vec<Value> = ["demo.png", "chart.png", "sign.png"]
        .iter()
        .flat_map(|name| questions.map(|question| about(name, question)))
        .collect();
    let mut alone = Vec::new();
    for request in &requests {
        alone.push(content(&server.chat(request).await).to_owned());
    }
    let streamed = requests.iter().map(|request| {
        let request = with(request.clone(), json!({"stream": true}));
        let response = server.post("/v1/chat/completions", &request).send();
        async { text(&events(response.await.unwrap()).await, 0) }
    });
    assert_eq!(futures_util::future::join_all(streamed).await, alone);
}

#[tokio::test]
async fn a_stream_that_is_stopped_ends_with_an_error() {
    let mut server = super::support::start_with(|options| {
        options.grace = std::time::Duration::ZERO;
        options.session.n_ctx = Some(LONG);
    });
    let request = with(endless(), json!({"stream": true}));
    let response = server
        .post("/v1/chat/completions", &request)
        .send()
        .await
        .unwrap();
    server.wait_for("pixtral_running ", 1.0).await;
    server.stop();
    let events = events(response).await;
    assert_eq!(events.last().unwrap()["error"]["type"], "server_error");
    server.join().unwrap();
}
