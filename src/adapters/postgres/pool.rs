//! Connections for queries: few, none used without a check, and never waited for without a limit.
//!
//! The one that was used last is used next: most of what a sidecar asks is then answered by one server
//! process, whose caches are warm.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::Timeouts;
use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, PoolConfig, PoolError, QueueMode, RecyclingMethod,
    Runtime,
};
use scopeguard::{ScopeGuard, guard};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::address::{Address, Purpose};
use super::error::{PostgresError, SetupError};
use super::limit::within;
use super::schema::schema_state;
use super::session::{self, Session};
use crate::config::DatabaseSettings;
use crate::service::clock::Clock;

/// For a place in the pool.
const WAIT: Duration = Duration::from_secs(5);
/// For a new connection: the driver's own limit ends with the socket, before TLS and login.
const CREATE: Duration = Duration::from_secs(15);
/// For the empty query that shows that a connection is alive.
const CHECK: Duration = Duration::from_secs(2);

/// A pool of connections to one database.
pub struct Pool {
    connections: deadpool_postgres::Pool,
    address: Arc<Address>,
    made: Arc<AtomicU64>,
    direct: AtomicBool,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.target())
    }
}

/// Connects with the login and the certificates of the moment, see [`Address::renewed`]. The
/// configuration that the pool was made with stays unused: it cannot change.
struct Renewing {
    address: Arc<Address>,
    made: Arc<AtomicU64>,
}

type Connecting<'a> = Pin<
    Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'a>,
>;

impl Connect for Renewing {
    fn connect(&self, _unused: &tokio_postgres::Config) -> Connecting<'_> {
        Box::pin(async {
            let (config, tls) = self.address.renewed();
            let (client, connection) = config.connect(tls).await?;
            self.made.fetch_add(1, Ordering::Relaxed);
            // The client reports errors to the task that waits for an answer.
            let driver = tokio::spawn(async move { drop(connection.await) });
            Ok((client, driver))
        })
    }
}

impl Pool {
    /// A pool that connects when it is first asked.
    ///
    /// # Errors
    /// Certificates that are missing or unusable.
    pub fn new(settings: &DatabaseSettings, instance_id: &str) -> Result<Self, SetupError> {
        let address = Arc::new(Address::new(&settings.pool, Purpose::Pool, instance_id)?);
        let recycling_method = RecyclingMethod::Fast;
        let made = Arc::<AtomicU64>::default();
        let manager = Manager::from_connect(
            tokio_postgres::Config::new(),
            Renewing {
                address: Arc::clone(&address),
                made: Arc::clone(&made),
            },
            ManagerConfig { recycling_method },
        );
        let config = PoolConfig {
            timeouts: Timeouts {
                wait: Some(WAIT),
                create: Some(CREATE),
                recycle: None,
            },
            queue_mode: QueueMode::Lifo,
            ..PoolConfig::new(settings.pool_size)
        };
        let connections = deadpool_postgres::Pool::builder(manager)
            .config(config)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| SetupError::Pool(error.to_string()))?;
        Ok(Self {
            connections,
            address,
            made,
            direct: AtomicBool::new(false),
        })
    }

    /// Hosts, ports and database.
    pub fn target(&self) -> &str {
        &self.address.target
    }

    /// Notes whether notifications of this pool arrive at an address. Where that is this pool's own,
    /// there is no transaction pooler in between.
    pub(super) fn notified(&self, at: &Address, arrive: bool) {
        let direct = arrive && at.route() == self.address.route();
        self.direct.store(direct, Ordering::Relaxed);
    }

    /// Whether a statement that is prepared is still there for the next transaction.
    pub(super) fn is_direct(&self) -> bool {
        self.direct.load(Ordering::Relaxed)
    }

    /// The most connections it has.
    pub(super) fn max_size(&self) -> usize {
        self.connections.status().max_size
    }

    /// How many connections were made so far: one more shows that one may have been lost.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// A connection that answers, to a database that can be used. Those that do not are closed.
    pub(super) async fn get(&self) -> Result<Object, PostgresError> {
        loop {
            let connection = guard(self.unchecked().await?, close as fn(Object));
            if is_new(&connection) || answers(&connection).await.is_ok() {
                return Ok(ScopeGuard::into_inner(connection));
            }
        }
    }

    /// The same without a look at whether it still answers. A new one is set up first; one on which that
    /// fails, or is given up, is closed.
    async fn unchecked(&self) -> Result<Object, PostgresError> {
        let asked = Instant::now();
        let connection = match self.connections.get().await {
            // The pool's own limits do not know that it was we who stood still.
            Err(PoolError::Timeout(_)) if stood_still_since(asked) => self.connections.get().await,
            got => got,
        }?;
        if !is_new(&connection) {
            return Ok(connection);
        }
        let connection = guard(connection, close as fn(Object));
        let set_up = set_up(&connection).await;
        set_up.map_err(PostgresError::before_use)?;
        Ok(ScopeGuard::into_inner(connection))
    }

    /// A separate connection, besides the pool: slow work takes no pool place.
    pub(super) async fn aside(&self) -> Result<Session, PostgresError> {
        let session = Session::connect(&self.address, Purpose::Pool).await?;
        schema_state(session.client()).await?.usable()?;
        Ok(session)
    }

    /// Whether the database answers within `limit`.
    pub(super) async fn answers(&self, limit: Duration) -> Result<(), PostgresError> {
        // A connection is asked before it is handed out.
        within("a connection", limit, self.get()).await.map(drop)
    }

    /// Runs `work`, which sends a transaction whole, on a connection that answers. The error shows
    /// whether there was none, so that nothing was written. A connection on which something failed
    /// is closed, so that no statement or transaction is left on one that is used again. One whose
    /// use was cancelled goes back: its transaction ends by itself, or the check before the next
    /// use fails.
    pub(super) async fn run<T, E>(
        &self,
        what: &'static str,
        connect: Duration,
        limit: Duration,
        work: impl AsyncFnOnce(&Object) -> Result<T, E>,
    ) -> Result<T, PostgresError>
    where
        PostgresError: From<E>,
    {
        let connecting = within::<_, PostgresError>("a connection", connect, self.get()).await;
        let connection = connecting.map_err(PostgresError::before_use)?;
        // In a place of its own: what passes a future on by value keeps room for it twice.
        let work = Box::pin(work(&connection));
        let result = within(what, limit, work).await;
        if result.is_err() {
            close(connection);
        }
        result
    }

    /// The same for what only reads, and so may be repeated: the check goes along with it, in one round
    /// trip.
    pub(super) async fn read<T, W: AsyncFnOnce(&Object) -> Result<T, PostgresError>>(
        &self,
        what: &'static str,
        connect: Duration,
        limit: Duration,
        work: impl Fn() -> W,
    ) -> Result<T, PostgresError> {
        let connecting =
            within::<_, PostgresError>("a connection", connect, self.unchecked()).await;
        let connection = connecting.map_err(PostgresError::before_use)?;
        let checking = async { answers(&connection).await.map_err(|_dead| None) };
        let reading = async { within(what, limit, work()(&connection)).await.map_err(Some) };
        let failed = match tokio::try_join!(biased; checking, Box::pin(reading)) {
            Ok(((), read)) => return Ok(read),
            Err(failed) => failed,
        };
        close(connection);
        match failed {
            Some(error) => Err(error),
            None => self.run(what, connect, limit, work()).await,
        }
    }

    /// A connection for a transaction of several round trips.
    pub(super) async fn get_whole(&self) -> Result<Whole, PostgresError> {
        Ok(guard(self.get().await?, close))
    }
}

/// The settings of the session, and whether this is the database that is needed. The pool closes
/// connections that fail, so a schema that is changed under a running daemon is looked at again as
/// soon as that hurts.
async fn set_up(client: &Client) -> Result<(), PostgresError> {
    let ((), state) = tokio::try_join!(
        biased;
        session::apply_settings(client, Purpose::Pool),
        schema_state(client),
    )?;
    state.usable()
}

/// Whether it was made for who has it now: it has just answered.
fn is_new(connection: &Object) -> bool {
    Object::metrics(connection).recycle_count == 0
}

async fn answers(connection: &Object) -> Result<(), PostgresError> {
    within("an answer", CHECK, connection.batch_execute("")).await
}

fn close(connection: Object) {
    drop(Object::take(connection));
}

fn stood_still_since(asked: Instant) -> bool {
    !Clock::default()
        .stood_still(asked, Instant::now())
        .is_zero()
}

/// A connection that is closed when it is dropped, because half a transaction may be on it: its
/// next user would commit that. See [`ended`].
pub(super) type Whole = ScopeGuard<Object, fn(Object)>;

/// Gives back a connection whose transaction has ended.
pub(super) fn ended(connection: Whole) {
    drop(ScopeGuard::into_inner(connection));
}
