//! Bodies of requests: JSON, and fields of it with their types.

use crate::error::{ApiError, Result};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The JSON object of a request.
///
/// It must be declared as JSON: web pages of other origins cannot send that without being asked
/// whether they may (CORS), so none makes the model work behind its user's back.
pub(crate) struct JsonBody(pub(crate) Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let declared = request.headers().get(CONTENT_TYPE);
        let declared = declared.and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = declared.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Type: expected application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|e| {
            let status = e.into_response().status();
            match status {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
                    status,
                    "the request is too large: use fewer or smaller pictures",
                ),
                _ => ApiError::new(status, "the request's body could not be read"),
            }
        })?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                format!("the request is not JSON: {e}"),
            )
        })?;
        match value {
            Value::Object(_) => Ok(Self(value)),
            _ => Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "the request: expected an object",
            )),
        }
    }
}

/// The fields of `value` that `T` names; others are ignored, and null is absent.
pub(crate) fn fields<T: DeserializeOwned>(value: &Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        match path.as_str() {
            "." => ApiError::new(StatusCode::BAD_REQUEST, e.inner().to_string()),
            _ => ApiError::field(path, e.inner()),
        }
    })
}
