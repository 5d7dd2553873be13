//! `probe live|ready`: the image's own health command.

use std::process::ExitCode;

use super::{Probe, err, out};
use crate::adapters::http::probe;
use crate::config::Settings;

/// Asks the local daemon; 0 when it says yes.
pub(super) async fn run(settings: &Settings, which: Probe) -> ExitCode {
    let Some(addr) = settings.http.addr else {
        err("EXTENSION_REGISTRY_HTTP_ADDR is off: there is nothing to ask");
        return ExitCode::FAILURE;
    };
    let path = match which {
        Probe::Live => "/livez",
        Probe::Ready => "/readyz",
    };
    match probe::ask(addr, path).await {
        Ok(answer) if answer.status == 200 => {
            out(&answer.body);
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            err(&answer.body);
            ExitCode::FAILURE
        }
        Err(error) => {
            err(&format!("http://{addr}{path}: {error}"));
            ExitCode::FAILURE
        }
    }
}
