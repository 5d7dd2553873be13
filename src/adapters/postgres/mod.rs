//! Postgres: the source of extensions, the listener for their changes, and the fleet's memory.
//!
//! A [`Pool`] opens connections, a [`PostgresSource`] reads definitions over it, a
//! [`PostgresHealth`] keeps what the fleet shares besides, and a [`Listener`] waits for
//! notifications on a connection of its own. Nothing here waits without a limit. Only the listener
//! relies on a session outliving a transaction, so that the pool works behind a transaction pooler;
//! where there is proven to be none, what every sidecar runs at every change does too ([`statement`]).
//! Sessions are set up in [`settings`], there is one kind of [`transaction`], and errors are sorted
//! in [`sort`].

mod address;
mod columns;
mod commit;
mod definitions;
mod error;
pub mod functions;
mod health;
pub mod inspect;
mod limit;
mod listener;
pub mod migrate;
pub mod old;
pub mod patience;
pub mod place;
mod pool;
mod rows;
pub mod schema;
pub mod session;
mod settings;
mod snapshot;
mod sort;
mod source;
mod stamp;
mod statement;
mod tables;
mod tls;
mod transaction;
mod transfer;

pub use address::Purpose;
pub use definitions::PostgresDefinitions;
pub use error::{PostgresError, SetupError};
pub use health::PostgresHealth;
pub use listener::{Listener, Reports};
pub use pool::Pool;
pub use source::PostgresSource;
pub use transfer::PostgresTransaction;
