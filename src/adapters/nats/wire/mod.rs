//! The client's side of the NATS protocol, without a socket and without a clock.
//!
//! Bytes come in and operations are read from them in place ([`operation`]); what is to be sent is
//! appended to a buffer ([`write`]). [`session`] is one connection as a state machine, [`servers`]
//! decides where the next one goes. Nothing here does I/O, waits, or reads a clock; nothing that a
//! server, a router or an extension sends can affect more than itself: a header block that cannot
//! be read is a fact about its message ([`headers`]), and only bytes that are not the protocol at
//! all are an error of the connection.
//!
//! The protocol: "Client Protocol" in the NATS documentation; headers: ADR-4.

pub mod operation;
pub mod headers;
pub mod write;
pub mod info;
pub mod refusal;
pub mod session;
pub mod servers;

#[cfg(test)]
mod mutation_tests;
