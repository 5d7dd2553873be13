//! Answers and errors as HTTP responses.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::documents;
use crate::documents::desk::Answer;
use crate::service::error::RegistryError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What only HTTP can answer, beside the errors of the contract.
#[derive(Debug)]
pub(super) enum HttpError {
    /// An error that NATS would answer too, with the same body.
    Registry(RegistryError),
    /// No such path.
    NoSuchPath,
    /// The path does not take the method.
    NoSuchMethod,
    /// The request is for a name that is not this server's.
    NotOurName,
    /// No token, or an unknown one.
    Unauthorized,
    /// The body did not come in time.
    SlowBody,
    /// The body is not declared as JSON.
    NotJson,
    /// There is no data yet.
    Starting,
    /// There was no answer in time.
    SlowAnswer,
}

impl From<RegistryError> for HttpError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl HttpError {
    /// The response with status, code and message.
    fn plain(&self) -> Response {
        let (status, code, message) = match self {
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
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "not_found", "no such path"),
            Self::NoSuchMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not take this method",
            ),
            Self::NotOurName => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected_request",
                "the Host header does not name this server: use its IP address, or set HTTP_HOSTS",
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "a valid token is required: `Authorization: Bearer <token>`",
            ),
            Self::SlowBody => (
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "the request body took too long",
            ),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "a body needs `Content-Type: application/json`",
            ),
            Self::Starting => (
                StatusCode::SERVICE_UNAVAILABLE,
                "starting",
                "this sidecar has no data yet",
            ),
            Self::SlowAnswer => (
                StatusCode::GATEWAY_TIMEOUT,
                "deadline_exceeded",
                "the answer took too long; a change may still be applied",
            ),
        };
        json(status, documents::error::plain(code, message))
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = self.plain();
        let headers = response.headers_mut();
        match self {
            Self::Unauthorized => {
                let challenge = HeaderValue::from_static(r#"Bearer realm="beamline-registry""#);
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Self::Starting => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // What is left of the body would be taken for the next request.
            Self::SlowBody => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::OK, self.body);
        let headers = response.headers_mut();
        if let Some(revision) = self.revision {
            insert(headers, documents::headers::REVISION, &revision.to_string());
        }
        if let Some(record) = self.record {
            insert(headers, header::ETAG.as_str(), &format!("\"{record}\""));
        }
        response
    }
}

/// A JSON document.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
}

/// Sets a header; one that cannot be sent is left out.
pub(super) fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
