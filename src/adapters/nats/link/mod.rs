//! Connections to NATS of our own: sockets, TLS, logins, and the threads that read them.
//!
//! The protocol on them is in [`wire`](super::wire). A [`lane`] is one connection with one thread,
//! which reads what is there, answers it, and sends all answers with one write ([`thread`]). Other
//! threads send through the lane's [`outbox`]. [`dial`] makes a connection; [`socket`] is its
//! reading and its writing half.

mod buffer;
pub mod tls;
mod dial;
mod socket;
mod queue;
pub mod outbox;
pub mod lane;
mod ahead;
mod refusals;
mod reader;
mod thread;
