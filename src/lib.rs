//! The extension registry of a message router, as a NATS-native sidecar.
//!
//! Modules in reading order: [`domain`] defines what an extension is and which of its versions
//! serves a request; [`service`] holds the use cases; [`documents`] are their JSON; [`adapters`]
//! speak to NATS, Postgres, files and HTTP; [`config`] turns flags, environment and file into
//! settings; [`app`] joins everything; [`cli`] has the commands.

pub mod domain;
pub mod service;
pub mod documents;
pub mod adapters;
pub mod config;
pub mod app;
pub mod cli;
