//! The pictures of a chat: found in its messages, loaded, decoded and prepared within their budgets.

use crate::{
    error::{ApiError, Result},
    state::{Shared, blocking},
};
use pixtral::chat::{ChatRequest, ImageSource, Message, Part};
use serde_json::Value;
use std::sync::Arc;

/// Tokens of a picture with `"detail": "low"`.
const LOW_DETAIL: u32 = 256;

/// A picture that a request names.
struct Named {
    param: String,
    budget: Option<u32>,
}

/// Replaces the names of pictures in `chat`, which was read from `request`, by the pictures. `budget`
/// holds for each of them beside its own.
///
/// Errors if one cannot be had or decoded, or if they are more than the context holds: the rest is then
/// not even loaded.
pub(crate) async fn prepare(
    state: &Shared,
    request: &Value,
    chat: &mut ChatRequest,
    budget: Option<u32>,
) -> Result<()> {
    let named = named(request, budget)?;
    let parts = chat.messages.iter_mut().flat_map(|message| match message {
        Message::User { parts } => parts.as_mut_slice(),
        _ => &mut [],
    });
    let sources = parts.filter_map(|part| match part {
        Part::Image(source) => Some(source),
        Part::Text(_) => None,
    });
    let mut n_tokens = 0;
    for (source, Named { param, budget }) in sources.zip(named) {
        let ImageSource::Url(url) = source else {
            continue;
        };
        let bytes = state.sources.load(&param, url).await?;
        let preprocessor = state.preprocessor(budget);
        let permit = state.decoding.acquire().await;
        let name = param.clone();
        let image = blocking(move || preprocessor.prepare(&name, &bytes)).await?;
        drop(permit);
        let image = image.map_err(|e| ApiError {
            param: Some(param),
            ..ApiError::from(e)
        })?;
        n_tokens += image.grid.n_tokens();
        if n_tokens > state.n_ctx {
            return Err(too_long(n_tokens, state.n_ctx));
        }
        *source = ImageSource::Prepared(Arc::new(image));
    }
    Ok(())
}

/// The refusal of a prompt of at least `n_tokens`.
pub(crate) fn too_long(n_tokens: usize, n_ctx: usize) -> ApiError {
    ApiError::new(
        axum::http::StatusCode::BAD_REQUEST,
        format!(
            "the prompt has {n_tokens} tokens or more but the context holds {n_ctx}: use fewer or \
             smaller pictures (detail, max_image_tokens), fewer turns or a server with a larger --ctx"
        ),
    )
    .code("context_length_exceeded")
}

/// The pictures of a request whose messages are known to be well-formed, in order.
fn named(request: &Value, budget: Option<u32>) -> Result<Vec<Named>> {
    let mut named = Vec::new();
    for (m, message) in items(&request["messages"]) {
        for (p, part) in items(&message["content"]) {
            if part["type"] != "image_url" {
                continue;
            }
            let param = format!("messages[{m}].content[{p}].image_url");
            let own = match part["image_url"]["detail"].as_str() {
                None | Some("auto" | "high") => None,
                Some("low") => Some(LOW_DETAIL),
                Some(other) => {
                    return Err(ApiError::field(
                        format!("{param}.detail"),
                        format!("expected low, high or auto, found {other:?}"),
                    ));
                }
            };
            let budget = smaller(own, budget);
            named.push(Named { param, budget });
        }
    }
    Ok(named)
}

/// The smaller of two budgets, where none is no limit.
pub(crate) fn smaller(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The items of a list with their places; none if `value` is no list.
fn items(value: &Value) -> impl Iterator<Item = (usize, &Value)> {
    value.as_array().into_iter().flatten().enumerate()
}
