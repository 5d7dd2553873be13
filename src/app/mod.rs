//! Composition root: the one place that names every adapter.
//!
//! [`serve`] is the daemon's life: HTTP first, then data, then NATS; on a signal NATS ends first,
//! then HTTP, then the rest, so that what a request waits for is there until it is answered.
//! Request subjects are subscribed only after the first data is applied, so that no sidecar ever
//! answers "unknown" because it has no data yet.
//!
//! [`shared`] makes every part, [`deployment`] knows what the settings mean for several of them;
//! [`fleet`] and [`automatic`] start what runs beside requests, as tasks that are [`essential`].

mod automatic;
mod deployment;
mod essential;
mod fleet;
mod shared;
pub mod signals;
mod spans;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::adapters::nats::events::Losses;
use crate::adapters::nats::link::lane::{Start, ThreadError};
use crate::adapters::nats::server::{self as nats, Links, Server};
use crate::adapters::{fixtures, http, postgres};
use crate::config::Settings;
use crate::documents::desk::Desk;
use crate::domain::catalog::ActiveSource;
use crate::service::clock::standstill::{self, timeout};
use crate::service::live::Notes;
use crate::service::meter::Count;
use crate::service::readiness::Part;
use crate::service::reload::ReloadHandle;
use deployment::uses_fixtures;
pub(crate) use deployment::{layout, policy, uses_database};
use essential::Essential;
use shared::Shared;

/// How long a start waits for overrides and open circuits once it has data.
const RESTORE_PATIENCE: Duration = Duration::from_secs(2);

/// What the daemon takes for itself after the grace period: the last replies and the last health
/// flush. The process has to be gone a second after it, the last log lines included.
const LAST_WORK: Duration = Duration::from_millis(600);

/// Why the daemon could not start or go on.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The thread that watches the process's own clock cannot be had.
    #[error("cannot start the thread of the clock")]
    Clock(#[source] std::io::Error),
    /// The HTTP address cannot be had.
    #[error("cannot listen on {0}")]
    Http(SocketAddr, #[source] std::io::Error),
    /// The NATS side cannot start.
    #[error("the NATS side cannot start")]
    Nats(#[from] ThreadError),
    /// The database settings cannot work, such as an unreadable certificate.
    #[error("the database cannot be used as configured")]
    Postgres(#[from] postgres::SetupError),
    /// The exporter of spans cannot be had.
    #[error("spans cannot be sent as configured: {0}")]
    Spans(String),
    /// A task ended that must not: better no sidecar than half of one.
    #[error("the {0} task ended unexpectedly")]
    Died(&'static str),
}

/// Serves until `stop` completes, then drains. A server that is unreachable is waited for.
/// `log_lines_dropped` is shown among the metrics.
///
/// # Errors
/// Only what no waiting can fix.
pub async fn serve(
    settings: Settings,
    log_lines_dropped: Count,
    stop: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let mut stop = std::pin::pin!(stop);
    let mut essential = Essential::new();
    let spans = spans::start(&settings, &mut essential)?;
    let (shared, unshared) = Shared::new(settings, spans, log_lines_dropped)?;
    let settings = &shared.settings;
    standstill::watch().map_err(DaemonError::Clock)?;
    let telling = standstill::tell(shared.observers.clone(), essential.stopped());
    essential.spawn("standstills", telling);

    let (reloader, reload) = shared.reloader(unshared.writer);
    let desk = shared.desk(reload.clone());
    let http = HttpServer::default();
    http.start(&shared, &desk, unshared.notes, &mut essential)
        .await?;
    start_sources(&shared, reloader, &reload, &mut essential)?;
    let events = unshared.events;
    let losses = Arc::new(Losses {
        layout: layout(settings),
        dropped: events.dropped.clone(),
        observers: shared.observers.clone(),
    });
    let start = Start {
        settings: &settings.nats,
        instance_id: &settings.identity.instance_id,
        status: &shared.status,
        observers: &shared.observers,
    };
    let links = nats::connect(start, &settings.limits, Arc::clone(&losses))?;
    let restored = fleet::start(&shared, &links.calls, unshared.overrides, &mut essential);
    let publishing = links.publish_events(events, losses, essential.stopped());
    essential.spawn("events", publishing);

    // Outlives what a signal interrupts: a server that has begun must be drained.
    let server = OnceLock::new();
    let serving = async {
        let started = start_serving(links, &shared, desk, restored).await;
        report_ready(server.get_or_init(|| started), &shared).await;
    };
    let ended = tokio::select! {
        () = serving => Ok(()),
        name = essential.death() => Err(DaemonError::Died(name)),
        () = &mut stop => Ok(()),
    };
    shut_down(&shared, server.into_inner(), http, essential).await;
    ended
}

/// Ends NATS, then HTTP, then the rest, within the grace period; without a server nothing was ever
/// asked over NATS.
async fn shut_down(
    shared: &Shared,
    server: Option<Server>,
    http: HttpServer,
    essential: Essential,
) {
    let end = End::after(shared.settings.limits.shutdown_grace);
    let give_up = shared.give_up.clone();
    tokio::spawn(async move {
        sleep_until(end.requests).await;
        give_up.cancel();
    });
    if server.is_some() {
        shared.readiness.drain();
        info!("draining");
    }
    shared.automatic.claims.cancel();
    let closing = match server {
        Some(server) => Some(finish_requests(server, end).await),
        None => None,
    };
    http.finish(end.requests).await;
    let all = end.all + standstill::overslept(end.requests.into_std());
    // What goes on beside requests can end now; meanwhile the last replies are sent.
    let close = async {
        if let Some(closing) = closing {
            closing.close(all).await;
        }
    };
    let ((), late) = tokio::join!(close, essential.stop(all));
    for name in late {
        warn!(task = name, "still running at the end of the grace period");
    }
    info!("stopped");
}

/// The HTTP server. It answers probes while NATS drains, and ends before what its requests may wait
/// for: a change is not answered before it has been loaded.
#[derive(Debug, Default)]
struct HttpServer {
    stop: CancellationToken,
    task: TaskTracker,
}

impl HttpServer {
    async fn start(
        &self,
        shared: &Shared,
        desk: &Arc<Desk>,
        notes: Notes,
        essential: &mut Essential,
    ) -> Result<(), DaemonError> {
        let Some(addr) = shared.settings.http.addr else {
            return Ok(());
        };
        let listener = TcpListener::bind(addr).await;
        let listener = listener.map_err(|error| DaemonError::Http(addr, error))?;
        let feed = shared.feed(Arc::clone(desk), self.stop.clone());
        essential.spawn("feed", Arc::clone(&feed).run(notes));
        let state = shared.http_state(Arc::clone(desk), feed);
        let serving = http::serve(listener, state, self.stop.clone());
        essential.spawn("http", self.task.track_future(serving));
        Ok(())
    }

    /// Takes no more requests, and waits for those in flight until `deadline`.
    async fn finish(self, deadline: Instant) {
        self.stop.cancel();
        self.task.close();
        let _late = timeout_at(deadline, self.task.wait()).await;
    }
}

/// Starts the one task that fills the catalog, and the tasks that trigger it.
fn start_sources(
    shared: &Shared,
    reloader: shared::SourceReloader,
    reload: &ReloadHandle,
    essential: &mut Essential,
) -> Result<(), DaemonError> {
    let (settings, stopped) = (&shared.settings, essential.stopped());
    essential.spawn("reload", reloader.run(stopped.clone()));
    if let Some(listener) = shared.listener(reload.clone())? {
        essential.spawn("listener", listener.run(stopped.clone()));
    }
    if uses_fixtures(settings) {
        let (folder, reload) = (settings.source.fixtures_dir.clone(), reload.clone());
        essential.spawn("fixtures watch", async move {
            fixtures::watch(&folder, &reload, &stopped).await;
        });
    }
    Ok(())
}

/// Waits for the first data, then takes requests.
async fn start_serving(
    links: Links,
    shared: &Shared,
    desk: Arc<Desk>,
    restored: TaskTracker,
) -> Server {
    shared.progress.first_load().await;
    if shared.catalog.head().source == ActiveSource::Database {
        // What operators forced should hold from the first request on. A slow store must not keep a
        // sidecar from serving.
        let _late = timeout(RESTORE_PATIENCE, restored.wait()).await;
    }
    shared.readiness.open(Part::Data);
    links.serve(shared.nats_parts(desk))
}

/// Reports that this sidecar is ready, once the servers have confirmed what it subscribes to, and never
/// returns. A connection that is there takes requests before that, so a signal must find a server to
/// drain.
async fn report_ready(server: &Server, shared: &Shared) {
    server.confirmed().await;
    shared.readiness.open(Part::Nats);
    let (extensions, _) = shared.catalog.sizes();
    info!(instance_id = %shared.settings.identity.instance_id, extensions, "ready");
    std::future::pending::<()>().await;
}

/// When a shutdown is over, whatever is unreachable.
#[derive(Debug, Clone, Copy)]
struct End {
    /// For requests in flight.
    requests: Instant,
    /// For everything, unless the end of `requests` was slept through: what remains of the process
    /// is a matter of milliseconds.
    all: Instant,
}

impl End {
    fn after(grace: Duration) -> Self {
        let requests = Instant::now() + grace;
        let all = requests + LAST_WORK;
        Self { requests, all }
    }
}

async fn finish_requests(server: Server, end: End) -> Links {
    let (links, given_up) = server.finish(end.requests, end.all).await;
    if given_up > 0 {
        error!(
            requests = given_up,
            "answered shutting_down at the end of the grace period"
        );
    }
    links
}
