//! `demo`: the whole thing in one command, with nothing to set up.
//!
//! A private nats-server, a copy of the shipped fixtures, sample extensions and the daemon itself, in
//! a folder that is gone afterwards; then a tour that prints every request and its reply.

mod extensions;
mod nats_server;
mod screen;
mod tour;
mod workspace;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{chain, err};
use crate::app;
use crate::app::signals::Signals;
use crate::config::{LogFormat, NatsAddress, NatsAuth, Settings};
use crate::domain::source::SourceMode;
use extensions::Extensions;
use nats_server::NatsServer;
use workspace::Workspace;

/// How long a circuit stays open: nobody wants to watch for the usual minute.
const OPEN_TIME: Duration = Duration::from_secs(2);

/// Failures in a row that open one; the tour counts them aloud.
const FAILURE_THRESHOLD: u32 = 5;

/// Why the demo ended early.
#[derive(Debug, Error)]
enum DemoError {
    #[error("cannot prepare a folder for the demo")]
    Folder(#[from] std::io::Error),
    #[error("cannot start nats-server")]
    NatsServer(#[from] nats_server::StartError),
    #[error("the sample extensions cannot connect")]
    Extensions(#[source] async_nats::Error),
    #[error("the daemon could not start")]
    Daemon(#[from] app::DaemonError),
    #[error("the tour went wrong: {0}")]
    Tour(String),
    #[error("interrupted again: leaving at once")]
    Interrupted,
}

/// Runs the tour, then serves until a signal, unless `once`.
pub(super) async fn run(settings: Settings, once: bool) -> ExitCode {
    match play(settings, once).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            err(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn play(mut settings: Settings, once: bool) -> Result<(), DemoError> {
    let mut signals = Signals::catch()?;
    let workspace = Workspace::create()?;
    let server = NatsServer::start(workspace.folder()).await?;
    adapt(&mut settings, &workspace, &server).await;
    // The tour is what there is to read; the log joins in only when something is wrong.
    settings.logging.filter = "warn".to_owned();
    settings.logging.format = LogFormat::Pretty;
    let log = super::log::start_log(&settings.logging);
    let dropped = log.map(|log| log.dropped()).unwrap_or_default();

    let extensions = Extensions::start(server.url())
        .await
        .map_err(DemoError::Extensions)?;
    let stop = CancellationToken::new();
    let guide = tour::Guide::new(&settings, server.url(), workspace.fixtures());
    let visit = guide.arrive().await.map_err(DemoError::Tour)?;
    let serving = app::serve(settings, dropped, stop.clone().cancelled_owned());
    // Tasks of their own: whatever they are at, such as a screen that takes nothing more, signals
    // are heeded here.
    let serving = tokio::spawn(serving);
    let stopped = stop.clone();
    let touring = tokio::spawn(async move {
        let touring = lead(&guide, visit, &extensions, once);
        let toured = stopped.run_until_cancelled(touring).await;
        stopped.cancel();
        toured.unwrap_or(Ok(()))
    });
    let ended = async { tokio::join!(serving, touring) };
    let (served, toured) = tokio::select! {
        ended = ended => ended,
        () = signals.twice(&stop) => return Err(DemoError::Interrupted),
    };
    toured.map_err(lost)?.map_err(DemoError::Tour)?;
    Ok(served.map_err(lost)??)
}

/// A task of the demo panicked.
fn lost(error: JoinError) -> DemoError {
    DemoError::Tour(error.to_string())
}

/// The tour; then, unless `once`, the events for as long as there are any.
async fn lead(
    guide: &tour::Guide,
    mut visit: tour::Visit,
    extensions: &Extensions,
    once: bool,
) -> Result<(), String> {
    guide.tour(&mut visit, extensions).await?;
    if !once {
        guide.farewell();
        visit.listen().await;
    }
    Ok(())
}

/// Points the daemon at the private server and the copied fixtures, and nowhere else; circuits do
/// what the tour shows.
async fn adapt(settings: &mut Settings, workspace: &Workspace, server: &NatsServer) {
    settings.source.mode = SourceMode::Fixtures;
    settings.source.fixtures_dir = workspace.fixtures().to_owned();
    settings.database = None;
    settings.nats.servers = NatsAddress::parse(server.url()).into_iter().collect();
    settings.nats.auth = NatsAuth::None;
    settings.nats.tls_ca = None;
    settings.nats.client_certificate = None;
    settings.breaker.enabled = true;
    settings.breaker.failure_threshold = FAILURE_THRESHOLD;
    settings.breaker.open_time = OPEN_TIME;
    settings.breaker.max_open_time = settings.breaker.max_open_time.max(OPEN_TIME);
    if let Some(addr) = settings.http.addr {
        settings.http.addr = Some(free(addr).await);
    }
}

/// The usual address, or another port where somebody has it.
async fn free(addr: SocketAddr) -> SocketAddr {
    match TcpListener::bind(addr).await {
        Ok(_) => addr,
        Err(_) => match TcpListener::bind((addr.ip(), 0))
            .await
            .and_then(|l| l.local_addr())
        {
            Ok(free) => free,
            Err(_) => addr,
        },
    }
}
