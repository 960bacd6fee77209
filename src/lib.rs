//! Run Mistral's Pixtral-12B on a machine you own: one quantised GGUF file, ggml's kernels, no
//! Python.
//!
//! # The house
//!
//! One-way layers; a module uses what stands below it, never what stands above.
//!
//! | module | owns |
//! |---|---|
//! | [`session`] | one conversation, or several at once: prefix reuse, sampling, streaming, stop strings, cancelling |
//! | [`runtime`] | model files to placed weights, what memory allows, the key-value cache, running the graphs |
//! | [`quantize`] | checkpoint to GGUF file: recipe, streaming pipeline, report; export to llama.cpp |
//! | [`chat`] | messages to token ids and pictures |
//! | [`constraint`] | what an answer may be: JSON schemas, regular expressions, grammars |
//! | [`preprocess`] | picture files to normalised pixels in patches |
//! | [`model`] | weights by name, the vision graph and the decoder graph |
//! | [`checkpoint`] | Mistral's and Hugging Face's layouts, models of random weights |
//! | [`tokenizer`] | tekken: text to ids and back |
//! | [`config`] | the shape of a model and the list of its tensors |
//! | [`ggml`] | a safe wrapper of the part of ggml that is used |
//! | [`gguf`] | the container: mapped reader, streaming writer |
//! | [`error`] | the one error type |
//!
//! # Asking about a picture
//!
//! ```no_run
//! use pixtral::{
//!     chat::{ChatRequest, ChatTemplate, Message, Part},
//!     preprocess::{PreprocessOptions, Preprocessor},
//!     runtime::Model,
//!     session::{Event, GenerateOptions, Session, SessionOptions},
//! };
//! use std::{ops::ControlFlow, path::Path, sync::Arc};
//!
//! # fn main() -> pixtral::Result<()> {
//! let model = Model::open("pixtral-12b-q4_k.gguf")?;
//! let vision = &model.config().vision;
//! let picture = Preprocessor::new(vision, PreprocessOptions::default())
//!     .prepare_file(Path::new("photo.jpg"))?;
//! let request = ChatRequest::new(vec![Message::user([
//!     Part::image(Arc::new(picture)),
//!     Part::text("Describe the image."),
//! ])]);
//! // Pictures could also be named by URL; what that means is up to this function.
//! let prompt = ChatTemplate::new(model.tokenizer(), vision)?
//!     .encode(&request, &mut |url| panic!("{url} is not prepared"))?;
//!
//! let mut session = Session::new(model.clone(), SessionOptions::default())?;
//! let answer = session.generate(&prompt, &GenerateOptions::default(), &mut |event| {
//!     if let Event::Text(piece) = event {
//!         print!("{piece}");
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! println!("\n{} tokens", answer.ids.len());
//! # Ok(())
//! # }
//! ```

pub mod chat;
pub mod checkpoint;
pub mod config;
pub mod constraint;
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
