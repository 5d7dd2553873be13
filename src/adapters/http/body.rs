//! Bodies of requests: JSON, of bounded size, in bounded time.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;

use super::answer::HttpError;
use super::routes::{MAX_BODY_BYTES, too_large};
use crate::documents::request::malformed;
use crate::service::clock::standstill::timeout;

/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that is JSON or empty.
pub(super) struct Body(pub(super) Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = HttpError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        let is_json = is_json(request.headers());
        let bytes = timeout(BODY_TIMEOUT, read(request)).await;
        let bytes = bytes.unwrap_or(Err(HttpError::SlowBody))?;
        if bytes.trim_ascii().is_empty() || is_json {
            Ok(Self(bytes))
        } else {
            Err(HttpError::NotJson)
        }
    }
}

async fn read(request: Request) -> Result<Vec<u8>, HttpError> {
    let mut pieces = request.into_body().into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| malformed("the request body ended early"))?;
        if bytes.len() + piece.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Whether the body is declared as JSON, whatever parameters follow.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/json")
}
