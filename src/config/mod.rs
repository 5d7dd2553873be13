//! Settings: flags, environment, file and defaults become validated values; all faults at once.
//!
//! [`variables`] is the table of everything that can be set. [`layers`] decides which text counts
//! and remembers who gave it, [`reader`] turns texts into values and collects faults, and one file
//! per concern says what its values must look like. Nothing outside this module sees a raw text.

mod admin;
mod breaker;
mod database;
mod effective;
mod endpoint;
mod fault;
mod health;
mod http;
mod identity;
mod layers;
mod limits;
mod logging;
mod nats;
mod nats_address;
mod parse;
mod postgres_url;
mod reader;
mod secret;
mod source;
mod ssl_mode;
mod subjects;
mod surroundings;
pub mod text_file;
mod tokens;
mod tracing;
pub mod variables;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use admin::AdminSettings;
pub use database::DatabaseSettings;
pub use effective::{Effective, Entry};
pub use endpoint::Endpoint;
pub use fault::{Fault, Faults, Origin};
pub use health::HealthSettings;
pub use http::{HttpSettings, TokensFile};
pub use identity::IdentitySettings;
pub use limits::LimitSettings;
pub use logging::{LogFormat, LogSettings};
pub use nats::{ClientCertificate, NatsAuth, NatsSettings};
pub use nats_address::{NatsAddress, UrlLogin};
pub use secret::Secret;
pub use source::{SourceMode, SourceSettings};
pub use ssl_mode::SslMode;
pub use subjects::SubjectSettings;
pub use surroundings::Surroundings;
pub use tokens::{Grant, Role, TokenTable};
pub use tracing::TracingSettings;

use layers::Layers;
use reader::Reader;

/// Everything the daemon was told, checked. Immutable; shared by reference or part by part.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the extensions come from.
    pub source: SourceSettings,
    /// The database; `None` when there is none or it is disabled.
    pub database: Option<DatabaseSettings>,
    /// The NATS connection.
    pub nats: NatsSettings,
    /// The subjects served, answered and called.
    pub subjects: SubjectSettings,
    /// Who this sidecar is.
    pub identity: IdentitySettings,
    /// The HTTP server.
    pub http: HttpSettings,
    /// Who may change what.
    pub admin: AdminSettings,
    /// The circuit breakers, unless an extension brings its own.
    pub breaker: crate::domain::breaker::Settings,
    /// What follows from health.
    pub health: HealthSettings,
    /// Upper bounds.
    pub limits: LimitSettings,
    /// The log.
    pub logging: LogSettings,
    /// Spans.
    pub tracing: TracingSettings,
}

impl Settings {
    /// Lays `flags` (by key, as [`variables`] names them) over the environment over the TOML file
    /// over the defaults, and checks everything. What is worth saying about it comes beside it.
    ///
    /// # Errors
    /// All faults of the configuration, those of single values and those between values.
    pub fn load(
        flags: BTreeMap<String, String>,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Self, Vec<String>, Effective), Faults> {
        let layers = Layers::new(flags, surroundings);
        let mut reader = Reader::new(layers, surroundings);
        let settings = Self::read(&mut reader);
        reader.finish(settings)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (database, no_database) = database::read(reader)?;
        let limits = limits::read(reader)?;
        Some(Self {
            source: source::read(reader, no_database)?,
            database,
            nats: nats::read(reader)?,
            subjects: subjects::read(reader)?,
            identity: identity::read(reader)?,
            http: http::read(reader)?,
            admin: admin::read(reader)?,
            breaker: breaker::read(reader, limits.max_timeout)?,
            health: health::read(reader)?,
            limits,
            logging: logging::read(reader)?,
            tracing: tracing::read(reader)?,
        })
    }
}
