//! Who may ask: keys, and pages of other origins.

use super::support::{start, start_with};
use serde_json::json;

const PATH: &str = "/v1/chat/completions";

#[tokio::test]
async fn with_keys_every_request_of_the_api_needs_one() {
    let server = start_with(|options| {
        options.api_keys = vec!["first".to_owned(), "second".to_owned()];
    });
    for key in ["first", "second"] {
        let response = server
            .get("/v1/models")
            .bearer_auth(key)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{key}");
    }
    for path in ["/v1/models", "/v1/models/demo", "/metrics"] {
        for key in ["", "firs", "first2"] {
            let response = server.get(path).bearer_auth(key).send().await.unwrap();
            assert_eq!(response.status(), 401, "{path} {key}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
        }
        assert_eq!(server.get(path).send().await.unwrap().status(), 401);
    }
    for path in [
        PATH,
        "/v1/completions",
        "/v1/estimate",
        "/tokenize",
        "/detokenize",
    ] {
        let error = server.refused(path, &json!({}), 401).await;
        assert_eq!(error["code"], "invalid_api_key");
    }
    for path in ["/health", "/openapi.json", "/", "/app.js"] {
        assert_eq!(
            server.get(path).send().await.unwrap().status(),
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_ask_if_that_is_allowed() {
    let ask = |server: &super::support::Running| {
        let request = server
            .get("/v1/models")
            .header("Origin", "https://a.example");
        async { request.send().await.unwrap() }
    };
    let allowed = "access-control-allow-origin";
    assert!(ask(&start()).await.headers().get(allowed).is_none());
    let server = start_with(|options| options.cors_origins = vec!["https://a.example".to_owned()]);
    assert_eq!(ask(&server).await.headers()[allowed], "https://a.example");
    let other = server
        .get("/v1/models")
        .header("Origin", "https://b.example");
    assert!(other.send().await.unwrap().headers().get(allowed).is_none());
    let server = start_with(|options| {
        options.cors_origins = vec!["*".to_owned()];
        options.api_keys = vec!["key".to_owned()];
    });
    assert_eq!(ask(&server).await.headers()[allowed], "*");
}
