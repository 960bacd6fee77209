//! A chat's request as a whole: from JSON to a prompt and the options of its answers.

use super::{
    format::Format,
    pictures::{self, too_long},
    sampling::{Delivery, Sampling, whole},
    tools::{Calls, shorten_ids},
};
use crate::{
    answer::Meaning,
    body::fields,
    error::{ApiError, Result},
    state::{Place, Shared, State, blocking},
    whole::Whole,
};
use pixtral::{
    Error, ErrorKind,
    chat::{ChatRequest, Prompt, calls_schema},
    session::GenerateOptions,
};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Most alternatives to each token, as in OpenAI's API.
const MOST_LOGPROBS: i64 = 20;

/// A chat that can be answered.
pub(crate) struct Chat {
    pub(crate) prompt: Arc<Prompt>,
    pub(crate) options: GenerateOptions,
    pub(crate) delivery: Delivery,
    pub(crate) meaning: Meaning,
    /// Whether the answer is to say how likely its tokens were.
    pub(crate) logprobs: bool,
    pub(crate) place: Place,
}

#[derive(Deserialize)]
struct Fields {
    max_tokens: Option<Whole>,
    max_completion_tokens: Option<Whole>,
    logprobs: Option<bool>,
    top_logprobs: Option<Whole>,
    max_image_tokens: Option<Whole>,
}

impl Fields {
    /// Most tokens of the answer, of which OpenAI's API has two names.
    fn max_tokens(&self) -> Result<Option<usize>> {
        let range = 1..=i64::from(i32::MAX);
        let new = whole(
            "max_completion_tokens",
            self.max_completion_tokens,
            range.clone(),
        )?;
        let old = whole("max_tokens", self.max_tokens, range)?;
        Ok(new.or(old).map(|n| n as usize))
    }

    fn logprobs(&self) -> Result<Option<usize>> {
        let top = whole("top_logprobs", self.top_logprobs, 0..=MOST_LOGPROBS)?;
        match (self.logprobs.unwrap_or(false), top) {
            (true, top) => Ok(Some(top.unwrap_or(0) as usize)),
            (false, None | Some(0)) => Ok(None),
            (false, Some(_)) => Err(ApiError::field("top_logprobs", "needs logprobs: true")),
        }
    }
}

impl Chat {
    /// Reads `request`, takes a place for it and makes its prompt.
    pub(crate) async fn read(state: &Shared, request: Value) -> Result<Self> {
        let sampling = Sampling::read(&request)?;
        let delivery = sampling.delivery()?;
        let own: Fields = fields(&request)?;
        let mut options = sampling.options(state.model.tokenizer().vocab_size())?;
        options.max_tokens = own.max_tokens()?;
        options.logprobs = own.logprobs()?;
        let logprobs = options.logprobs.is_some();
        let budget = whole("max_image_tokens", own.max_image_tokens, 2..=1 << 20)?;
        let format = Format::read(&request)?;
        let mut chat = ChatRequest::from_json(&request)?;
        shorten_ids(&mut chat);
        let calls = Calls::read(&request, &chat.tools)?;

        let place = state.admit(delivery.n)?;
        pictures::prepare(state, &request, &mut chat, budget.map(|n| n as u32)).await?;
        drop(request);
        let shared = state.clone();
        let encode = move || encode(&shared, chat, &calls, &format, options);
        let (prompt, options, meaning) = blocking(encode).await??;
        Ok(Self {
            prompt: Arc::new(prompt),
            options,
            delivery,
            meaning,
            logprobs,
            place,
        })
    }
}

/// The prompt of `chat` with what its answer is held to.
fn encode(
    state: &State,
    mut chat: ChatRequest,
    calls: &Calls,
    format: &Format,
    mut options: GenerateOptions,
) -> Result<(Prompt, GenerateOptions, Meaning)> {
    if *calls == Calls::Never {
        chat.tools.clear();
    }
    let mut prompt = state.template.encode(&chat, &mut |url| {
        Err(Error::new(
            ErrorKind::Internal,
            format!("{url}: a picture was not prepared"),
        ))
    })?;
    options.constraint = format.compile(state)?;
    let meaning = match calls {
        Calls::Forced { tools, most } => {
            state.template.begin_tool_calls(&mut prompt);
            let schema = calls_schema(tools, *most);
            let constraint = state.compiler.json_schema(&schema).map_err(|e| ApiError {
                param: Some("tools".to_owned()),
                ..ApiError::from(e)
            })?;
            options.constraint = Some(constraint);
            Meaning::Calls
        }
        // A constrained answer has no special tokens.
        Calls::Auto if !chat.tools.is_empty() && options.constraint.is_none() => {
            // The token that begins calls has no text, so tokens must be told of.
            options.logprobs = options.logprobs.or(Some(0));
            Meaning::TextOrCalls
        }
        _ => Meaning::Text,
    };
    match prompt.ids.len() > state.n_ctx {
        true => Err(too_long(prompt.ids.len(), state.n_ctx)),
        false => Ok((prompt, options, meaning)),
    }
}
