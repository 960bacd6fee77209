//! `/v1/estimate`: what pictures and text will cost, before they are sent.

use crate::{
    body::{JsonBody, fields},
    error::{ApiError, Result},
    request::sampling::whole,
    state::Shared,
    whole::Whole,
};
use axum::{Json, extract::State};
use pixtral::session::{Estimate, PictureWork};
use serde::Deserialize;
use serde_json::{Value, json};

/// Most pictures of one estimate.
const MOST_PICTURES: usize = 256;

#[derive(Deserialize)]
struct Fields {
    images: Option<Vec<Size>>,
    text: Option<String>,
    max_image_tokens: Option<Whole>,
}

/// Pixels of a picture.
#[derive(Deserialize)]
struct Size {
    width: Whole,
    height: Whole,
}

pub(super) async fn estimate(
    State(state): State<Shared>,
    JsonBody(request): JsonBody,
) -> Result<Json<Value>> {
    let own: Fields = fields(&request)?;
    let budget = whole("max_image_tokens", own.max_image_tokens, 2..=1 << 20)?;
    let sizes = own.images.unwrap_or_default();
    if sizes.len() > MOST_PICTURES {
        let why = format!("expected at most {MOST_PICTURES} pictures");
        return Err(ApiError::field("images", why));
    }
    let preprocessor = state.preprocessor(budget.map(|n| n as u32));
    let mut works = Vec::new();
    for (i, size) in sizes.iter().enumerate() {
        let side = |side: Whole| side.to_u32().filter(|&side| side > 0);
        let (Some(width), Some(height)) = (side(size.width), side(size.height)) else {
            let why = "expected a width and a height of 1 pixel or more";
            return Err(ApiError::field(format!("images[{i}]"), why));
        };
        let grid = preprocessor.grid(width, height);
        works.push(PictureWork { grid, encode: true });
    }
    let image_tokens: Vec<usize> = works.iter().map(|work| work.grid.n_tokens()).collect();
    let text = own.text.unwrap_or_default();
    // The template adds the beginning of the text and of the turn, and the turn's end.
    let n_text = state.model.tokenizer().encode(&text).len() + 3;
    let n_tokens = n_text + image_tokens.iter().sum::<usize>();
    let rates = state.rates().await?;
    let seconds = rates.map(|rates| {
        Estimate::new(0, n_tokens, works, rates)
            .time()
            .as_secs_f64()
    });
    Ok(Json(json!({
        "image_tokens": image_tokens,
        "tokens": n_tokens,
        "seconds": seconds,
        "context_length": state.n_ctx,
    })))
}
