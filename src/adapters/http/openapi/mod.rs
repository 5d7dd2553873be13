//! Routes and their description, made together: neither can have a path that the other lacks.

mod common;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};
use axum::{Extension, middleware};
use bytes::Bytes;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Paths};

use self::common::{BEARER, complete};
use super::State;
use super::access::{Need, guard};
use super::answer;
use super::places::{self, Places};
use crate::documents::schemas::components;

const ABOUT: &str = "The extension registry of a message router: reads, and changes by operators. \
    Answers have `Beamline-Revision` if they show one revision of the catalog, `ETag` if they are \
    one record, `Beamline-Stale-Ms` once the database could not be used for longer than the sync \
    interval, and `Beamline-Source: fixtures` while files are served in its place.";

/// The document. It is made when it is first asked for: on the way to its text it takes many times
/// its bytes, and most daemons are never asked.
pub(super) struct Document {
    routes: Vec<(Need, Describe)>,
    text: OnceLock<Bytes>,
}

/// The path of a route, its methods, and what it does.
type Describe = fn(Need) -> (String, Vec<HttpMethod>, Operation);

/// A router in the making, and its description.
pub(super) struct Routes {
    state: State,
    places: Places,
    router: Router<State>,
    described: Vec<(Need, Describe)>,
}

impl Routes {
    /// No routes. What they have to do takes `places`.
    pub(super) fn new(state: State, places: Places) -> Self {
        Self {
            state,
            places,
            router: Router::new(),
            described: Vec::new(),
        }
    }

    /// Adds the route that `description` describes, for clients with the rights it needs.
    pub(super) fn add<P, H, T>(mut self, need: Need, _description: P, handler: H) -> Self
    where
        P: utoipa::Path,
        H: Handler<T, State>,
        T: 'static,
    {
        let mut route = MethodRouter::new();
        for method in &P::methods() {
            route = route.on(filter(method), handler.clone());
        }
        if need != Need::Nothing {
            let places = (self.places.clone(), need);
            let state = (self.state.clone(), need);
            // The guard is asked first: a request without the rights takes no place.
            route = route
                .route_layer(middleware::from_fn_with_state(places, places::take))
                .route_layer(middleware::from_fn_with_state(state, guard));
        }
        self.router = self.router.route(&P::path(), route);
        self.described.push((need, describe::<P>));
        self
    }

    /// The router, with the document that describes it.
    pub(super) fn finish(self) -> Router<State> {
        let document = Document {
            routes: self.described,
            text: OnceLock::new(),
        };
        let router = self.router.layer(Extension(Arc::new(document)));
        router.layer(Extension(self.places))
    }
}

fn describe<P: utoipa::Path>(need: Need) -> (String, Vec<HttpMethod>, Operation) {
    let (path, mut operation) = (P::path(), P::operation());
    complete(&mut operation, need, &path);
    (path, P::methods(), operation)
}

impl Document {
    /// As JSON.
    fn text(&self) -> Bytes {
        let text = || crate::documents::to_bytes(&self.whole());
        self.text.get_or_init(text).clone()
    }

    fn whole(&self) -> OpenApi {
        let mut paths = Paths::new();
        for (need, describe) in &self.routes {
            let (path, methods, operation) = describe(*need);
            paths.add_path_operation(path, methods, operation);
        }
        let info = InfoBuilder::new()
            .title("beamline-registry")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(ABOUT))
            .build();
        let mut components = components();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
        OpenApiBuilder::new()
            .info(info)
            .paths(paths)
            .components(Some(components))
            .build()
    }
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "probes",
    responses((status = 200, description = "OpenAPI 3.1", body = utoipa::openapi::Object)))]
pub(super) async fn openapi(Extension(document): Extension<Arc<Document>>) -> Response {
    answer::json(StatusCode::OK, document.text())
}
