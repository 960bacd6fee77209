//! `/tokenize` and `/detokenize`.

use crate::{
    body::{JsonBody, fields},
    error::{ApiError, Result},
    state::{Shared, blocking},
    whole::Whole,
};
use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

/// The text has two names: llama.cpp's and vLLM's.
#[derive(Deserialize)]
struct Text {
    content: Option<String>,
    prompt: Option<String>,
    /// Whether the token that begins texts precedes them.
    add_special: Option<bool>,
    add_special_tokens: Option<bool>,
}

#[derive(Deserialize)]
struct Tokens {
    tokens: Option<Vec<Whole>>,
}

pub(super) async fn tokenize(
    State(state): State<Shared>,
    JsonBody(request): JsonBody,
) -> Result<Json<Value>> {
    let text: Text = fields(&request)?;
    let special = text
        .add_special
        .or(text.add_special_tokens)
        .unwrap_or(false);
    let content = text.content.or(text.prompt);
    let content =
        content.ok_or_else(|| ApiError::field("content", "is missing, expected a string"))?;
    let server = state.clone();
    let encode = move || {
        let tokenizer = server.model.tokenizer();
        let mut ids = Vec::new();
        ids.extend(special.then(|| tokenizer.bos()));
        tokenizer.encode_into(&content, &mut ids);
        ids
    };
    let ids = blocking(encode).await?;
    Ok(Json(json!({
        "count": ids.len(),
        "tokens": ids,
        "max_model_len": state.n_ctx,
    })))
}

pub(super) async fn detokenize(
    State(state): State<Shared>,
    JsonBody(request): JsonBody,
) -> Result<Json<Value>> {
    let Tokens { tokens } = fields(&request)?;
    let tokens = tokens.ok_or_else(|| ApiError::field("tokens", "is missing, expected a list"))?;
    let tokenizer = state.model.tokenizer();
    let n_vocab = tokenizer.vocab_size();
    let take = |id: &Whole| match id.to_u32() {
        Some(id) if id < n_vocab => Ok(id),
        _ => Err(ApiError::field(
            "tokens",
            format!("{} is no token, expected 0 to {}", id.0, n_vocab - 1),
        )),
    };
    let tokens = tokens.iter().map(take).collect::<Result<Vec<_>>>()?;
    let text = tokenizer.decode_with_special(&tokens);
    Ok(Json(json!({"content": text, "prompt": text})))
}
