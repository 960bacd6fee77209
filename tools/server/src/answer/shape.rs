//! The JSON of answers: objects and their fields as OpenAI's API names them.

use super::choice::{Call, Choice, Piece};
use pixtral::{
    session::{Answer, TokenLogprobs},
    tokenizer::{TokenId, Tokenizer},
};
use serde_json::{Map, Value, json};

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Completion,
}

/// What the answers of one request have in common.
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) tool_calls_id: TokenId,
    /// Whether tokens' probabilities are told.
    pub(crate) logprobs: bool,
}

impl Shape {
    /// A whole response.
    pub(crate) fn whole(&self, choices: &[Choice]) -> Value {
        let object = match self.kind {
            Kind::Chat => "chat.completion",
            Kind::Completion => "text_completion",
        };
        let listed = (0..).zip(choices);
        let listed = listed.map(|(i, choice)| self.choice(i, choice)).collect();
        let mut response = self.response(object, listed);
        response["usage"] = usage(choices);
        response
    }

    /// The first event of an answer; completions have none.
    pub(crate) fn opening(&self, index: usize) -> Option<Value> {
        let delta = json!({"role": "assistant", "content": ""});
        match self.kind {
            Kind::Chat => Some(self.chunk(index, delta, &[], None)),
            Kind::Completion => None,
        }
    }

    /// An event with what is new.
    pub(crate) fn piece(
        &self,
        index: usize,
        piece: Piece,
        choice: &Choice,
        logprobs: &[TokenLogprobs],
    ) -> Value {
        let delta = match piece {
            Piece::Text(text) => json!({"content": text}),
            Piece::Call(piece) => {
                let mut call = json!({"index": piece.index});
                let begun = choice.calls.get(piece.index);
                match (piece.name, begun) {
                    (Some(_), Some(begun)) => {
                        call["id"] = json!(begun.id);
                        call["type"] = json!("function");
                        call["function"] =
                            json!({"name": begun.name, "arguments": piece.arguments});
                    }
                    _ => call["function"] = json!({"arguments": piece.arguments}),
                }
                json!({"tool_calls": [call]})
            }
        };
        self.chunk(index, delta, logprobs, None)
    }

    /// The last event of an answer.
    pub(crate) fn closing(&self, index: usize, choice: &Choice) -> Value {
        let finish = choice.finish_reason();
        self.chunk(index, json!({}), &choice.logprobs, Some(finish))
    }

    /// The last event of a stream, if it is wanted.
    pub(crate) fn usage(&self, choices: &[Choice]) -> Value {
        let mut response = self.response(self.chunk_object(), Vec::new());
        response["usage"] = usage(choices);
        response
    }

    fn chunk_object(&self) -> &'static str {
        match self.kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Completion => "text_completion",
        }
    }

    fn response(&self, object: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    fn chunk(
        &self,
        index: usize,
        delta: Value,
        logprobs: &[TokenLogprobs],
        finish: Option<&str>,
    ) -> Value {
        let mut choice = json!({"index": index});
        match self.kind {
            Kind::Chat => choice["delta"] = delta,
            Kind::Completion => {
                choice["text"] = json!(delta["content"].as_str().unwrap_or_default());
            }
        }
        choice["logprobs"] = match logprobs.is_empty() {
            true => Value::Null,
            false => self.logprobs(logprobs),
        };
        choice["finish_reason"] = json!(finish);
        self.response(self.chunk_object(), vec![choice])
    }

    fn choice(&self, index: usize, choice: &Choice) -> Value {
        let mut json = json!({"index": index});
        match self.kind {
            Kind::Chat => json["message"] = message(choice),
            Kind::Completion => json["text"] = json!(choice.text),
        }
        json["logprobs"] = self.logprobs(&choice.logprobs);
        json["finish_reason"] = json!(choice.finish_reason());
        json
    }

    fn logprobs(&self, tokens: &[TokenLogprobs]) -> Value {
        if !self.logprobs {
            return Value::Null;
        }
        match self.kind {
            Kind::Chat => {
                let content: Vec<Value> =
                    tokens.iter().map(|token| self.chat_token(token)).collect();
                json!({"content": content, "refusal": null})
            }
            Kind::Completion => self.completion_tokens(tokens),
        }
    }

    fn chat_token(&self, token: &TokenLogprobs) -> Value {
        let one = |id: TokenId, logprob: f32| json!({"token": self.text(id), "logprob": logprob, "bytes": self.tokenizer.token_bytes(id)});
        let top: Vec<Value> = token
            .top
            .iter()
            .map(|&(id, logprob)| one(id, logprob))
            .collect();
        let mut json = one(token.id, token.logprob);
        json["top_logprobs"] = json!(top);
        json
    }

    fn completion_tokens(&self, tokens: &[TokenLogprobs]) -> Value {
        let texts: Vec<String> = tokens.iter().map(|token| self.text(token.id)).collect();
        let logprobs: Vec<f32> = tokens.iter().map(|token| token.logprob).collect();
        let top = tokens.iter().map(|token| {
            let top = token.top.iter();
            Value::Object(
                top.map(|&(id, p)| (self.text(id), json!(p)))
                    .collect::<Map<_, _>>(),
            )
        });
        let offsets = texts.iter().scan(0, |end, text| {
            let start = *end;
            *end += text.chars().count();
            Some(start)
        });
        json!({
            "tokens": texts,
            "token_logprobs": logprobs,
            "top_logprobs": top.collect::<Vec<_>>(),
            "text_offset": offsets.collect::<Vec<_>>(),
        })
    }

    fn text(&self, id: TokenId) -> String {
        match self.tokenizer.token_bytes(id) {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => self
                .tokenizer
                .special_name(id)
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

fn message(choice: &Choice) -> Value {
    let mut message = json!({"role": "assistant", "content": choice.text, "refusal": null});
    if !choice.calls.is_empty() {
        if choice.text.is_empty() {
            message["content"] = Value::Null;
        }
        message["tool_calls"] = choice.calls.iter().map(call).collect();
    }
    message
}

fn call(call: &Call) -> Value {
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    })
}

/// Tokens, and (an extension) times.
fn usage(choices: &[Choice]) -> Value {
    let answers: Vec<&Answer> = choices.iter().filter_map(|c| c.answer.as_deref()).collect();
    let first = answers.first();
    let prompt = first.map_or(0, |answer| answer.reading.n_tokens);
    let cached = first.map_or(0, |answer| answer.reading.n_reused);
    let completion: usize = answers.iter().map(|answer| answer.ids.len()).sum();
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let times = first.map(|answer| {
        json!({
            "encode_ms": milliseconds(answer.reading.encode_time),
            "prefill_ms": milliseconds(answer.reading.prefill_time),
            "decode_ms": milliseconds(answer.decode_time),
        })
    });
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "timings": times,
    })
}
