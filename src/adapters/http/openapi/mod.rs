//! Routes and their description, made together: neither can have a path that the other lacks.

mod common;

use axum::Router;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};
use axum::{Extension, middleware};
use bytes::Bytes;
use utoipa::openapi::path::HttpMethod;
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

/// The document, as JSON.
#[derive(Debug, Clone)]
pub(super) struct Document(Bytes);

/// A router in the making, and its description.
pub(super) struct Routes {
    state: State,
    places: Places,
    router: Router<State>,
    paths: Paths,
}

impl Routes {
    /// No routes. What they have to do takes `places`.
    pub(super) fn new(state: State, places: Places) -> Self {
        Self {
            state,
            places,
            router: Router::new(),
            paths: Paths::new(),
        }
    }

    /// Adds the route that `description` describes, for clients with the rights it needs.
    pub(super) fn add<P, H, T>(mut self, need: Need, _description: P, handler: H) -> Self
    where
        P: utoipa::Path,
        H: Handler<T, State>,
        T: 'static,
    {
        let (path, methods) = (P::path(), P::methods());
        let mut route = MethodRouter::new();
        for method in &methods {
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
        self.router = self.router.route(&path, route);
        let mut operation = P::operation();
        complete(&mut operation, need, &path);
        self.paths.add_path_operation(path, methods, operation);
        self
    }

    /// The router, and the document with which it answers for itself.
    pub(super) fn finish(self) -> (Router<State>, OpenApi) {
        let info = InfoBuilder::new()
            .title("beamline-registry")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(ABOUT))
            .build();
        let mut components = components();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
        let document = OpenApiBuilder::new()
            .info(info)
            .paths(self.paths)
            .components(Some(components))
            .build();
        let text = Document(crate::documents::to_bytes(&document));
        let router = self.router.layer(Extension(text));
        (router.layer(Extension(self.places)), document)
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
pub(super) async fn openapi(Extension(Document(text)): Extension<Document>) -> Response {
    answer::json(StatusCode::OK, text)
}
