//! Messages to token ids and pictures, in the form that the model was trained on.
//!
//! Owns the chat template of Mistral's tekken v3 tokenizer
//! ([`TEMPLATE_VERSION`](crate::tokenizer::TEMPLATE_VERSION)), the reading of OpenAI-style
//! requests, and the rules that a conversation must keep. It uses the tokenizer and the types of
//! prepared pictures; it opens no file (pictures come through a function of the caller's) and
//! knows no tensors, models or sessions.
//!
//! The template, as mistral_common 1.13 applies it for version 3:
//!
//! - `<s>`, then each turn as `[INST]`user`[/INST]`assistant`</s>`, with no spaces added.
//! - All system texts together begin the last user turn, followed by an empty line.
//! - Neighbours of one role are one turn. Texts that meet are joined with an empty line; nothing
//!   is added beside a picture. In a turn of text and then one picture, the picture comes first.
//! - Tools are declared as `[AVAILABLE_TOOLS]`…`[/AVAILABLE_TOOLS]` before the last `[INST]`,
//!   called as `[TOOL_CALLS]`…`</s>` and answered as `[TOOL_RESULTS]`…`[/TOOL_RESULTS]`, each with
//!   JSON between, as Python writes it.
//! - A picture of `rows` × `cols` patches is `rows` × (`cols` + 1) tokens.
//!
//! ```
//! use pixtral::chat::{ChatRequest, Message, Part};
//!
//! let request = ChatRequest::new(vec![
//!     Message::system("Answer in one word."),
//!     Message::user([Part::image_url("cat.jpg"), Part::text("What is this?")]),
//! ]);
//! assert_eq!(request.messages.len(), 2);
//! ```
//!
//! [`ChatTemplate::encode`] turns such a request into a [`Prompt`].

mod call_schema;
mod calls;
mod fields;
mod image_tokens;
mod message;
mod python_json;
mod read;
mod request;
mod schema;
mod template;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tools;
mod turns;
mod validate;

use crate::{preprocess::PreparedImage, tokenizer::TokenId};
use std::sync::Arc;

pub use call_schema::calls_schema;
pub use calls::{CallPiece, CallReader};
pub use message::{ImageSource, Message, Part, Role};
pub use request::ChatRequest;
pub use template::{ChatTemplate, LoadImage};
pub use tools::{Tool, ToolCall};

/// What a model reads: ids, and the pictures that some of them stand for.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Token ids. Every `[IMG]` among them takes one patch, row by row, of the pictures in order.
    pub ids: Vec<TokenId>,
    /// The pictures in the order in which they occur. Shared, since the prompts of a conversation
    /// repeat them turn after turn.
    pub images: Vec<Arc<PreparedImage>>,
}
