//! Run Mistral's Pixtral-12B on a machine you own.

pub mod config;
pub mod error;
pub mod gguf;
pub mod tokenizer;

pub use error::{Error, ErrorKind, Result};
