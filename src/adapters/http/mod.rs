//! The HTTP server: probes, metrics, administration and the status page.
//!
//! Bounded in connections, in time per request and in bytes. It starts first and ends last, so that
//! probes are answered while the rest comes and goes.

mod accept;
mod access;
mod admin;
mod answer;
mod body;
pub mod live;
mod openapi;
mod page;
mod places;
pub mod probe;
mod probes;
mod query;
mod routes;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use self::accept::MetricsFormat;
pub use self::access::{Access, Tokens};
use self::stream::Stream;
use crate::documents::desk::Desk;
use crate::service::observe::Observers;
use crate::service::readiness::Readiness;
use crate::service::status::Status;

/// Connections at a time; more wait in the system's backlog. Administration, reads that wait and
/// watchers of the status page leave some for probes, see [`places`].
const MAX_CONNECTIONS: usize = 192;
/// How long a client may take for a request's head, or stay idle between two requests. Whoever says
/// nothing holds a place that a probe may wait for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a request's head, its URL included; more are answered 431.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most headers of a request; more are answered 431.
const MAX_HEADERS: usize = 64;
/// How long the answers to what was given up may take to get away.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// The pause after a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// What the routes answer from.
#[derive(Clone)]
pub struct State {
    /// Whether requests should come.
    pub readiness: Arc<Readiness>,
    /// Why the last load failed.
    pub status: Arc<Status>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// What administration is answered from.
    pub desk: Arc<Desk>,
    /// What the status page is told.
    pub feed: Arc<live::Feed>,
    /// Who hears of panics.
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
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&mut listener), if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(answer(stream, router.clone(), &graceful));
            }
        }
    }
    drop(listener);
    let patience = async {
        give_up.cancelled().await;
        sleep(LAST_ANSWERS).await;
    };
    let cut_off = tokio::select! {
        () = graceful.shutdown() => false,
        () = patience => true,
    };
    if cut_off {
        warn!(
            connections = connections.len(),
            "http connections were cut off"
        );
    }
    connections.shutdown().await;
}

async fn accept(listener: &mut TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                warn!(%error, "http connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn answer(
    stream: TcpStream,
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(
            TokioIo::new(Stream::new(stream)),
            TowerToHyperService::new(router),
        );
    let connection = graceful.watch(connection);
    async move {
        if let Err(error) = connection.await {
            debug!(%error, "http connection ended");
        }
    }
}

#[cfg(test)]
mod tests;
