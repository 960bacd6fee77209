//! One answer while it comes: what of it is text, and what calls of tools.

use crate::ids;
use pixtral::{
    chat::{CallPiece, CallReader},
    session::{Answer, Finish, TokenLogprobs},
    tokenizer::TokenId,
};

/// What the text of an answer can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Text,
    /// Calls, once the token comes that begins them.
    TextOrCalls,
    Calls,
}

/// What is new of an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Call(CallPiece),
}

/// One answer of a request.
pub(crate) struct Choice {
    meaning: Meaning,
    /// The token that begins calls.
    tool_calls_id: TokenId,
    reader: CallReader,
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    /// Of tokens that were chosen and not yet sent.
    pub(crate) logprobs: Vec<TokenLogprobs>,
    /// Once it is over.
    pub(crate) answer: Option<Box<Answer>>,
}

/// A call as far as it came.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Choice {
    pub(crate) fn new(meaning: Meaning, tool_calls_id: TokenId) -> Self {
        Self {
            meaning,
            tool_calls_id,
            reader: CallReader::default(),
            text: String::new(),
            calls: Vec::new(),
            logprobs: Vec::new(),
            answer: None,
        }
    }

    /// Takes a token that was chosen.
    pub(crate) fn chosen(&mut self, token: TokenLogprobs) {
        if self.meaning == Meaning::TextOrCalls && token.id == self.tool_calls_id {
            self.meaning = Meaning::Calls;
        }
        self.logprobs.push(token);
    }

    /// Takes the next text.
    pub(crate) fn push(&mut self, text: String) -> Vec<Piece> {
        if self.meaning != Meaning::Calls {
            self.text.push_str(&text);
            return vec![Piece::Text(text)];
        }
        let pieces = self.reader.push(&text);
        for piece in &pieces {
            if let Some(name) = &piece.name {
                self.calls.push(Call {
                    id: ids::call(),
                    name: name.clone(),
                    arguments: String::new(),
                });
            }
            if let Some(call) = self.calls.get_mut(piece.index) {
                call.arguments.push_str(&piece.arguments);
            }
        }
        pieces.into_iter().map(Piece::Call).collect()
    }

    /// Takes the end. Text that was meant as calls and is none becomes text, which is returned: better
    /// than to withhold it.
    pub(crate) fn end(&mut self, answer: Box<Answer>) -> Option<String> {
        let cut = !matches!(answer.finish, Finish::EndOfText);
        self.answer = Some(answer);
        if self.meaning != Meaning::Calls || cut || !self.calls.is_empty() {
            return None;
        }
        self.text.push_str(self.reader.text());
        Some(self.reader.text().to_owned()).filter(|text| !text.is_empty())
    }

    /// Why it is over, in OpenAI's words.
    pub(crate) fn finish_reason(&self) -> &'static str {
        let finish = self.answer.as_ref().map(|answer| answer.finish);
        match finish {
            Some(Finish::EndOfText | Finish::StopString) if !self.calls.is_empty() => "tool_calls",
            Some(Finish::EndOfText | Finish::StopString) => "stop",
            _ => "length",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixtral::session::Reading;
    use std::time::Duration;

    const CALLS: TokenId = 9;

    fn token(id: TokenId) -> TokenLogprobs {
        TokenLogprobs {
            id,
            logprob: 0.0,
            top: Vec::new(),
        }
    }

    fn answer(finish: Finish) -> Box<Answer> {
        Box::new(Answer {
            text: String::new(),
            ids: Vec::new(),
            logprobs: Vec::new(),
            finish,
            reading: Reading::default(),
            drafted: 0,
            accepted: 0,
            forced: 0,
            decode_time: Duration::ZERO,
        })
    }

    #[test]
    fn calls_begin_with_their_token_and_not_with_its_name() {
        let mut choice = Choice::new(Meaning::TextOrCalls, CALLS);
        choice.chosen(token(1000));
        assert_eq!(
            choice.push("[TOOL_CALLS][{".into()),
            [Piece::Text("[TOOL_CALLS][{".into())]
        );
        choice.chosen(token(CALLS));
        choice.push(r#"[{"name": "f", "arguments": {"x": "#.into());
        choice.push("1}}]".into());
        assert_eq!(choice.end(answer(Finish::EndOfText)), None);
        assert_eq!(choice.finish_reason(), "tool_calls");
        assert_eq!(choice.calls[0].name, "f");
        assert_eq!(choice.calls[0].arguments, r#"{"x": 1}"#);
        assert_eq!(choice.calls[0].id.len(), 9);
    }

    #[test]
    fn what_should_be_calls_and_is_none_becomes_text() {
        let mut choice = Choice::new(Meaning::Calls, CALLS);
        assert!(choice.push("I cannot.".into()).is_empty());
        let text = choice.end(answer(Finish::EndOfText));
        assert_eq!(text.as_deref(), Some("I cannot."));
        assert_eq!(choice.finish_reason(), "stop");
    }

    #[test]
    fn a_call_that_is_cut_short_says_so() {
        let mut choice = Choice::new(Meaning::Calls, CALLS);
        choice.push(r#"[{"name": "f", "arguments": {"x"#.into());
        assert_eq!(choice.end(answer(Finish::MaxTokens)), None);
        assert_eq!(choice.finish_reason(), "length");
        assert_eq!(choice.calls[0].arguments, r#"{"x"#);
    }
}
