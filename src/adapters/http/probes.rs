//! Probes and metrics: what Kubernetes and Prometheus ask, without a token.

use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::State;
use super::accept::MetricsFormat;
use super::places::Places;
use crate::documents::probe::{Alive, Ready};

/// Whether the process is alive
///
/// It always answers 200, whatever the state of NATS and Postgres.
#[utoipa::path(get, path = "/livez", tag = "probes",
    responses((status = 200, description = "Alive", body = Alive)))]
pub(super) async fn livez() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Whether the process has started: its configuration is read and HTTP is up
#[utoipa::path(get, path = "/startupz", tag = "probes",
    responses((status = 200, description = "Started", body = Alive)))]
pub(super) async fn startupz() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Whether the sidecar can serve; if not, what is missing
#[utoipa::path(get, path = "/readyz", tag = "probes", responses(
    (status = 200, description = "Ready", body = Ready),
    (status = 503, description = "Not ready yet, or draining", body = Ready),
))]
pub(super) async fn readyz(Extract(state): Extract<State>) -> Response {
    let (readiness, sources) = (&state.readiness, &state.desk.stats.status);
    let (status, word) = match (readiness.is_ready(), readiness.is_draining()) {
        (true, _) => (StatusCode::OK, "ready"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
    };
    let ready = Ready {
        status: word,
        missing: readiness.missing(),
        database: sources.database().as_str(),
        last_error: sources.last_error(),
    };
    (status, Json(ready)).into_response()
}

/// Metrics for Prometheus
///
/// As text 0.0.4, unless OpenMetrics is preferred.
#[utoipa::path(get, path = "/metrics", tag = "probes", responses(
    (status = 200, description = "All series", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    )),
))]
pub(super) async fn metrics(
    Extract(state): Extract<State>,
    Extension(places): Extension<Places>,
    headers: HeaderMap,
) -> Response {
    let format = MetricsFormat::preferred(&headers);
    let describing = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::VARY, "accept"),
    ];
    let page = || (describing, (state.render_metrics)(format)).into_response();
    places.scrape(page).await
}
