//! The HTTP server: probes, metrics, administration and the status page.
//!
//! Bounded in connections, in time per request and in bytes. It starts first and ends after NATS,
//! so that probes are answered while other parts start and drain.
//!
//! [`routes`] has the paths, [`access`] who may use them, [`places`] how many at a time. They lead
//! to [`probes`], [`admin`], [`page`] and [`live`]; [`answer`] makes the responses.
//! [`connections`], [`stream`] and [`pieces`] bound what a client can hold. [`client`] is the
//! command line's.

mod accept;
mod access;
mod admin;
mod answer;
mod body;
pub mod client;
mod connections;
pub mod live;
mod openapi;
mod page;
mod pieces;
mod places;
mod probes;
mod query;
mod routes;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use futures_util::StreamExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use self::accept::MetricsFormat;
pub use self::access::{Access, Tokens};
use self::connections::{Activity, Busy, Connections};
use self::stream::Stream;
use crate::documents::desk::Desk;
use crate::service::observe::Observers;
use crate::service::readiness::Readiness;

/// How long a client may take for a request's head, or stay idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a request's head, its URL included; more are answered 431.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most headers of a request; more are answered 431.
const MAX_HEADERS: usize = 64;
/// How long the answers to abandoned requests may take to be sent.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// The pause after a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// What the routes answer from.
#[derive(Clone)]
pub struct State {
    /// Whether requests should come.
    pub readiness: Arc<Readiness>,
    /// Access rights.
    pub access: Arc<Access>,
    /// What administration is answered from.
    pub desk: Arc<Desk>,
    /// The data of the status page.
    pub feed: Arc<live::Feed>,
    /// Observers of panics and refusals.
    pub observers: Observers,
    /// The end of the grace period: what is not answered by then is answered `shutting_down`.
    pub give_up: CancellationToken,
    /// Makes the page of metrics.
    pub render_metrics: Arc<dyn Fn(MetricsFormat) -> String + Send + Sync>,
}

/// Serves on `listener` until `cancel`, then lets running requests finish until they are given up.
pub async fn serve(mut listener: TcpListener, state: State, cancel: CancellationToken) {
    let addr = listener.local_addr().ok();
    let addr = addr.map(|addr: SocketAddr| addr.to_string());
    info!(addr, "http listening");
    let give_up = state.give_up.clone();
    let router = routes::router(state);
    let graceful = GracefulShutdown::new();
    let mut connections = Connections::default();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = connections.tasks.join_next() => {}
            (stream, peer) = accept(&mut listener) => {
                let activity = Activity::new();
                let serving = answer(stream, activity.clone(), router.clone(), &graceful);
                connections.add(peer.ip(), activity, serving);
            }
        }
    }
    drop(listener);
    let patience = async {
        give_up.cancelled().await;
        sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        () = graceful.shutdown() => {}
        () = patience => {
            let connections = connections.tasks.len();
            warn!(connections, "http connections were cut off");
        }
    }
    connections.tasks.shutdown().await;
}

async fn accept(listener: &mut TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                warn!(%error, "http connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn answer(
    stream: TcpStream,
    activity: Activity,
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let stream = Stream::new(stream, activity.clone());
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let (busy, answer) = (activity.begin(), router.call(request));
        async move { answer.await.map(|answer| held(answer, busy)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    async move {
        if let Err(error) = connection.await {
            debug!(%error, "http connection ended");
        }
    }
}

/// An answer without a known end is a stream, and its connection busy until that ends. For any other
/// it is the client that has to do something: to read it.
fn held(answer: Response, busy: Busy) -> Response {
    let is_whole = answer.body().size_hint().exact().is_some();
    if is_whole || answer.headers().contains_key(CONTENT_LENGTH) {
        return answer;
    }
    answer.map(|body| {
        let pieces = body.into_data_stream();
        Body::from_stream(pieces.inspect(move |_| {
            let _held = &busy;
        }))
    })
}

#[cfg(test)]
mod tests;
