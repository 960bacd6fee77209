//! Refusals and failures as clients of OpenAI's API expect them: a status, and JSON that says what,
//! where and why.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use pixtral::{Error, ErrorKind};
use serde_json::{Value, json};

/// Result of what answers a request.
pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Why a request has no answer.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// The field that is wrong, as in `messages[0].content`.
    pub(crate) param: Option<String>,
    pub(crate) code: Option<&'static str>,
    /// Seconds after which to try again.
    pub(crate) retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
        }
    }

    /// A request whose field `param` cannot be.
    pub(crate) fn field(param: impl Into<String>, why: impl std::fmt::Display) -> Self {
        let param = param.into();
        Self {
            param: Some(param.clone()),
            ..Self::new(StatusCode::BAD_REQUEST, format!("{param}: {why}"))
        }
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// There is no room for another request.
    pub(crate) fn busy(seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("too many requests are waiting, try again in {seconds} s"),
            )
            .code("rate_limit_exceeded")
        }
    }

    /// The server is being stopped.
    pub(crate) fn stopping() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the server is being stopped",
        )
    }

    /// The body of the response.
    pub(crate) fn to_json(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {
            "message": self.message,
            "type": kind,
            "param": self.param,
            "code": self.code,
        }})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.to_json())).into_response();
        if let Some(seconds) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What the library refuses is the request's fault; what fails is the server's.
impl From<Error> for ApiError {
    fn from(e: Error) -> Self {
        let status = match e.kind() {
            ErrorKind::Cancelled => return Self::stopping(),
            ErrorKind::OutOfMemory => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::InvalidArgument
            | ErrorKind::InvalidImage
            | ErrorKind::ImageTooLarge
            | ErrorKind::ContextFull => StatusCode::BAD_REQUEST,
            kind if kind.code() >= ErrorKind::InvalidMessageStructure.code() => {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            param: field_of(e.message()),
            code: match e.kind() {
                ErrorKind::ContextFull => Some("context_length_exceeded"),
                ErrorKind::InvalidImage | ErrorKind::ImageTooLarge => Some("invalid_image"),
                _ => None,
            },
            ..Self::new(status, e.message())
        }
    }
}

/// The path of a field with which a sentence begins.
fn field_of(message: &str) -> Option<String> {
    let (path, _) = message.split_once([':', ' '])?;
    let is_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_[].".contains(c);
    let known = ["messages", "tools", "reasoning_effort"];
    let begins = known.iter().any(|field| path.starts_with(field));
    (begins && path.chars().all(is_path)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_library_name_the_field() {
        let of = |kind, message: &str| ApiError::from(Error::new(kind, message));
        let e = of(
            ErrorKind::InvalidRequest,
            "messages[2].content[0].text: expected a string, found 1",
        );
        assert_eq!(e.status, StatusCode::BAD_REQUEST);
        assert_eq!(e.param.as_deref(), Some("messages[2].content[0].text"));
        let e = of(ErrorKind::ContextFull, "the prompt has 9 tokens");
        assert_eq!(e.code, Some("context_length_exceeded"));
        assert_eq!(e.param, None);
        let e = of(ErrorKind::Backend, "ggml failed");
        assert_eq!(e.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(e.to_json()["error"]["type"], "server_error");
    }
}
