//! `/v1/completions`: text that goes on, without a template.

use crate::{
    answer::{Answers, Kind, Meaning, Shape},
    body::{JsonBody, fields},
    error::{ApiError, Result},
    ids,
    keys::Client,
    log::Note,
    request::{
        format::Format,
        pictures::too_long,
        sampling::{MOST_CHOICES, Sampling, choice, whole, within},
    },
    state::{Shared, State as Server, blocking, now},
    whole::Whole,
};
use axum::{Extension, extract::State, response::Response};
use pixtral::{chat::Prompt, session::GenerateOptions, tokenizer::TokenId};
use serde::Deserialize;
use std::sync::Arc;

/// Tokens of an answer unless more are asked for, as in OpenAI's API.
const FEW_TOKENS: usize = 16;

#[derive(Deserialize)]
struct Fields {
    prompt: Option<Prompts>,
    max_tokens: Option<Whole>,
    logprobs: Option<Whole>,
    echo: Option<bool>,
    suffix: Option<String>,
    best_of: Option<Whole>,
}

/// What is to go on: one text or several, as text or as tokens.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a string, a list of strings, a list of tokens or a list of such lists"
)]
enum Prompts {
    Text(String),
    Tokens(Vec<Whole>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<Whole>>),
}

pub(super) async fn complete(
    State(state): State<Shared>,
    Extension(client): Extension<Client>,
    Extension(note): Extension<Note>,
    JsonBody(request): JsonBody,
) -> Result<Response> {
    let sampling = Sampling::read(&request)?;
    let delivery = sampling.delivery()?;
    let own: Fields = fields(&request)?;
    let options = own.options(&state, &sampling)?;
    let format = Format::read(&request)?;
    let prompts = own.prompts(&state)?;
    let n_answers = prompts.len() * delivery.n;
    within("prompt", Some(n_answers as i64), 1..=MOST_CHOICES)?;
    let place = state.admit(n_answers)?;
    let server = state.clone();
    let constraint = blocking(move || format.compile(&server)).await??;
    let options = GenerateOptions {
        constraint,
        ..options
    };
    let jobs = prompts
        .into_iter()
        .flat_map(|prompt| (0..delivery.n).map(move |i| (prompt.clone(), i)))
        .map(|(prompt, i)| state.submit(client, prompt, choice(&options, i)))
        .collect::<Result<_>>()?;
    let answers = Answers {
        jobs,
        shape: Shape {
            kind: Kind::Completion,
            id: ids::random("cmpl-"),
            created: now(),
            model: state.options.model_name.clone(),
            tokenizer: state.model.tokenizer().clone(),
            tool_calls_id: state.template.tool_calls_id(),
            logprobs: options.logprobs.is_some(),
        },
        meaning: Meaning::Text,
        note,
        place,
    };
    answers.send(delivery).await
}

impl Fields {
    fn options(&self, state: &Server, sampling: &Sampling) -> Result<GenerateOptions> {
        if self.echo == Some(true) {
            return Err(ApiError::field("echo", "is not supported"));
        }
        if self
            .suffix
            .as_deref()
            .is_some_and(|suffix| !suffix.is_empty())
        {
            return Err(ApiError::field("suffix", "is not supported"));
        }
        if self.best_of.is_some_and(|n| n.0 != 1) {
            return Err(ApiError::field("best_of", "is not supported"));
        }
        let max_tokens = whole("max_tokens", self.max_tokens, 1..=i64::from(i32::MAX))?;
        let logprobs = whole("logprobs", self.logprobs, 0..=20)?;
        Ok(GenerateOptions {
            max_tokens: Some(max_tokens.map_or(FEW_TOKENS, |n| n as usize)),
            logprobs: logprobs.map(|n| n as usize),
            ..sampling.options(state.model.tokenizer().vocab_size())?
        })
    }

    /// Texts are preceded by the token that begins texts; tokens are taken as they are.
    fn prompts(&self, state: &Server) -> Result<Vec<Arc<Prompt>>> {
        let tokenizer = state.model.tokenizer();
        let encode = |text: &String| {
            let mut ids = vec![tokenizer.bos()];
            tokenizer.encode_into(text, &mut ids);
            check_length(ids, state)
        };
        let take = |ids: &Vec<Whole>| take_tokens(ids, state);
        match &self.prompt {
            None => Err(ApiError::field("prompt", "is missing, expected a string")),
            Some(Prompts::Text(text)) => Ok(vec![encode(text)?]),
            Some(Prompts::Texts(texts)) => texts.iter().map(encode).collect(),
            Some(Prompts::Tokens(ids)) => Ok(vec![take(ids)?]),
            Some(Prompts::TokenLists(lists)) => lists.iter().map(take).collect(),
        }
    }
}

/// A prompt of a client's own tokens.
fn take_tokens(ids: &[Whole], state: &Server) -> Result<Arc<Prompt>> {
    let n_vocab = state.model.tokenizer().vocab_size();
    let image_id = state.model.config().vision.image_token_id;
    if ids.is_empty() {
        return Err(ApiError::field("prompt", "is empty"));
    }
    let take = |id: &Whole| match id.to_u32() {
        Some(id) if id < n_vocab && id != image_id => Ok(id),
        _ => Err(ApiError::field(
            "prompt",
            format!(
                "{} is no token of text, expected 0 to {}",
                id.0,
                n_vocab - 1
            ),
        )),
    };
    check_length(ids.iter().map(take).collect::<Result<_>>()?, state)
}

fn check_length(ids: Vec<TokenId>, state: &Server) -> Result<Arc<Prompt>> {
    if ids.len() > state.n_ctx {
        return Err(too_long(ids.len(), state.n_ctx));
    }
    let images = Vec::new();
    Ok(Arc::new(Prompt { ids, images }))
}
