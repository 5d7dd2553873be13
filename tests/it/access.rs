//! Who may what, held against real servers with the files that ship in `deploy/`:
//!
//! - [`roles`]: each NATS role may send exactly its verbs, and nobody speaks for somebody else,
//! - [`registry`]: the registry does its whole job as its own NATS user, and nothing else,
//! - [`database`]: it does so as its own Postgres role, and every role is refused the rest.

mod database;
mod guarded;
mod registry;
mod roles;
mod ruled;
