//! Whether the server is there, what it has done, and what it offers.

use crate::state::Shared;
use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

/// The description of the API, kept by hand. Tests ask for what it describes.
const OPENAPI: &str = include_str!("../../openapi.json");

/// Status 200 without a body: some clients insist on both.
pub(super) async fn health() {}

pub(super) async fn metrics(State(state): State<Shared>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], state.metrics.text()).into_response()
}

pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
