//! `demo`: the whole thing in one command, with nothing to set up.
//!
//! A private nats-server, a copy of the shipped fixtures, sample extensions and the daemon itself, in
//! a folder that is gone afterwards; then a tour that prints every request and its reply.

mod extensions;
mod printer;
mod tour;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::document::string;
use super::private_server::{PrivateServer, alone};
use super::screen::Screen;
use super::{Ended, chain, failure, start_log};
use crate::app;
use crate::app::signals::Signals;
use crate::config::Settings;
use extensions::Extensions;
use printer::Printer;
use tour::Visit;

/// How long a circuit stays open: the usual minute is too long to watch.
const OPEN_TIME: Duration = Duration::from_secs(2);

/// Failures in a row that open one; the tour counts them aloud.
const FAILURE_THRESHOLD: u32 = 5;

/// The fixtures that ship with the daemon, so that the demo needs no checkout, and one of the
/// demo's own: an extension that answers in pieces.
const FIXTURES: [&str; 7] = [
    include_str!("../../../fixtures/extensions/anthropic_claude.json"),
    include_str!("../../../fixtures/extensions/mask_sensitive_data.json"),
    include_str!("../../../fixtures/extensions/mock_provider.json"),
    include_str!("../../../fixtures/extensions/normalize_text.json"),
    include_str!("../../../fixtures/extensions/openai_gpt4.json"),
    include_str!("../../../fixtures/extensions/pii_guard.json"),
    include_str!("fixtures/story_teller.json"),
];

/// Why the demo ended early.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs the tour, then serves until a signal, unless `once`.
pub(super) async fn run(settings: &Settings, once: bool, screen: &Screen) -> Ended {
    let played = play(settings.clone(), once, screen).await;
    played.map_err(|error| failure(&chain(&*error)))
}

async fn play(mut settings: Settings, once: bool, screen: &Screen) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    let server = PrivateServer::start("demo").await?;
    let fixtures = copied(server.folder.path())?;
    server.point(&mut settings.nats);
    alone(&mut settings, fixtures).await;
    adapt(&mut settings);
    let log = start_log(&settings.logging);
    let dropped = log.map(|log| log.dropped()).unwrap_or_default();
    let extensions = Extensions::start(&server.url, settings.subjects.prefix.as_str()).await?;
    let printer = Printer(screen.colours);
    let stop = CancellationToken::new();
    let mut visit = Visit::begin(settings.clone(), printer).await?;
    let serving = app::serve(settings, dropped, stop.clone().cancelled_owned());
    // Tasks of their own: whatever they are at, such as a screen that takes nothing more, signals
    // are heeded here.
    let serving = tokio::spawn(serving);
    let stopped = stop.clone();
    let touring = tokio::spawn(async move {
        let touring = visit.tour(&extensions, once);
        let toured = stopped.run_until_cancelled(touring).await;
        stopped.cancel();
        toured.unwrap_or(Ok(()))
    });
    let ended = async { tokio::join!(serving, touring) };
    let (served, toured) = tokio::select! {
        ended = ended => ended,
        () = signals.twice(&stop) => return Err("interrupted again: leaving at once".into()),
    };
    server.stop().await;
    toured?.map_err(|error| format!("the tour went wrong: {}", chain(&*error)))?;
    Ok(served??)
}

/// Copies of the fixtures, which may be edited without touching the shipped ones.
fn copied(folder: &Path) -> Result<PathBuf, Failure> {
    let folder = folder.join("extensions");
    fs::create_dir_all(&folder)?;
    for text in FIXTURES {
        let fixture: &RawValue = serde_json::from_str(text)?;
        fs::write(folder.join(string(fixture, "id") + ".json"), text)?;
    }
    Ok(folder)
}

/// Circuits do what the tour shows. The tour is what there is to read; the log joins in only when
/// something is wrong.
fn adapt(settings: &mut Settings) {
    settings.breaker.enabled = true;
    settings.breaker.failure_threshold = FAILURE_THRESHOLD;
    settings.breaker.open_time = OPEN_TIME;
    settings.breaker.max_open_time = settings.breaker.max_open_time.max(OPEN_TIME);
    settings.logging.filter = "warn".to_owned();
}
