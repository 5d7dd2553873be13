//! Paths and their answers.

use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State as Extract};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{State, live, page};

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest body of a request, in bytes.
const MAX_BODY_BYTES: u64 = 1024 * 1024;
const JSON: &str = "application/json";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn router(state: State) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::asset))
        .route("/live", get(watch))
        .route("/livez", get(alive))
        .route("/startupz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "not_found", "no such path") })
        .method_not_allowed_fallback(|| async {
            error(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not take this method",
            )
        })
        .layer(middleware::from_fn(limits))
        .with_state(state)
}

/// That it answers is the answer: neither NATS nor Postgres matters here.
async fn alive() -> Response {
    json(StatusCode::OK, &json!({"status": "ok"}))
}

/// Whether requests should come; if not, what is missing.
async fn ready(Extract(state): Extract<State>) -> Response {
    let (readiness, last_error) = (&state.readiness, state.status.last_error());
    let (status, word) = match (readiness.is_ready(), readiness.is_draining()) {
        (true, _) => (StatusCode::OK, "ready"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
    };
    json(
        status,
        &json!({"status": word, "missing": readiness.missing(), "last_error": last_error}),
    )
}

/// The status page's stream.
async fn watch(Extract(state): Extract<State>) -> Response {
    live::watch(&state.feed).unwrap_or_else(|error| {
        let message = error.to_string();
        super::routes::error(StatusCode::SERVICE_UNAVAILABLE, error.code(), &message)
    })
}

async fn metrics(Extract(state): Extract<State>) -> Response {
    (
        [(header::CONTENT_TYPE, OPENMETRICS)],
        (state.render_metrics)(),
    )
        .into_response()
}

/// Holds every request to its limits in bytes and time. A body of unknown length is held to the
/// limit by whoever reads it; no route here does.
async fn limits(request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > MAX_BODY_BYTES {
        let message = "the body is larger than 1 MiB";
        return error(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message);
    }
    timeout(REQUEST_TIMEOUT, next.run(request))
        .await
        .unwrap_or_else(|_| {
            let message = "the answer took too long";
            error(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", message)
        })
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json(
        status,
        &json!({"error": {"code": code, "message": message}}),
    )
}

fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}
