//! Where the commands of a page are run: a daemon, named by the word behind ```` ```console ````.
//!
//! | word | the daemon |
//! |---|---|
//! | none | a migrated database with the seeds, and somebody playing the seeds' extensions |
//! | `files` | `SOURCE=fixtures`, the shipped ones |
//! | `faulty` | the same with those of the golden files, some of which cannot be served |
//! | `closed` | the same with `ADMIN_ENABLED=false` |
//! | `named` | the same as without a word, with `REQUIRE_ACTOR_SUBJECT=true` |
//! | `away` | `SOURCE=auto` and a database that does not answer |

use std::path::Path;
use std::time::Duration;

use super::command::Request;
use super::layout::shortened;
use super::volatile::{MARK, is_volatile};
use crate::harness::{
    Client, DEADLINE, Daemon, Extension, NatsServer, Reply, TestDatabase, eventually,
};
use crate::played;

/// After the last reply of several, this long for one more.
const QUIET: Duration = Duration::from_millis(300);

/// A database that does not answer: nobody listens at this port, the same in every run.
const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/none";

/// A server, a daemon, and whoever plays the extensions.
pub(crate) struct Stage {
    client: Client,
    _daemon: Daemon,
    _players: Vec<Extension>,
    _nats: NatsServer,
    _database: Option<TestDatabase>,
}

impl Stage {
    /// By its name; a page starts each that it names once.
    pub(crate) async fn start(name: &str) -> Self {
        let nats = NatsServer::start().await;
        let database = match name {
            "" | "named" => Some(seeded().await),
            _ => None,
        };
        // The shipped fixtures are the default. Folders as seen from the project's: replies show them.
        let builder = Daemon::builder()
            .nats(&nats.url())
            .setting("INSTANCE_ID", "pod-1");
        let builder = match (name, &database) {
            ("", Some(database)) => builder.database(&database.url()),
            ("named", Some(database)) => builder
                .database(&database.url())
                .setting("REQUIRE_ACTOR_SUBJECT", true),
            ("faulty", _) => builder
                .fixtures(Path::new("tests/golden/fixtures"))
                .setting("SOURCE", "fixtures"),
            ("files", _) => builder.setting("SOURCE", "fixtures"),
            ("closed", _) => builder
                .setting("SOURCE", "fixtures")
                .setting("ADMIN_ENABLED", false),
            ("away", _) => builder.database(NOWHERE),
            _ => panic!("no stage has the name {name}"),
        };
        let players = played::seeds(&nats.url()).await;
        let daemon = builder.spawn().await;
        daemon.wait_ready().await;
        let client = Client::connect(&nats.url()).await;
        settled(&client, database.is_some()).await;
        Self {
            client,
            _daemon: daemon,
            _players: players,
            _nats: nats,
            _database: database,
        }
    }

    /// What `nats req` would print, but for its own lines about the time.
    pub(crate) async fn run(&self, request: Request) -> String {
        let Request {
            subject,
            headers,
            body,
            all,
        } = request;
        let client = &self.client;
        let replies = if all {
            client
                .request_all_with_headers(&subject, headers, body, QUIET)
                .await
        } else {
            vec![client.request_with_headers(&subject, headers, body).await]
        };
        let replies: Vec<String> = replies.iter().map(printed).collect();
        replies.join("\n\n")
    }
}

fn printed(reply: &Reply) -> String {
    if reply.is_no_responders() {
        return "No responders are available".to_owned();
    }
    let mut headers: Vec<String> = reply
        .headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        .map(|(name, value)| {
            let (name, value) = (name.to_string(), value.as_str());
            let value = if is_volatile(&name) { MARK } else { value };
            format!("{name}: {value}")
        })
        .collect();
    headers.sort();
    let body = shortened(std::str::from_utf8(&reply.payload).unwrap());
    match (headers.is_empty(), body.is_empty()) {
        (true, _) => body,
        (false, true) => headers.join("\n"),
        (false, false) => format!("{}\n\n{body}", headers.join("\n")),
    }
}

/// What `beamline-registry migrate --seed` leaves.
async fn seeded() -> TestDatabase {
    let database = TestDatabase::create().await;
    let migrate = Daemon::builder().database(&database.url());
    let (code, _, errors) = migrate.arg("migrate").arg("--seed").run().await;
    assert_eq!(code, 0, "{errors}");
    database
}

/// Waits until the sidecar follows its database: a page shows one that has been there for a while.
async fn settled(client: &Client, has_database: bool) {
    eventually("the sidecar listens", DEADLINE, async || {
        let stats = client.request("beamline.registry.stats", "").await.ok();
        let state = stats["listener"]["state"].clone();
        if !has_database || state == "listening" {
            Ok(())
        } else {
            Err(state)
        }
    })
    .await;
}
