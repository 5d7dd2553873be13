//! What every measurement stands on: real servers, and the daemon as users run it.

use std::path::Path;

use crate::bench::cpu::Watched;
use crate::bench::records;
use crate::harness::daemon::Builder;
use crate::harness::{Client, Daemon, NatsServer, Postgres, Process, TestDatabase};

/// What the daemon is called in tables.
pub(crate) const REGISTRY: &str = "registry";

/// The subject prefix of the daemon.
pub(crate) const PREFIX: &str = "beamline.registry";

/// Servers and a filled database; the parts start a daemon each, so that none inherits another's.
pub(crate) struct Stage {
    /// With JetStream, for comparison.
    pub(crate) nats: NatsServer,
    /// Migrated, with [`records::CATALOG`] extensions.
    pub(crate) database: TestDatabase,
    /// Its server; last, because the database is dropped on it.
    pub(crate) postgres: Postgres,
}

impl Stage {
    /// Starts the servers and fills the database.
    pub(crate) async fn set(extensions: usize) -> Self {
        let nats = NatsServer::builder().jetstream().start().await;
        let postgres = Postgres::private().await;
        let database = database(&postgres, extensions).await;
        Self {
            nats,
            database,
            postgres,
        }
    }

    /// How the daemon is started on this stage.
    pub(crate) fn daemon(&self) -> Builder {
        self.daemon_on(&self.database)
    }

    /// The same with another database.
    pub(crate) fn daemon_on(&self, database: &TestDatabase) -> Builder {
        Daemon::builder()
            .setting("SOURCE", "database")
            .nats(&self.nats.url())
            .database(&database.url())
    }

    /// A daemon that is ready.
    pub(crate) async fn ready_daemon(&self) -> Daemon {
        let daemon = self.daemon().spawn().await;
        daemon.wait_ready().await;
        daemon
    }

    /// The processes that every message passes.
    pub(crate) fn watched(&self, daemon: &Daemon) -> Vec<Watched> {
        let nats = self.nats.process();
        let nats = nats.map(|process| Watched::new("nats-server", process.pid()));
        let daemon = Watched::new(REGISTRY, daemon.pid());
        [daemon].into_iter().chain(nats).collect()
    }

    /// A client of the registry.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.nats.url()).await
    }
}

/// A migrated database with the first `extensions` extensions.
pub(crate) async fn database(postgres: &Postgres, extensions: usize) -> TestDatabase {
    let database = TestDatabase::create_on(postgres).await;
    let migrate = Daemon::builder().arg("migrate").database(&database.url());
    let (code, _, errors) = migrate.run().await;
    assert_eq!(code, 0, "migrate: {errors}");
    records::insert(&database.connect().await, extensions).await;
    database
}

/// This very program in another role, as a process.
pub(crate) async fn role(name: &str, arguments: &[&str]) -> Process {
    let program = std::env::current_exe().unwrap();
    let mut command = Process::command(Path::new(&program), "KILL", None);
    command.args(arguments);
    Process::spawn(name, command).await
}
