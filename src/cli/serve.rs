//! `serve`: the daemon, from the log to the exit code.

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Ended, start_log};
use crate::adapters::telemetry::log::Log;
use crate::app;
use crate::app::signals::Signals;
use crate::config::Settings;

/// How long writing the last log lines may take: the reader may have stopped.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Serves until a signal; a second one ends the process at once.
pub(super) async fn run(settings: Settings, warnings: &[String]) -> Ended {
    let log = start_log(&settings.logging)?;
    let ended = serve(settings, warnings, &log).await;
    log.flush(LAST_LINES);
    ended
}

async fn serve(settings: Settings, warnings: &[String], log: &Log) -> Ended {
    for warning in warnings {
        warn!("{warning}");
    }
    let changed = settings.distinct.changed.iter();
    let changed = changed.map(|(name, value)| format!("{name}={value}"));
    let changed = changed.collect::<Vec<_>>();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        instance_id = %settings.identity.instance_id,
        settings_fingerprint = settings.distinct.fingerprint,
        settings = changed.join(" "),
        "starting"
    );
    let mut signals = Signals::catch().map_err(|error| {
        error!(%error, "cannot catch signals");
        ExitCode::FAILURE
    })?;
    let stop = CancellationToken::new();
    let serving = app::serve(settings, log.dropped(), stop.clone().cancelled_owned());
    // A task of its own: whatever it is at, signals are heeded here.
    let serving = tokio::spawn(serving);
    tokio::select! {
        served = serving => match served {
            Ok(served) => served.map_err(|error| {
                error!(error = %super::chain(&error), "exiting after an error");
                ExitCode::FAILURE
            }),
            // The panic hook has logged where.
            Err(_) => Err(ExitCode::FAILURE),
        },
        () = signals.twice(&stop) => {
            warn!("second signal: leaving at once");
            Err(ExitCode::FAILURE)
        }
    }
}
