//! A nats-server with the configuration that ships, and its users.

use std::sync::{Arc, Mutex};

use async_nats::{ConnectOptions, Event, ServerError};

use crate::harness::daemon::Builder;
use crate::harness::{Client, Daemon, NatsServer};

/// The file that ships, as it is.
pub(super) const SHIPPED: &str = include_str!("../../../deploy/nats/nats-server.conf");

/// The one line that a test has to replace: the port is not free.
const LISTEN: &str = "listen: \"0.0.0.0:4222\"\n";

/// All users in it.
const USERS: [&str; 7] = [
    "registry",
    "dashboard",
    "router",
    "oscar",
    "alice",
    "normalize_text",
    "mock_provider",
];

/// `pw-dashboard` and `pw-router`, hashed: users who log in as the file recommends. What begins with
/// another word than `$2a$`, as the hashes of `htpasswd` do, is in quotes, or it would be a variable.
const HASHED: [(&str, &str); 2] = [
    (
        "dashboard",
        "$2a$04$abcdefghijklmnopqrstuus2vhjb4Vc8hThQDtUvEVyOpt6qeSd5K",
    ),
    (
        "router",
        "\"$2y$04$abcdefghijklmnopqrstuuv3PTfUMOzTbAkfaNSDMjeMCqbNxyta6\"",
    ),
];

/// Starts it.
pub(crate) async fn server() -> NatsServer {
    assert_eq!(SHIPPED.matches(LISTEN).count(), 1);
    let mut server = NatsServer::builder().config(&SHIPPED.replace(LISTEN, ""));
    for user in USERS {
        let name = format!("BEAMLINE_PASSWORD_{}", user.to_uppercase());
        let plain = password(user);
        let hashed = HASHED.iter().find(|(name, _)| *name == user);
        server = server.env(&name, hashed.map_or(plain.as_str(), |(_, hash)| *hash));
    }
    server.start().await
}

fn password(user: &str) -> String {
    format!("pw-{user}")
}

/// A daemon that logs in as the registry.
pub(crate) fn daemon(server: &NatsServer) -> Builder {
    Daemon::builder()
        .nats(&server.url())
        .setting("NATS_USER", "registry")
        .setting("NATS_PASSWORD", password("registry"))
        .setting("NATS_INBOX_PREFIX", "_INBOX.registry")
}

/// A connection of one user, and what the server has refused it.
pub(super) struct User {
    pub(super) nats: async_nats::Client,
    refusals: Arc<Mutex<Vec<String>>>,
}

impl User {
    /// Logs in, with an inbox of its own.
    pub(super) async fn login(server: &NatsServer, name: &str) -> Self {
        let refusals = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&refusals);
        let options = ConnectOptions::with_user_and_password(name.to_owned(), password(name))
            .custom_inbox_prefix(format!("_INBOX.{name}"))
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(text)) = event {
                    heard.lock().unwrap().push(text);
                }
                async {}
            });
        let nats = options.connect(server.url()).await.unwrap();
        Self { nats, refusals }
    }

    /// A client that asks as this user.
    pub(super) async fn client(&self) -> Client {
        Client::over(self.nats.clone()).await
    }

    /// What was refused so far, as the server says it.
    pub(super) fn refusals(&self) -> Vec<String> {
        self.refusals.lock().unwrap().clone()
    }

    /// Whether the server has refused to publish at `subject`.
    pub(super) fn may_not_publish(&self, subject: &str) -> bool {
        self.has_refused(&format!("Publish to {subject:?}"))
    }

    /// Whether the server has refused to subscribe to `subject`.
    pub(super) fn may_not_subscribe(&self, subject: &str) -> bool {
        self.has_refused(&format!("Subscription to {subject:?}"))
    }

    fn has_refused(&self, what: &str) -> bool {
        let what = what.to_lowercase();
        let refusals = self.refusals.lock().unwrap();
        let mut texts = refusals.iter().map(|text| text.to_lowercase());
        texts.any(|text| text.contains("permissions violation") && text.contains(&what))
    }
}
