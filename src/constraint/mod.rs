//! What an answer may be: JSON of a schema, text of a regular expression or of a grammar.
//!
//! Owns the compiling of such descriptions against the vocabulary of a tokenizer, and the walk along
//! an answer, token by token: which tokens may come next, and which must. Parsing is the crate
//! `llguidance`'s. It uses the tokenizer and knows no models, logits or sampling.
//!
//! ```no_run
//! use pixtral::{constraint::ConstraintCompiler, runtime::Model, session::GenerateOptions};
//! use serde_json::json;
//!
//! # fn main() -> pixtral::Result<()> {
//! let model = Model::open("pixtral-12b-q4_k.gguf")?;
//! let compiler = ConstraintCompiler::new(model.tokenizer())?; // once for a model
//! let schema = json!({
//!     "type": "object",
//!     "properties": {"shop": {"type": "string"}, "total": {"type": "number"}},
//!     "required": ["shop", "total"],
//!     "additionalProperties": false,
//! });
//! let options = GenerateOptions {
//!     constraint: Some(compiler.json_schema(&schema)?),
//!     ..GenerateOptions::default()
//! };
//! # Ok(())
//! # }
//! ```

mod certain;
mod compiler;
mod guide;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use compiler::{Constraint, ConstraintCompiler};
pub(crate) use guide::{Allowed, Guide};
