//! Who may what, held against real servers with the files that ship in `deploy/`:
//!
//! - [`roles`]: each NATS role may send exactly its verbs, and nobody speaks for somebody else,
//! - [`registry`]: the registry does its whole job as its own NATS user, and nothing else,
//! - [`database`]: it does so as its own Postgres role, and every role is refused the rest,
//! - [`set_up`]: the files set up a new database or take over an old one, without a superuser too,
//! - [`shared`]: in a schema that others share they touch nothing of theirs,
//! - [`audited`]: no role can make the audit say what is not so,
//! - [`afternoon`]: everybody tries what they may not, all at once, and nothing gets through,
//! - [`lists`]: the lists of the NATS file that have to agree do,
//! - [`nats_logins`], [`database_logins`]: each way to log in works, and what is renewed in a file is
//!   used without a restart; no secret is logged.

mod afternoon;
mod audited;
mod database;
mod database_logins;
pub(crate) mod guarded;
mod jwt;
mod lists;
mod nats_logins;
mod registry;
mod roles;
pub(crate) mod ruled;
mod set_up;
mod shared;
