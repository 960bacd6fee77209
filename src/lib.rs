//! Run Mistral's Pixtral-12B on a machine you own.

pub mod chat;
pub mod checkpoint;
pub mod config;
pub mod error;
pub mod ggml;
pub mod gguf;
pub mod model;
pub mod preprocess;
pub mod quantize;
pub mod runtime;
pub mod session;
pub mod tokenizer;

pub use error::{Error, ErrorKind, Result};
