//! The tour: what a router asks, what an operator asks, and a change that needs no restart.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::screen::Screen;
use crate::config::Settings;

/// For the daemon to come up, and for each reply.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// Asks, prints, goes on. The error says at which stop.
    pub(super) async fn tour(&self) -> Result<(), String> {
        self.screen
            .chapter("A private nats-server and the registry are starting.");
        let client = async_nats::connect(&self.url)
            .await
            .map_err(|e| e.to_string())?;
        let visit = Visit {
            guide: self,
            client,
        };
        visit.wait_until_served().await?;
        visit.lookups().await?;
        visit.operators().await?;
        visit.change().await
    }

    /// What to try next.
    pub(super) fn farewell(&self) {
        self.screen.chapter("Still serving; Ctrl-C ends it.");
        self.screen.note("With the nats command line tool:");
        self.screen
            .command(&format!("nats --server {} micro ls", self.url));
        let request = format!(
            "nats --server {} req {}.lookup pii_guard",
            self.url, self.prefix
        );
        self.screen.command(&request);
        if let Some(http) = self.http {
            self.screen.command(&format!("curl http://{http}/metrics"));
        }
        self.screen
            .note(&format!("Fixtures to edit: {}", self.fixtures.display()));
    }
}

struct Visit<'a> {
    guide: &'a Guide,
    client: Client,
}

impl Visit<'_> {
    /// Asks until somebody answers: before that the server says that there is no responder.
    async fn wait_until_served(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let reply = self.ask("ping", "").await?;
            if reply.status != Some(StatusCode::NO_RESPONDERS) {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Err("the registry did not come up".to_owned())
    }

    async fn lookups(&self) -> Result<(), String> {
        let screen = self.guide.screen;
        screen.chapter("A router knows an extension by its id and asks who serves it.");
        self.show("lookup", "normalize_text").await?;
        screen.chapter("A whole policy in one round trip, all of one revision.");
        self.show(
            "lookup",
            r#"{"ids":["normalize_text","pii_guard","no_such_extension"]}"#,
        )
        .await?;
        screen.chapter("An error has a stable code and says why.");
        self.show("lookup", "no_such_extension").await
    }

    async fn operators(&self) -> Result<(), String> {
        let screen = self.guide.screen;
        screen.chapter(
            "An operator looks around: all providers, and why a lookup answers what it does.",
        );
        self.show("list", r#"{"type":"provider"}"#).await?;
        self.show(
            "explain",
            r#"{"id":"pii_guard","context":{"tenant_id":"acme"}}"#,
        )
        .await?;
        screen.chapter("This sidecar at a glance.");
        self.show("stats", "").await
    }

    async fn change(&self) -> Result<(), String> {
        let screen = self.guide.screen;
        screen.chapter("A change needs no restart: version v2 for one tenant, saved to the file.");
        let events = format!("{}.events.>", self.guide.prefix);
        let mut events = self
            .client
            .subscribe(events)
            .await
            .map_err(|e| e.to_string())?;
        let file = self.guide.fixtures.join("normalize_text.json");
        let edited = with_canary(&fs::read_to_string(&file).map_err(|e| e.to_string())?)?;
        fs::write(&file, edited).map_err(|e| e.to_string())?;
        screen.command("$EDITOR normalize_text.json   # adds versions: [v2, only for tenant acme]");
        let event = self.next(&mut events).await?;
        screen.note(&format!("event on {}:", event.subject));
        screen.reply(&[], &event.payload);
        screen.chapter("Tenant acme gets v2, everybody else keeps v1.");
        for tenant in ["acme", "globex"] {
            let request =
                format!(r#"{{"id":"normalize_text","context":{{"tenant_id":"{tenant}"}}}}"#);
            self.show("lookup", &request).await?;
        }
        Ok(())
    }

    async fn show(&self, verb: &str, payload: &str) -> Result<(), String> {
        self.guide
            .screen
            .request(&format!("{}.{verb}", self.guide.prefix), payload);
        let reply = self.ask(verb, payload).await?;
        let headers: Vec<_> = reply
            .headers
            .iter()
            .flat_map(|headers| headers.iter())
            .flat_map(|(name, values)| {
                values
                    .iter()
                    .map(move |v| (name.to_string(), v.to_string()))
            })
            .collect();
        self.guide.screen.reply(&headers, &reply.payload);
        Ok(())
    }

    async fn ask(&self, verb: &str, payload: &str) -> Result<Message, String> {
        let inbox = self.client.new_inbox();
        let mut replies = self
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(|e| e.to_string())?;
        let subject = format!("{}.{verb}", self.guide.prefix);
        let payload = payload.to_owned().into();
        let sent = self
            .client
            .publish_with_reply(subject, inbox, payload)
            .await;
        sent.map_err(|e| e.to_string())?;
        self.next(&mut replies).await
    }

    async fn next(&self, messages: &mut Subscriber) -> Result<Message, String> {
        let next = timeout(PATIENCE, messages.next()).await;
        next.ok()
            .flatten()
            .ok_or_else(|| "no answer in time".to_owned())
    }
}

/// The fixture with a second version that only tenant `acme` gets.
fn with_canary(text: &str) -> Result<String, String> {
    let mut fixture: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let fields = fixture.as_object_mut().ok_or("the fixture is no object")?;
    fields.insert(
        "versions".to_owned(),
        serde_json::json!([{
            "version": "v2",
            "subject": "beamline.ext.pre.normalize_text.v2",
            "routing_rules": {"tenant_id": ["acme"]}
        }]),
    );
    serde_json::to_string_pretty(&fixture).map_err(|e| e.to_string())
}
