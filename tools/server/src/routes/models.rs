//! `/v1/models`: the one model there is.

use crate::{
    error::{ApiError, Result},
    state::{Shared, State as Server},
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

pub(super) async fn list(State(state): State<Shared>) -> Json<Value> {
    Json(json!({"object": "list", "data": [model(&state)]}))
}

pub(super) async fn one(
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    let name = &state.options.model_name;
    match id == *name {
        true => Ok(Json(model(&state))),
        false => {
            let message = format!("there is no model {id:?} here, only {name:?}");
            Err(ApiError::new(StatusCode::NOT_FOUND, message).code("model_not_found"))
        }
    }
}

/// OpenAI's fields, and what a client may want to know before it asks.
fn model(state: &Server) -> Value {
    let vision = &state.model.config().vision;
    let largest = state
        .preprocessor(None)
        .grid(vision.image_size, vision.image_size);
    json!({
        "id": state.options.model_name,
        "object": "model",
        "created": state.created,
        "owned_by": "pixtral",
        "context_length": state.n_ctx,
        "parallel": state.options.parallel,
        "max_body_bytes": state.options.max_body_bytes,
        "image": {
            "patch_size": vision.patch_size,
            "image_size": vision.image_size,
            "max_tokens": largest.n_tokens(),
        },
    })
}
