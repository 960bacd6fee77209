//! Servers of the demonstration model, and requests to them.

use base64::{Engine, prelude::BASE64_STANDARD};
use pixtral::{
    checkpoint::Checkpoint,
    ggml::CancelFlag,
    quantize::{Event, QuantizeOptions, Recipe, quantize},
    runtime::{KvType, Model},
    session::{Event as Placing, SessionOptions},
};
use pixtral_server::{Server, ServerOptions};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Longest conversation of the servers.
pub const N_CTX: usize = 1024;

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.gguf");
    let checkpoint = Checkpoint::open(&demo("")).unwrap();
    let recipe: Recipe = "f32".parse().unwrap();
    let mut silent = |_: &Event| ControlFlow::Continue(());
    let options = QuantizeOptions::default();
    quantize(&checkpoint, &path, &recipe, &options, &mut silent).unwrap();
    Model::open(&path).unwrap()
});

/// A file of the demonstration.
pub fn demo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../pixtral/demo")
        .join(name)
}

/// A picture of the demonstration as a part of a message.
pub fn picture(name: &str) -> Value {
    let bytes = fs::read(demo(name)).unwrap();
    let url = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes));
    json!({"type": "image_url", "image_url": {"url": url}})
}

/// A question about a picture, to be answered with the most likely tokens.
pub fn about(name: &str, question: &str) -> Value {
    let text = json!({"type": "text", "text": question});
    json!({
        "messages": [{"role": "user", "content": [picture(name), text]}],
        "temperature": 0,
        "max_tokens": 64,
    })
}

/// A request whose answer does not end before the context is full: the token that would end it is not
/// chosen.
pub fn endless() -> Value {
    let end = MODEL.tokenizer().eos().to_string();
    json!({
        "messages": [{"role": "user", "content": "Count."}],
        "logit_bias": {end: -100},
    })
}

/// A context that takes longer to fill than any test waits.
pub const LONG: usize = 16_384;

/// `request` with `fields` beside its own.
pub fn with(mut request: Value, fields: Value) -> Value {
    for (key, value) in fields.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

/// A server that runs until it is dropped.
pub struct Running {
    address: String,
    client: Client,
    stop: CancelFlag,
    thread: Option<JoinHandle<pixtral::Result<()>>>,
}

/// A server with usual options.
pub fn start() -> Running {
    start_with(|_| ())
}

/// A server with options that `change` has changed.
pub fn start_with(change: impl FnOnce(&mut ServerOptions)) -> Running {
    let mut options = ServerOptions {
        port: 0,
        model_name: "demo".to_owned(),
        session: SessionOptions {
            n_ctx: Some(N_CTX),
            kv_type: KvType::F32,
            n_threads: Some(1),
            ..SessionOptions::default()
        },
        grace: Duration::from_secs(60),
        ..ServerOptions::default()
    };
    change(&mut options);
    let stop = CancelFlag::default();
    let flag = stop.clone();
    let (tell, address) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut silent = |_: Placing| ControlFlow::Continue(());
        let server = Server::new(MODEL.clone(), options, &mut silent)?;
        tell.send(server.address()).unwrap();
        server.run(&flag)
    });
    Running {
        address: format!("http://{}", address.recv().unwrap()),
        client: Client::builder().no_proxy().build().unwrap(),
        thread: Some(thread),
        stop,
    }
}

impl Running {
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.address))
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.address));
        request
            .header("Content-Type", "application/json")
            .body(body.to_string())
    }

    /// The answer to a chat, which must have one.
    pub async fn chat(&self, request: &Value) -> Value {
        self.answer("/v1/chat/completions", request).await
    }

    /// The JSON that `path` answers `request` with, which must succeed.
    #[track_caller]
    pub fn answer(&self, path: &str, request: &Value) -> impl Future<Output = Value> {
        let request = self.post(path, request);
        async move {
            let response = request.send().await.unwrap();
            let status = response.status();
            let body = json_of(response).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            body
        }
    }

    /// Checks that `path` refuses `request` with `status` and an error of OpenAI's shape, which is
    /// returned.
    pub async fn refused(&self, path: &str, request: &Value, status: u16) -> Value {
        let response = self.post(path, request).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{request}");
        error_of(response).await
    }

    /// A number among the metrics.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self
            .get("/metrics")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let values = text.lines().filter_map(|line| line.strip_prefix(name));
        values
            .map(|value| value.trim().parse::<f64>().unwrap())
            .sum()
    }

    /// Waits until the metric `name` is `value`.
    pub async fn wait_for(&self, name: &str, value: f64) {
        for _ in 0..3000 {
            if self.metric(name).await == value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} never became {value}");
    }

    /// Asks the server to stop, as Ctrl-C does.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// What became of the server, once it has ended.
    pub fn join(&mut self) -> pixtral::Result<()> {
        self.stop();
        self.thread
            .take()
            .map_or(Ok(()), |thread| thread.join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.join();
        if !thread::panicking() {
            ended.unwrap();
        }
    }
}

pub async fn json_of(response: Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The error in a response, whose shape is checked.
pub async fn error_of(response: Response) -> Value {
    let body = json_of(response).await;
    let error = body["error"].clone();
    assert!(
        error["message"].as_str().is_some_and(|m| !m.is_empty()),
        "{body}"
    );
    assert!(error["type"].is_string(), "{body}");
    for field in ["param", "code"] {
        assert!(error[field].is_string() || error[field].is_null(), "{body}");
    }
    error
}

/// The text of the first answer to a chat.
pub fn content(response: &Value) -> &str {
    response["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_else(|| panic!("{response}"))
}

/// The data of all events of a stream; the last one, which ends every stream, is left out.
pub async fn events(response: Response) -> Vec<Value> {
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/event-stream");
    let text = response.text().await.unwrap();
    let mut data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(data.pop(), Some("[DONE]"), "{text}");
    data.into_iter()
        .map(|json| serde_json::from_str(json).unwrap())
        .collect()
}
