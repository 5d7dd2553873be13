//! `probe live|ready`: the image's own health command.

use clap::ArgMatches;

use super::{Ended, failure, harmless, out};
use crate::adapters::http::client;
use crate::config::Settings;

/// Asks the local daemon; 0 when it answers yes.
pub(super) async fn run(settings: &Settings, arguments: &ArgMatches) -> Ended {
    let Some(addr) = settings.http.addr else {
        return Err(failure(
            "EXTENSION_REGISTRY_HTTP_ADDR is off: there is nothing to ask",
        ));
    };
    let path = match arguments.get_one::<String>("what").map(String::as_str) {
        Some("live") => "/livez",
        _ => "/readyz",
    };
    match client::ask(addr, path).await {
        Ok((200, body)) => {
            out(&harmless(&body));
            Ok(())
        }
        Ok((_, body)) => Err(failure(&body)),
        Err(error) => Err(failure(&format!("http://{addr}{path}: {error}"))),
    }
}
