//! `serve`: the daemon, from the log to the exit code.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Invocation;
use super::log::start_log;
use crate::app;
use crate::app::signals::Signals;

/// Serves until a signal; a second one ends the process at once.
pub(super) async fn run(invocation: Invocation) -> ExitCode {
    let Invocation {
        settings, warnings, ..
    } = invocation;
    if let Err(code) = start_log(&settings.logging) {
        return code;
    }
    for warning in &warnings {
        warn!("{warning}");
    }
    info!(
        version = env!("CARGO_PKG_VERSION"),
        instance_id = %settings.identity.instance_id,
        "starting"
    );
    let mut signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => {
            error!(%error, "cannot catch signals");
            return ExitCode::FAILURE;
        }
    };
    let stop = CancellationToken::new();
    let serving = app::serve(settings, stop.clone().cancelled_owned());
    tokio::select! {
        result = serving => finish(result),
        () = async {
            signals.next().await;
            stop.cancel();
            signals.next().await;
        } => {
            warn!("second signal: leaving at once");
            ExitCode::FAILURE
        }
    }
}

fn finish(result: Result<(), app::DaemonError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %super::chain(&error), "cannot go on");
            ExitCode::FAILURE
        }
    }
}
