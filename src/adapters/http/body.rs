//! Bodies of requests: JSON, of bounded size, in bounded time.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::BytesMut;

use super::answer::HttpError;
use super::routes::too_large;
use crate::documents::request::malformed;
use crate::service::clock::standstill::timeout;

/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that is JSON or empty. Its pieces are copied into one buffer: each by itself would hold
/// more than its bytes.
pub(super) struct Body(pub(super) BytesMut);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        let is_json = is_json(request.headers());
        let bytes = timeout(BODY_TIMEOUT, BytesMut::from_request(request, state)).await;
        let bytes = bytes.map_err(|_| HttpError::SlowBody)?;
        let bytes = bytes.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => malformed("the request body ended early").into(),
        })?;
        if bytes.trim_ascii().is_empty() || is_json {
            Ok(Self(bytes))
        } else {
            Err(HttpError::NotJson)
        }
    }
}

/// Whether the body is declared as JSON, whatever parameters follow.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/json")
}
