//! What a conversation is made of: messages of four roles, and the text and pictures in them.
//!
//! Plain data that any program can build. It knows no JSON and no template; whether messages
//! follow each other sensibly is judged when they are encoded.

use super::ToolCall;
use crate::preprocess::PreparedImage;
use std::{fmt, sync::Arc};

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
    /// A tool that the model called.
    Tool,
}

impl fmt::Display for Role {
    /// The role's name in requests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        })
    }
}

/// One message. Texts of one message are joined with an empty line between them; an empty list is
/// a message without content.
#[derive(Clone, Debug)]
pub enum Message {
    /// Instructions for the whole conversation.
    System {
        /// The texts.
        texts: Vec<String>,
    },
    /// A question.
    User {
        /// Text and pictures in the order in which they are meant.
        parts: Vec<Part>,
    },
    /// An answer: either text or tool calls.
    Assistant {
        /// The texts.
        texts: Vec<String>,
        /// Tools that the model called.
        tool_calls: Vec<ToolCall>,
        /// Whether the model is to continue this message, which must then be the last.
        prefix: bool,
    },
    /// What a tool answered.
    Tool {
        /// The texts; JSON if they are, together, JSON.
        texts: Vec<String>,
        /// The [`id`](ToolCall::id) of the call that this answers.
        call_id: String,
        /// The tool's name. The template has no place for it.
        name: Option<String>,
    },
}

impl Message {
    /// Instructions for the whole conversation.
    pub fn system(text: impl Into<String>) -> Self {
        let texts = content(text.into());
        Self::System { texts }
    }

    /// A question of text and pictures: `Message::user(["Hello"])`.
    pub fn user(parts: impl IntoIterator<Item = impl Into<Part>>) -> Self {
        Self::User {
            parts: parts.into_iter().map(Into::into).collect(),
        }
    }

    /// A complete answer.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::Assistant {
            texts: content(text.into()),
            tool_calls: Vec::new(),
            prefix: false,
        }
    }

    /// The beginning of an answer, which the model continues. The last message only.
    pub fn assistant_prefix(text: impl Into<String>) -> Self {
        Self::Assistant {
            texts: content(text.into()),
            tool_calls: Vec::new(),
            prefix: true,
        }
    }

    /// An answer that calls tools.
    pub fn tool_calls(tool_calls: Vec<ToolCall>) -> Self {
        Self::Assistant {
            texts: Vec::new(),
            tool_calls,
            prefix: false,
        }
    }

    /// What a tool answered to the call `call_id`.
    pub fn tool_result(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Tool {
            texts: content(text.into()),
            call_id: call_id.into(),
            name: None,
        }
    }

    /// Whose message it is.
    pub fn role(&self) -> Role {
        match self {
            Self::System { .. } => Role::System,
            Self::User { .. } => Role::User,
            Self::Assistant { .. } => Role::Assistant,
            Self::Tool { .. } => Role::Tool,
        }
    }
}

/// The content of a message that is one text: empty text is no content.
fn content(text: String) -> Vec<String> {
    match text.is_empty() {
        true => Vec::new(),
        false => vec![text],
    }
}

/// A piece of a user's message.
#[derive(Clone, Debug)]
pub enum Part {
    /// Text.
    Text(String),
    /// A picture.
    Image(ImageSource),
}

impl Part {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A picture that the function given to [`ChatTemplate::encode`](super::ChatTemplate::encode)
    /// loads.
    pub fn image_url(url: impl Into<String>) -> Self {
        Self::Image(ImageSource::Url(url.into()))
    }

    /// A picture that is ready.
    pub fn image(image: Arc<PreparedImage>) -> Self {
        Self::Image(ImageSource::Prepared(image))
    }
}

impl<T: Into<String>> From<T> for Part {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// Where a picture comes from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// A path, URL or data URL, as the request names it. What it means is decided by whoever
    /// loads it.
    Url(String),
    /// A picture that is ready.
    Prepared(Arc<PreparedImage>),
}
