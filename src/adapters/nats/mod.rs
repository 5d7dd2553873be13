//! The NATS adapter: requests in, replies and events out.
//!
//! Three connections, each with a thread of its own ([`link::lane`]): lookups and calls have one
//! each, so that neither a long listing nor a thousand calls delay a lookup. A request is decoded,
//! answered by a use case, and its answer appended to what leaves with the next write; nothing here
//! decides anything about extensions. [`server`] makes the whole of it: [`lookups`], [`invoke`]
//! (over [`calls`]) and [`control`], which has all other [`verbs`]. [`ask`], [`trial`] and
//! [`connect`] are the command line's.

mod login;
pub mod connect;
pub mod verb;
pub mod subjects;
pub mod replies;
pub mod respond;
pub mod endpoints;
pub mod request;
pub mod actor;
pub mod wire;
pub mod link;
pub mod ask;
pub mod trial;
pub mod lookups;
pub mod verbs;
pub mod control;
pub mod calls;
pub mod invoke;
pub mod discovery;
pub mod events;
pub mod server;
