//! The NATS adapter: requests in, replies and events out.
//!
//! Three connections, each on a thread and runtime of its own ([`lane`]): lookups and calls have one
//! each, so that neither a long listing nor a thousand calls stand in the way of a lookup. A request
//! is decoded, answered by a use case, and its answer published; nothing here
//! decides anything about extensions.

mod login;
pub mod connect;
pub mod patience;
pub mod gate;
pub mod connection;
pub mod lane;
pub mod intake;
pub mod verb;
pub mod subjects;
pub mod payload;
pub mod headers;
pub mod replies;
pub mod respond;
pub mod endpoints;
pub mod actor;
pub mod wire;
pub mod link;
pub mod ask;
pub mod lookups;
pub mod health;
pub mod circuit;
pub mod verbs;
pub mod writes;
pub mod control;
pub mod invoke;
pub mod discovery;
pub mod events;
pub mod mux;
pub mod server;
