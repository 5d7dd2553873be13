//! The extension registry of a message router, as a NATS-native sidecar.
//!
//! Modules in reading order: [`domain`] defines what an extension is and which of its versions
//! serves a request; [`service`] holds the use cases; [`adapters`] speak to NATS, Postgres, files
//! and HTTP; [`config`] turns flags, environment and file into settings; [`app`] joins everything.

pub mod adapters;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod service;
pub mod documents;
