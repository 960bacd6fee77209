//! Models, health, metrics, the description, estimates, the page.

use super::support::{about, json_of, start};
use serde_json::{Value, json};

#[tokio::test]
async fn the_model_is_listed() {
    let server = start();
    let list = json_of(server.get("/v1/models").send().await.unwrap()).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let model = &list["data"][0];
    assert_eq!(model["id"], "demo");
    assert_eq!(model["context_length"], super::support::N_CTX);
    let one = json_of(server.get("/v1/models/demo").send().await.unwrap()).await;
    assert_eq!(&one, model);
    for other in ["/v1/models/gpt", "/v1/models/a/b"] {
        assert_eq!(server.get(other).send().await.unwrap().status(), 404);
    }
}

#[tokio::test]
async fn health_is_200_without_a_body() {
    let response = start().get("/health").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_done_is_counted() {
    let server = start();
    let response = server.chat(&about("demo.png", "What is written?")).await;
    let usage = &response["usage"];
    for (metric, field) in [
        ("pixtral_prompt_tokens_total ", "prompt_tokens"),
        ("pixtral_generated_tokens_total ", "completion_tokens"),
    ] {
        assert_eq!(server.metric(metric).await, usage[field].as_f64().unwrap());
    }
    assert_eq!(server.metric("pixtral_pictures_total ").await, 1.0);
    let requests = "pixtral_requests_total{path=\"/v1/chat/completions\",status=\"200\"} ";
    assert_eq!(server.metric(requests).await, 1.0);
    // Paths that are not served are one.
    for path in ["/a/b", "/c/d"] {
        server.get(path).send().await.unwrap();
    }
    let other = "pixtral_requests_total{path=\"other\",status=\"404\"} ";
    assert_eq!(server.metric(other).await, 2.0);
}

#[tokio::test]
async fn everything_that_is_described_is_there() {
    let server = start();
    let document = json_of(server.get("/openapi.json").send().await.unwrap()).await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "demo");
        for method in methods.as_object().unwrap().keys() {
            let response = match method.as_str() {
                "get" => server.get(&path),
                _ => server.post(&path, &json!({})),
            };
            let status = response.send().await.unwrap().status();
            assert!(status == 200 || status == 400, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn an_estimate_counts_what_the_request_will_have() {
    let server = start();
    let request = about("demo.png", "What is written?");
    let size = json!({"width": 256, "height": 192});
    let estimate = json!({"images": [size], "text": "What is written?"});
    let estimate = server.answer("/v1/estimate", &estimate).await;
    let response = server.chat(&request).await;
    assert_eq!(
        estimate["tokens"], response["usage"]["prompt_tokens"],
        "{estimate}"
    );
    assert!(estimate["seconds"].as_f64().unwrap() > 0.0);
    let small = json!({"images": [{"width": 4000, "height": 3000}], "max_image_tokens": 50});
    let small: Value = server.answer("/v1/estimate", &small).await;
    assert!(small["image_tokens"][0].as_u64().unwrap() <= 50);
    let bad = json!({"images": [{"width": 0, "height": 1}]});
    server.refused("/v1/estimate", &bad, 400).await;
}

#[tokio::test]
async fn the_page_asks_nothing_of_others() {
    let server = start();
    let response = server.get("/").send().await.unwrap();
    let headers = response.headers();
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("http"),
        "{policy}"
    );
    let tag = headers["etag"].clone();
    let unchanged = server
        .get("/")
        .header("If-None-Match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(unchanged.status(), 304);
    assert_eq!(
        server.get("/nothing.js").send().await.unwrap().status(),
        404
    );
    for name in ["..%2fCargo.toml", "tests", "README.md"] {
        let response = server.get(&format!("/{name}")).send().await.unwrap();
        assert_eq!(response.status(), 404, "{name}");
    }
}

#[tokio::test]
async fn every_response_has_the_id_of_its_request() {
    let server = start();
    let id = "x-request-id";
    let response = server
        .get("/health")
        .header(id, "abc-1")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()[id], "abc-1");
    let too_long = "a".repeat(65);
    for given in ["with space", "", &too_long] {
        let response = server
            .get("/health")
            .header(id, given)
            .send()
            .await
            .unwrap();
        let own = response.headers()[id].to_str().unwrap();
        assert!(own.starts_with("req-") && own != given, "{own}");
    }
}
