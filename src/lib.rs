//! Run Mistral's Pixtral-12B on a machine you own.

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod ggml;
pub mod gguf;
pub mod model;
pub mod tokenizer;

pub use error::{Error, ErrorKind, Result};
