//! Messages brought into the order of the template: neighbours merged, texts joined, system texts
//! gathered.
//!
//! It borrows the messages and knows neither tokens nor JSON.

use super::{ImageSource, Message, Part, Role, ToolCall, validate};
use crate::Result;

/// What stands between texts that meet, and after the system's text.
pub(super) const SEPARATOR: &str = "\n\n";

/// A conversation as the template sees it.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    /// All system texts; empty if there are none.
    pub system: String,
    /// At least one; the first is a user's.
    pub turns: Vec<Turn<'a>>,
}

/// Consecutive messages of one role, or one tool's result.
#[derive(Debug)]
pub(super) enum Turn<'a> {
    User(Vec<Segment<'a>>),
    Assistant { answer: Answer<'a>, prefix: bool },
    ToolResult { text: String, call_id: &'a str },
}

/// What the assistant said.
#[derive(Debug)]
pub(super) enum Answer<'a> {
    /// Never empty.
    Text(String),
    /// Never empty.
    Calls(Vec<&'a ToolCall>),
}

/// A run of text, never empty, or a picture. No two texts are neighbours.
#[derive(Debug)]
pub(super) enum Segment<'a> {
    Text(String),
    Image(&'a ImageSource),
}

impl<'a> Conversation<'a> {
    /// Errors if neighbouring messages of the assistant are, together, text and tool calls, or
    /// neither.
    pub fn new(messages: &'a [Message]) -> Result<Self> {
        let mut turns = Vec::new();
        for group in messages.chunk_by(|a, b| a.role() == b.role()) {
            match group[0].role() {
                Role::System => {}
                Role::User => turns.push(Turn::User(user(group))),
                Role::Assistant => turns.push(assistant(group)?),
                Role::Tool => turns.extend(tool_results(group)),
            }
        }
        if !matches!(turns.first(), Some(Turn::User(_))) {
            turns.insert(0, Turn::User(Vec::new()));
        }
        Ok(Self {
            system: system(messages),
            turns,
        })
    }

    /// Index of the last user's turn.
    pub fn last_user(&self) -> usize {
        let user = |turn: &Turn| matches!(turn, Turn::User(_));
        self.turns.iter().rposition(user).unwrap_or(0)
    }
}

/// Texts that are not empty, joined.
fn join<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    let texts: Vec<&str> = texts
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    texts.join(SEPARATOR)
}

/// The texts of all system messages that have content, even if it is an empty text.
fn system(messages: &[Message]) -> String {
    let texts: Vec<String> = messages
        .iter()
        .filter_map(|message| match message {
            Message::System { texts } if !texts.is_empty() => Some(join(texts.iter())),
            _ => None,
        })
        .collect();
    texts.join(SEPARATOR)
}

fn user(group: &[Message]) -> Vec<Segment<'_>> {
    let parts = group.iter().flat_map(|message| match message {
        Message::User { parts } => parts.as_slice(),
        _ => &[],
    });
    let mut segments: Vec<Segment> = Vec::new();
    for part in parts {
        match (part, segments.last_mut()) {
            (Part::Text(text), _) if text.is_empty() => {}
            (Part::Text(text), Some(Segment::Text(run))) => {
                run.push_str(SEPARATOR);
                run.push_str(text);
            }
            (Part::Text(text), _) => segments.push(Segment::Text(text.clone())),
            (Part::Image(source), _) => segments.push(Segment::Image(source)),
        }
    }
    // The model was trained on pictures before the text about them.
    if let [Segment::Text(_), Segment::Image(_)] = segments[..] {
        segments.swap(0, 1);
    }
    segments
}

fn assistant(group: &[Message]) -> Result<Turn<'_>> {
    let (mut all_texts, mut calls, mut continued) = (Vec::new(), Vec::new(), false);
    for message in group {
        if let Message::Assistant {
            texts,
            tool_calls,
            prefix,
        } = message
        {
            all_texts.extend(texts);
            calls.extend(tool_calls);
            continued |= prefix;
        }
    }
    let text = join(all_texts.into_iter());
    let answer = match (text.is_empty(), calls.is_empty()) {
        (false, true) => Answer::Text(text),
        (true, false) => Answer::Calls(calls),
        (true, true) => {
            return Err(validate::assistant(
                "a message of the assistant whose texts are all empty, expected text or tool calls"
                    .to_owned(),
            ));
        }
        (false, false) => {
            return Err(validate::assistant(
                "neighbouring messages of the assistant with text and with tool calls, expected a \
                 message of another role between them"
                    .to_owned(),
            ));
        }
    };
    Ok(Turn::Assistant {
        answer,
        prefix: continued,
    })
}

fn tool_results(group: &[Message]) -> impl Iterator<Item = Turn<'_>> {
    group.iter().filter_map(|message| match message {
        Message::Tool { texts, call_id, .. } => Some(Turn::ToolResult {
            text: join(texts.iter()),
            call_id,
        }),
        _ => None,
    })
}
