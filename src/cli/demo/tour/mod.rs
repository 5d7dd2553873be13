//! The tour: what a router asks, what an operator asks, a change that needs no restart, calls, and
//! what happens when an extension breaks.

mod breakdown;
mod calls;
mod records;
mod visit;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::extensions::Extensions;
use super::screen::Screen;
use crate::config::Settings;
pub(super) use visit::Visit;

/// For the daemon to come up, for each reply, for a circuit to close.
const PATIENCE: Duration = Duration::from_secs(20);

/// Leads through the tour.
#[derive(Debug)]
pub(super) struct Guide {
    screen: Screen,
    url: String,
    prefix: String,
    http: Option<SocketAddr>,
    fixtures: PathBuf,
}

impl Guide {
    pub(super) fn new(settings: &Settings, url: &str, fixtures: &Path) -> Self {
        Self {
            screen: Screen::of_process(),
            url: url.to_owned(),
            prefix: settings.subjects.prefix.as_str().to_owned(),
            http: settings.http.addr,
            fixtures: fixtures.to_owned(),
        }
    }

    /// Connects a visitor, before anything happens that could be missed.
    pub(super) async fn arrive(&self) -> Result<Visit, String> {
        Visit::begin(self.screen, &self.url, &self.prefix).await
    }

    /// Asks, prints, goes on. The error says at which stop.
    pub(super) async fn tour(
        &self,
        visit: &mut Visit,
        extensions: &Extensions,
    ) -> Result<(), String> {
        self.screen.chapter(
            "A private nats-server, five sample extensions and the registry are starting.",
        );
        visit.wait_until_served().await?;
        records::lookups(visit).await?;
        records::operators(visit).await?;
        records::change(visit, &self.fixtures).await?;
        calls::answers(visit).await?;
        calls::stream(visit).await?;
        calls::rehearsal(visit).await?;
        breakdown::circuit(visit, extensions).await?;
        breakdown::fallback(visit, extensions).await?;
        records::glance(visit).await
    }

    /// What to try next.
    pub(super) fn farewell(&self) {
        self.screen
            .chapter("Still serving, and printing events as they pass; Ctrl-C ends it.");
        self.screen.note("With the nats command line tool:");
        let nats = format!("nats --server {}", self.url);
        self.screen.command(&format!("{nats} micro ls"));
        let lookup = format!("{nats} req {}.lookup pii_guard", self.prefix);
        self.screen.command(&lookup);
        let invoke = format!(
            r#"{nats} req {}.invoke.pii_guard '{{"payload":{{"text":"Hello"}}}}'"#,
            self.prefix
        );
        self.screen.command(&invoke);
        if let Some(http) = self.http {
            self.screen.command(&format!("curl http://{http}/metrics"));
        }
        self.screen
            .note(&format!("Fixtures to edit: {}", self.fixtures.display()));
    }
}
