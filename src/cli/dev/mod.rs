//! `dev DIR`: the loop of an extension's author. Serves the files of a folder, and prints every
//! request, call, answer and fault as it happens.
//!
//! The requests are seen from outside, by a connection of its own ([`tap`]); the daemon is the one
//! that `serve` runs, with its log beside them.

mod tap;

use clap::Command;
use tokio_util::sync::CancellationToken;

use super::arguments::{folder, folder_argument};
use super::operator::clean;
use super::private_server::{PrivateServer, alone};
use super::{Ended, Invocation, chain, err, failure, start_log};
use crate::adapters::nats::ask::servers;
use crate::app;
use crate::app::signals::Signals;
use crate::config::variables::{NATS_CONTEXT, NATS_URL};

/// The command and its argument.
pub(super) fn command() -> Command {
    Command::new("dev")
        .about("Serve the files of a folder, and print every request and call")
        .arg(folder_argument("Folder with fixtures"))
        .after_help(
            "With a nats-server of its own, unless one is configured.\n\nExamples:\n  \
             beamline-registry dev .\n  beamline-registry dev fixtures --nats-url nats://localhost",
        )
}

/// Serves until a signal; a second one ends the process at once.
pub(super) async fn run(invocation: &Invocation) -> Ended {
    let mut settings = invocation.settings.clone();
    let mut signals = Signals::catch().map_err(|error| failure(&error.to_string()))?;
    let server = match has_server(invocation) {
        true => None,
        false => {
            let server = PrivateServer::start("dev").await;
            let server = server.map_err(|error| failure(&error))?;
            server.point(&mut settings.nats);
            Some(server)
        }
    };
    alone(&mut settings, folder(&invocation.arguments)).await;
    let log = start_log(&settings.logging)?;
    let files = settings.source.fixtures_dir.display();
    let serving = format!("serving {files} at {}", servers(&settings.nats));
    err(&clean(&serving));
    if let Some(addr) = settings.http.addr {
        err(&format!("status page: http://{addr}/"));
    }
    let stop = CancellationToken::new();
    let (tapped, screen) = (settings.clone(), invocation.screen);
    let tapping = tokio::spawn(async move { tap::show(&tapped, screen).await });
    let serving = app::serve(settings, log.dropped(), stop.clone().cancelled_owned());
    let serving = tokio::spawn(serving);
    let served = tokio::select! {
        served = serving => served,
        () = signals.twice(&stop) => return Err(failure("interrupted again: leaving at once")),
    };
    tapping.abort();
    if let Some(server) = server {
        server.stop().await;
    }
    match served {
        Ok(served) => served.map_err(|error| failure(&chain(&error))),
        // The panic hook has logged where.
        Err(_) => Err(failure("a bug ended it")),
    }
}

/// Whether a server is configured: by its address or by a context, which means the usual address
/// where it has none, and may be no more than a login.
fn has_server(invocation: &Invocation) -> bool {
    invocation.is_set(&NATS_URL) || invocation.is_set(&NATS_CONTEXT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::io;
    use std::path::Path;

    use super::*;
    use crate::cli::parse;
    use crate::config::Surroundings;

    #[test]
    fn a_context_is_a_server_even_without_an_address() {
        let context = Path::new("/home/me/.config/nats/context/local.json");
        let surroundings = Surroundings {
            env: BTreeMap::from([("HOME".into(), "/home/me".into())]),
            read_file: &|path| match path == context {
                true => Ok(br#"{"user":"u","password":"p"}"#.to_vec()),
                false => Err(io::Error::from(io::ErrorKind::NotFound).into()),
            },
            host_name: "host".to_owned(),
            memory_limit: None,
            terminal: false,
            reads_everything: true,
        };
        for (line, configured) in [
            ("dev .", false),
            ("dev . --nats-url nats://a", true),
            ("dev . --nats-context local", true),
        ] {
            let args = ["beamline-registry"].into_iter().chain(line.split(' '));
            let invocation = parse(args.map(OsString::from), &surroundings).unwrap();
            assert_eq!(has_server(&invocation), configured, "{line}");
        }
    }
}
