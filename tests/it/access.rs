//! Who may what, held against real servers with the files that ship in `deploy/`:
//!
//! - [`roles`]: each NATS role may send exactly its verbs, and nobody speaks for somebody else,
//! - [`registry`]: the registry does its whole job as its own NATS user, and nothing else,
//! - [`database`]: it does so as its own Postgres role, and every role is refused the rest,
//! - [`nats_logins`], [`database_logins`]: each way to log in works, and what is renewed in a file is
//!   used without a restart; no secret is logged.

mod database;
mod database_logins;
mod guarded;
mod jwt;
mod nats_logins;
mod registry;
mod roles;
mod ruled;
