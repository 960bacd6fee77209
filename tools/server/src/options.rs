//! How a server is set up.

use pixtral::{preprocess::PreprocessOptions, session::SessionOptions};
use std::{path::PathBuf, time::Duration};

/// How a server is set up. What is `None` or empty is off.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Name or address to listen at.
    pub host: String,
    /// Port to listen at; 0 takes a free one.
    pub port: u16,
    /// What the model is called in answers.
    pub model_name: String,
    /// Keys of which a request must have one.
    pub api_keys: Vec<String>,
    /// Origins of web pages that may ask, `*` for any.
    pub cors_origins: Vec<String>,
    /// Answers in the making at once.
    pub parallel: usize,
    /// Answers that may wait beside them; more are refused.
    pub queue: usize,
    /// Most bytes of a request.
    pub max_body_bytes: usize,
    /// Folder from which requests may name pictures.
    pub pictures_folder: Option<PathBuf>,
    /// How pictures are fetched that requests name by http(s) URLs.
    pub fetch: Option<FetchOptions>,
    /// How pictures are prepared.
    pub preprocess: PreprocessOptions,
    /// Context, memory and threads; the context is that of each answer.
    pub session: SessionOptions,
    /// How long answers in the making may go on when the server is stopped.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8080,
            model_name: "pixtral".to_owned(),
            api_keys: Vec::new(),
            cors_origins: Vec::new(),
            parallel: 4,
            queue: 64,
            max_body_bytes: 64 << 20,
            pictures_folder: None,
            fetch: None,
            preprocess: PreprocessOptions::default(),
            session: SessionOptions::default(),
            grace: Duration::from_secs(10),
        }
    }
}

/// How pictures are fetched.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Whether http is allowed beside https.
    pub http: bool,
    /// The ports that may be connected to.
    pub ports: Vec<u16>,
    /// Most bytes of a picture.
    pub max_bytes: usize,
    /// Most time that a picture may take, redirects included.
    pub timeout: Duration,
    /// Most redirects that are followed.
    pub max_redirects: usize,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            http: false,
            ports: vec![443],
            max_bytes: 20 << 20,
            timeout: Duration::from_secs(15),
            max_redirects: 3,
        }
    }
}
