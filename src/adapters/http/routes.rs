//! Paths, and the rules for all of them.

use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, Request, State as Extract};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::State;
use super::access::Need::{Audit, Nothing, Reader, Reload, Viewer, Write};
use super::access::guard;
use super::admin::{reads, writes};
use super::answer::HttpError;
use super::openapi::{self, Routes};
use super::places::{self, Places};
use super::{live, page, probes};
use crate::config::Role::{Admin, Operator};
use crate::documents::headers::{SOURCE, STALE_MS};
use crate::domain::overload::Overload;
use crate::service::boundary::survived;
use crate::service::clock::standstill::timeout;
use crate::service::error::RegistryError;
use crate::service::observe::Observation;

/// How long a request may take. The slowest is a change whose COMMIT got no answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest body of a request, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Everything that is served.
pub(super) fn router(state: State) -> Router {
    let places = Places::default();
    routes(state.clone(), places.clone())
        .merge(status_page(state.clone(), places))
        .fallback(|| async { HttpError::NoSuchPath })
        .method_not_allowed_fallback(|| async { HttpError::NoSuchMethod })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(state.clone(), limits))
        .with_state(state)
}

/// The page and its stream, which are no interface for programs.
fn status_page(state: State, places: Places) -> Router<State> {
    let watch = get(live::watch);
    let changes = get(live::changes);
    // They are of the audit, without its values.
    let places = (places, Audit);
    let changes = changes.route_layer(middleware::from_fn_with_state(places, places::take));
    let guard = middleware::from_fn_with_state((state, Viewer), guard);
    Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .route("/live", watch.route_layer(guard.clone()))
        .route("/live/changes", changes.route_layer(guard))
}

/// The routes, and the document that describes them.
fn routes(state: State, places: Places) -> Router<State> {
    Routes::new(state, places)
        .add(Nothing, probes::__path_livez, probes::livez)
        .add(Nothing, probes::__path_startupz, probes::startupz)
        .add(Nothing, probes::__path_readyz, probes::readyz)
        .add(Nothing, probes::__path_metrics, probes::metrics)
        .add(Nothing, openapi::__path_openapi, openapi::openapi)
        .add(Reader, reads::__path_list, reads::list)
        .add(Reader, reads::__path_health, reads::health)
        .add(Reader, reads::__path_get, reads::get)
        .add(Reader, reads::__path_health_of, reads::health_of)
        .add(Reader, reads::__path_circuits, reads::circuits)
        .add(Reader, reads::__path_stats, reads::stats)
        .add(Audit, reads::__path_audit, reads::audit)
        .add(Write(Admin), writes::__path_create, writes::create)
        .add(Write(Admin), writes::__path_update, writes::update)
        .add(Write(Admin), writes::__path_delete, writes::delete)
        .add(Write(Operator), writes::__path_enable, writes::enable)
        .add(Write(Operator), writes::__path_disable, writes::disable)
        .add(Reload, writes::__path_reload, writes::reload)
        .finish()
}

/// Holds every request to its limits in bytes and time. A body of unknown length is held to the
/// limit by its reader.
async fn limits(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let response = if let Err(refusal) = state.access.of_ours(&request) {
        refusal.into_response()
    } else if request.body().size_hint().lower() > MAX_BODY_BYTES as u64 {
        too_large().into_response()
    } else {
        let changes = !request.method().is_safe() && request.uri().path() != RELOAD;
        let answer = survived(&state.observers, next.run(request));
        let answer = timeout(REQUEST_TIMEOUT, answer);
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(Some(answer)) => answer,
                Ok(None) => HttpError::Registry(RegistryError::Internal).into_response(),
                Err(_) => HttpError::SlowAnswer.into_response(),
            },
            () = state.give_up.cancelled() => {
                HttpError::Registry(RegistryError::unfinished(changes)).into_response()
            }
        }
    };
    if let Some(why) = response.extensions().get::<Overload>() {
        state.observers.observe(&Observation::Overloaded(*why));
    }
    annotate(&state, response)
}

/// The one request that is no read and changes nothing.
const RELOAD: &str = "/admin/reload";

/// The body is over the limit.
pub(super) fn too_large() -> HttpError {
    HttpError::Registry(RegistryError::PayloadTooLarge {
        what: "the body",
        limit_bytes: MAX_BODY_BYTES,
    })
}

/// What every response carries: how old the data is, and that browsers must not guess its type.
fn annotate(state: &State, response: Response) -> Response {
    let annotations = state.desk.stats.status.annotations();
    let stale_ms = annotations.and_then(|it| it.stale_ms);
    let stale_ms = stale_ms.map(|ms| [(STALE_MS, ms.to_string())]);
    let fixtures = annotations.is_some_and(|it| it.fixtures);
    let source = fixtures.then_some([(SOURCE, "fixtures")]);
    let nosniff = [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    let mut response = (stale_ms, source, nosniff, response).into_response();
    let no_store = HeaderValue::from_static("no-store");
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}
