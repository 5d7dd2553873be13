//! What a test needs around the daemon, with nothing mocked: servers, faults, clients and waiting.
//!
//! ```ignore
//! let nats = NatsServer::start().await;             // own nats-server, killed on drop
//! let database = TestDatabase::create().await;      // own database on the run's shared Postgres
//! let daemon = Daemon::builder()                    // the real binary
//!     .nats(&nats.url())
//!     .database(&database.url())
//!     .setting("SYNC_INTERVAL_SECONDS", 1)
//!     .spawn()
//!     .await;
//! daemon.wait_ready().await;
//!
//! let client = Client::connect(&nats.url()).await;
//! let reply = client.request("beamline.registry.lookup", "normalize_text").await;
//! assert_eq!(reply.ok()["type"], "pre");
//! client.assert_one_reply_each().await;             // no request of this client got two answers
//! ```
//!
//! - Servers: [`NatsServer`] and [`Postgres::private`] belong to one test and can be stopped,
//!   killed and started again on the same port. [`servers`] says where they come from.
//! - [`Extension`] plays an extension, [`flood`] a busy router, [`Browser`] somebody who looks.
//! - Faults: put a [`FaultProxy`] between two parties to cut, stall or delay their link.
//! - Waiting: [`eventually`] polls a condition until a deadline; a test never just sleeps.
//! - [`Process`] and [`Daemon`] keep every line that was logged, and wait for lines.
//!
//! Whatever a test starts ends with it, also when the test binary is killed: each process has a
//! watchdog that sees the pipe to its starter close. The benchmark includes this module by path.
#![allow(
    dead_code,
    unused_imports,
    reason = "each binary uses a part of the harness"
)]

pub(crate) mod browser;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod container;
pub(crate) mod daemon;
pub(crate) mod database;
pub(crate) mod extension;
pub(crate) mod flood;
pub(crate) mod http;
pub(crate) mod nats;
pub(crate) mod pipe;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod servers;
pub(crate) mod wait;

pub(crate) use browser::Browser;
pub(crate) use client::{Client, Reply, settled};
pub(crate) use daemon::Daemon;
pub(crate) use database::TestDatabase;
pub(crate) use extension::{Answer, Behaviour, Extension};
pub(crate) use flood::flood;
pub(crate) use nats::NatsServer;
pub(crate) use pipe::Pipe;
pub(crate) use postgres::Postgres;
pub(crate) use process::Process;
pub(crate) use proxy::FaultProxy;
pub(crate) use wait::{DEADLINE, eventually};
