//! What is served where.

mod chat;
mod completions;
mod estimate;
mod models;
mod page;
mod status;
mod tokens;

use crate::{error::ApiError, keys, log, options::ServerOptions, state::Shared};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::time::Duration;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{Any, CorsLayer},
    timeout::RequestBodyTimeoutLayer,
};

/// Most time between two pieces of a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// All routes. Those of the API need a key, if there are keys.
pub(crate) fn router(state: Shared) -> Router {
    let api = Router::new()
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/completions", post(completions::complete))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/estimate", post(estimate::estimate))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .route("/metrics", get(status::metrics))
        .route_layer(from_fn_with_state(state.clone(), keys::check));
    let open = Router::new()
        .route("/health", get(status::health))
        .route("/openapi.json", get(status::openapi))
        .route("/", get(page::index))
        .route("/{file}", get(page::file));
    api.merge(open)
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(state.options.max_body_bytes))
        .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
        .layer(cors(&state.options))
        .layer(map_response(no_sniffing))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), log::requests))
        .with_state(state)
}

/// Which web pages may ask.
fn cors(options: &ServerOptions) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods(Any)
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([HeaderName::from_static("x-request-id"), header::RETRY_AFTER]);
    if options.cors_origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(Any);
    }
    let origins = options.cors_origins.iter();
    let origins: Vec<HeaderValue> = origins.filter_map(|origin| origin.parse().ok()).collect();
    match origins.is_empty() {
        true => CorsLayer::new(),
        false => layer.allow_origin(origins),
    }
}

async fn not_found(request: Request) -> ApiError {
    let path = request.uri().path();
    ApiError::new(
        StatusCode::NOT_FOUND,
        format!("there is no {path} here; /openapi.json says what there is"),
    )
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} takes another method than {}",
            request.uri().path(),
            request.method()
        ),
    )
}

/// What is JSON or text is never to be taken for a page or a script.
async fn no_sniffing(mut response: Response) -> Response {
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// A request that made the server panic has failed; others go on.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the server failed, please report it",
    )
    .into_response()
}
