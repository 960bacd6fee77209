//! Calls of tools.

use super::support::{events, start, with};
use serde_json::{Value, json};

const PATH: &str = "/v1/chat/completions";

fn request() -> Value {
    let tool = |name: &str, field: &str| {
        json!({"type": "function", "function": {
            "name": name,
            "description": "Something.",
            "parameters": {
                "type": "object",
                "properties": {field: {"$ref": "#/$defs/Kind"}},
                "required": [field],
                "additionalProperties": false,
                "$defs": {"Kind": {"enum": ["red", "blue"]}},
            },
        }})
    };
    json!({
        "messages": [{"role": "user", "content": "What colour is it?"}],
        "tools": [tool("paint", "colour"), tool("look", "shade")],
        "temperature": 0,
        "max_tokens": 80,
    })
}

fn named(name: &str) -> Value {
    json!({"tool_choice": {"type": "function", "function": {"name": name}}})
}

#[tokio::test]
async fn a_call_can_be_demanded_and_its_result_given() {
    let server = start();
    let mut request = with(request(), named("look"));
    let response = server.chat(&request).await;
    let choice = &response["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["type"], "function");
    assert_eq!(calls[0]["function"]["name"], "look");
    let arguments = calls[0]["function"]["arguments"].as_str().unwrap();
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    assert!(["red", "blue"].contains(&arguments["shade"].as_str().unwrap()));

    let messages = request["messages"].as_array_mut().unwrap();
    messages.push(choice["message"].clone());
    messages.push(json!({"role": "tool", "tool_call_id": calls[0]["id"], "content": "done"}));
    request["tool_choice"] = json!("none");
    let after = server.chat(&request).await;
    assert!(after["choices"][0]["message"].get("tool_calls").is_none());
    // Ids of other models are longer.
    request["messages"][1]["tool_calls"][0]["id"] = json!("call_0123456789abcdefghijkl");
    request["messages"][2]["tool_call_id"] = json!("call_0123456789abcdefghijkl");
    server.chat(&request).await;
}

#[tokio::test]
async fn calls_are_streamed_as_they_are_written() {
    let server = start();
    let request = with(
        request(),
        json!({"tool_choice": "required", "parallel_tool_calls": false}),
    );
    let whole = server.chat(&request).await;
    let expected = &whole["choices"][0]["message"]["tool_calls"][0]["function"];
    let request = with(request, json!({"stream": true}));
    let response = server.post(PATH, &request).send().await.unwrap();
    let events = events(response).await;
    let deltas: Vec<&Value> = events
        .iter()
        .flat_map(|event| {
            event["choices"][0]["delta"]["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
        })
        .collect();
    assert!(deltas.len() > 1, "{deltas:?}");
    assert_eq!(deltas[0]["id"].as_str().unwrap().len(), 9);
    assert_eq!(deltas[0]["function"]["name"], expected["name"]);
    assert!(
        deltas
            .iter()
            .skip(1)
            .all(|delta| delta.get("id").is_none() && delta["index"] == 0)
    );
    let arguments = deltas
        .iter()
        .filter_map(|delta| delta["function"]["arguments"].as_str());
    assert_eq!(
        arguments.collect::<String>(),
        expected["arguments"].as_str().unwrap()
    );
    let closing = &events.last().unwrap()["choices"][0];
    assert_eq!(closing["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn a_model_that_may_call_may_also_answer() {
    let server = start();
    let response = server.chat(&request()).await;
    // The demonstration model has never seen a tool, so it answers.
    assert!(
        response["choices"][0]["message"]["content"].is_string(),
        "{response}"
    );
    assert_eq!(response["choices"][0]["logprobs"], Value::Null);
}

#[tokio::test]
async fn choices_that_cannot_be_are_refused() {
    let server = start();
    let error = server
        .refused(PATH, &with(request(), named("fly")), 400)
        .await;
    assert_eq!(error["param"], "tool_choice");
    let mut bad = request();
    bad["tools"][0]["function"]["name"] = json!("no name");
    let error = server.refused(PATH, &bad, 400).await;
    assert_eq!(error["param"], "tools[0].function.name");
}
