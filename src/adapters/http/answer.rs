//! Answers and errors as HTTP responses.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use thiserror::Error;

use crate::documents;
use crate::documents::desk::Answer;
use crate::documents::headers::REVISION;
use crate::service::error::RegistryError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CHALLENGE: &str = r#"Bearer realm="beamline-registry""#;

/// What only HTTP can answer, beside the errors of the contract: each is its message.
#[derive(Debug, Error)]
pub(super) enum HttpError {
    /// An error that NATS would answer too, with the same body.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("no such path")]
    NoSuchPath,
    #[error("this path does not take this method")]
    NoSuchMethod,
    #[error("the Host header does not name this server: use its IP address, or set HTTP_HOSTS")]
    NotOurName,
    /// No token, or an unknown one.
    #[error("a valid token is required: `Authorization: Bearer <token>`")]
    Unauthorized,
    #[error("the request body took too long")]
    SlowBody,
    #[error("a body needs `Content-Type: application/json`")]
    NotJson,
    #[error("this sidecar has no data yet")]
    Starting,
    #[error("the answer took too long; a change may still be applied")]
    SlowAnswer,
}

impl HttpError {
    /// The response with status, code and message.
    fn plain(&self) -> Response {
        let (status, code) = match self {
            Self::Registry(error) => {
                let status = StatusCode::from_u16(error.number());
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = json(status, documents::error::error(error));
                if let RegistryError::Overloaded(why) = error {
                    // For who observes refusals: whatever the bound, its answer ends here.
                    response.extensions_mut().insert(*why);
                }
                return response;
            }
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoSuchMethod => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NotOurName => (StatusCode::MISDIRECTED_REQUEST, "misdirected_request"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            Self::SlowAnswer => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
        };
        json(status, documents::error::plain(code, &self.to_string()))
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let beside = match self {
            Self::Unauthorized => Some([(header::WWW_AUTHENTICATE, CHALLENGE)]),
            Self::Starting => Some([(header::RETRY_AFTER, "1")]),
            // What is left of the body would be taken for the next request.
            Self::SlowBody => Some([(header::CONNECTION, "close")]),
            _ => None,
        };
        (beside, self.plain()).into_response()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let revision = self.revision.map(|it| [(REVISION, it.to_string())]);
        let tag = self.record.map(|it| [(header::ETAG, format!("\"{it}\""))]);
        (revision, tag, json(StatusCode::OK, self.body)).into_response()
    }
}

/// A JSON document.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
}
