//! Changes are heard, and a connection that hears nothing is noticed.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use beamline_registry::adapters::postgres::{Listener, Pool, Reports};
use beamline_registry::domain::catalog::Catalog;
use beamline_registry::domain::entry::PreparedReply;
use beamline_registry::domain::reconcile::Everything;
use beamline_registry::service::fleet::Alive;
use beamline_registry::service::observe::{ListenerState, Observation, Observer, Observers};
use beamline_registry::service::progress::Progress;
use beamline_registry::service::reload::{Parts, Reloader};
use beamline_registry::service::source::{Fixtures, SourceError};
use beamline_registry::service::status::{SourceMode, Status};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::{add, migrated, run, settings, source};
use crate::harness::{DEADLINE, FaultProxy, Postgres, TestDatabase, eventually};

const HEARTBEAT: Duration = Duration::from_millis(300);
const NAME: &str = "beamline-registry/test-1/listen";

/// A reloader whose timer never fires in a test, and its listener.
struct Following {
    catalog: Arc<Catalog>,
    states: States,
    stop: CancellationToken,
    listener: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct States(Arc<Mutex<Vec<(ListenerState, String)>>>);

impl Observer for States {
    fn observe(&self, observation: &Observation) {
        if let Observation::Listener { state, cause } = observation {
            self.0.lock().unwrap().push((*state, cause.clone()));
        }
    }
}

struct NoFixtures;

impl Fixtures for NoFixtures {
    async fn read(&self) -> Result<Everything, SourceError> {
        unreachable!("the mode is database")
    }
}

impl Following {
    /// Reads at `pool_url` and listens at `listen_url`.
    fn start(pool_url: &str, listen_url: &str) -> Self {
        let sync_interval = Duration::from_secs(3600);
        let (catalog, writer) = Catalog::new();
        let status = Arc::new(Status::new(SourceMode::Database, sync_interval));
        let states = States::default();
        let observers = Observers::new(vec![Box::new(states.clone())]);
        let progress = Progress::default();
        let (reloader, reload) = Reloader::new(Parts {
            writer,
            prepare: Arc::new(|_: &_| PreparedReply {
                bytes: bytes::Bytes::new(),
                state_at: 0,
            }),
            database: Some(source(pool_url).into()),
            fixtures: None::<NoFixtures>,
            status: Arc::clone(&status),
            progress: progress.clone(),
            observers: observers.clone(),
            applied: Box::new(|| {}),
            sync_interval,
        });
        let reports = Reports {
            reload,
            overrides: Arc::default(),
            progress,
            alive: Alive::default(),
            status,
            observers,
            pool: Arc::new(Pool::new(&settings(pool_url), "test-1").unwrap()),
        };
        let mut listener = Listener::new(&settings(listen_url), "test-1", reports).unwrap();
        listener.heartbeat = HEARTBEAT;
        let stop = CancellationToken::new();
        tokio::spawn(reloader.run(stop.clone()));
        let listener = tokio::spawn(listener.run(stop.clone()));
        Self {
            catalog,
            states,
            stop,
            listener,
        }
    }

    fn states(&self) -> Vec<ListenerState> {
        self.states
            .0
            .lock()
            .unwrap()
            .iter()
            .map(|(state, _)| *state)
            .collect()
    }

    fn last_cause(&self) -> String {
        self.states.0.lock().unwrap().last().unwrap().1.clone()
    }

    async fn reaches(&self, states: &[ListenerState]) {
        let reached = async || {
            let now = self.states();
            if now == states { Ok(()) } else { Err(now) }
        };
        eventually("the listener's states", DEADLINE, reached).await;
    }

    async fn sees(&self, id: &str) {
        let sees = async || self.catalog.get(id).is_some();
        eventually(&format!("{id} is visible"), DEADLINE, sees).await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn insert(client: &Client, id: &str) {
    let sql = format!(
        "INSERT INTO extensions (id, type, subject) VALUES ('{id}', 'pre', 'beamline.ext.{id}')"
    );
    run(client, &sql).await;
}

/// Ends the listener's session; false when there is none right now.
async fn kill_listener(client: &Client) -> bool {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = $1";
    !client.query(sql, &[&NAME]).await.unwrap().is_empty()
}

#[tokio::test]
async fn a_change_is_visible_when_it_is_notified() {
    let (database, client, _) = migrated().await;
    add(&client, 1).await;
    let following = Following::start(&database.url(), &database.url());
    following.sees("e1").await;
    following.reaches(&[ListenerState::Listening]).await;
    for n in 0..20 {
        let id = format!("n{n}");
        insert(&client, &id).await;
        following.sees(&id).await;
    }
    following.stop.cancel();
    let gone = async || !kill_listener(&client).await;
    eventually("the connection is closed", DEADLINE, gone).await;
    let ended = async || following.listener.is_finished();
    eventually("the listener ends", DEADLINE, ended).await;
}

#[tokio::test]
async fn a_killed_listener_comes_back_and_misses_nothing() {
    let (database, client, _) = migrated().await;
    let following = Following::start(&database.url(), &database.url());
    let mut expected = vec![ListenerState::Listening];
    following.reaches(&expected).await;
    for round in 0..5 {
        assert!(kill_listener(&client).await);
        // Notified to nobody.
        let id = format!("r{round}");
        insert(&client, &id).await;
        following.sees(&id).await;
        expected.extend([ListenerState::Polling, ListenerState::Listening]);
        following.reaches(&expected).await;
    }
}

#[tokio::test]
async fn a_stalled_connection_is_noticed_and_replaced() {
    let (database, client, _) = migrated().await;
    let proxy = FaultProxy::start(database.addr()).await;
    let following = Following::start(&database.url(), &database.url_at(proxy.addr()));
    following.reaches(&[ListenerState::Listening]).await;
    proxy.stall();
    insert(&client, "unheard").await;
    following
        .reaches(&[ListenerState::Listening, ListenerState::Polling])
        .await;
    assert!(
        following
            .last_cause()
            .contains("NOTIFY took longer than 5s")
    );
    // Found by the read that every lost connection causes.
    following.sees("unheard").await;
    proxy.heal().await;
    use ListenerState::{Listening, Polling};
    following.reaches(&[Listening, Polling, Listening]).await;
}

#[tokio::test]
async fn many_sidecars_share_one_heartbeat() {
    let (database, _client, _) = migrated().await;
    let fleet: Vec<_> = (0..8)
        .map(|_| Following::start(&database.url(), &database.url()))
        .collect();
    for following in &fleet {
        following.reaches(&[ListenerState::Listening]).await;
    }
    // Each proved its own connection once; from then on about one heartbeat proves all of them. After a
    // moment in which nobody could run, all of them ask at once: one of a few spans has none.
    let mut watcher = Heartbeats::of(&database).await;
    let span = HEARTBEAT * 10;
    let few = |counts: &[usize]| counts.last().is_some_and(|it| (4..=25).contains(it));
    let mut counts: Vec<usize> = Vec::new();
    while counts.len() < 4 && !few(&counts) {
        counts.push(watcher.count_for(span).await);
    }
    assert!(few(&counts), "{counts:?} heartbeats within {span:?} each");
    for following in &fleet {
        assert_eq!(following.states(), [ListenerState::Listening]);
    }
}

/// Counts heartbeats as they pass.
struct Heartbeats {
    _client: Client,
    heard: tokio::sync::mpsc::Receiver<()>,
}

impl Heartbeats {
    async fn of(database: &TestDatabase) -> Self {
        let config: tokio_postgres::Config = database.url().parse().unwrap();
        let (client, mut connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        let (sender, heard) = tokio::sync::mpsc::channel(1000);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let tokio_postgres::AsyncMessage::Notification(_) = message {
                    let _ = sender.send(()).await;
                }
            }
        });
        run(&client, "LISTEN beamline_registry_heartbeat").await;
        Self {
            _client: client,
            heard,
        }
    }

    async fn count_for(&mut self, span: Duration) -> usize {
        let mut count = 0;
        let end = tokio::time::Instant::now() + span;
        while let Ok(Some(())) = tokio::time::timeout_at(end, self.heard.recv()).await {
            count += 1;
        }
        count
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_listened_to_is_polled_with_a_reason() {
    let (database, _client, _) = migrated().await;
    let nowhere = FaultProxy::start(database.addr()).await;
    nowhere.cut().await;
    let following = Following::start(&database.url(), &database.url_at(nowhere.addr()));
    following.reaches(&[ListenerState::Polling]).await;
    assert!(
        following.last_cause().contains("refused"),
        "{}",
        following.last_cause()
    );

    // A standby, as far as a client can tell.
    let read_only = format!(
        "{}&options=-c%20default_transaction_read_only%3Don",
        database.url()
    );
    let following = Following::start(&database.url(), &read_only);
    following.reaches(&[ListenerState::Polling]).await;
    assert!(
        following.last_cause().contains("does not allow writes"),
        "{}",
        following.last_cause()
    );
}

/// Its own notifications come back, and no other: another database, or a transaction pooler that
/// gives both statements the same connection.
#[tokio::test]
async fn a_connection_that_hears_only_itself_does_not_listen() {
    let (database, _client, _) = migrated().await;
    let (other, _other_client, _) = migrated().await;
    let _talking = Following::start(&other.url(), &other.url());
    let following = Following::start(&database.url(), &other.url());
    following.reaches(&[ListenerState::Polling]).await;
    assert!(
        following.last_cause().contains("no notification arrives"),
        "{}",
        following.last_cause()
    );
}

#[tokio::test]
async fn a_restarted_database_is_followed_again() {
    let mut server = Postgres::private().await;
    let database = TestDatabase::create_on(&server).await;
    let mut client = database.connect().await;
    super::migrate(&mut client, DEADLINE).await.unwrap();
    let following = Following::start(&database.url(), &database.url());
    following.reaches(&[ListenerState::Listening]).await;
    // The test server may forget commits of the last moments in a crash.
    run(&client, "CHECKPOINT").await;
    server.kill().await;
    following
        .reaches(&[ListenerState::Listening, ListenerState::Polling])
        .await;
    server.start_again().await;
    let client = database.connect().await;
    insert(&client, "after").await;
    following.sees("after").await;
    use ListenerState::{Listening, Polling};
    following.reaches(&[Listening, Polling, Listening]).await;
}
