//! Settings: flags, environment, file and defaults become validated values; all faults at once.
//!
//! [`variables`] is the table of everything that can be set; it also makes the structs of settings.
//! [`layers`] decides which text counts and remembers where it came from, [`reader`] turns texts
//! into values and collects faults, and one file per concern has what is particular about its
//! values and what several of them mean together. Nothing outside this module sees a raw text.

mod breaker;
pub mod credentials;
mod database;
mod distinct;
mod effective;
mod endpoint;
mod fault;
mod http;
mod identity;
mod layers;
mod logging;
mod memory;
mod nats;
mod nats_address;
mod nats_context;
mod parse;
pub mod pem_file;
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

pub use database::DatabaseSettings;
pub use effective::Entry;
pub use endpoint::Endpoint;
pub use fault::{Fault, Faults, Origin};
pub use http::TokensFile;
pub use logging::LogFormat;
pub use nats::{ClientCertificate, NatsAuth, NatsSettings};
pub use nats_address::NatsAddress;
pub use secret::Secret;
pub use source::SourceMode;
pub use ssl_mode::SslMode;
pub use surroundings::Surroundings;
pub use tokens::{Grant, Role, TokenTable};
pub use variables::{
    AdminSettings, HealthSettings, HttpSettings, IdentitySettings, LimitSettings, LogSettings,
    SourceSettings, SubjectSettings, TracingSettings,
};

use crate::domain::distinct::Distinct;
use layers::Layers;
use reader::Reader;
use variables::{
    DB_ENABLED, DB_HOST, DB_URL, IN_FLIGHT_BYTES, INSTANCE_ID, LOG_FORMAT, MAX_IN_FLIGHT_BYTES,
    MAX_PAYLOAD_BYTES, Values,
};

/// Bytes that calls may hold where memory is not limited.
const UNLIMITED_IN_FLIGHT_BYTES: usize = 256 << 20;

/// All settings of the daemon, checked. Immutable; shared by reference or part by part.
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
    /// The identity of this sidecar.
    pub identity: IdentitySettings,
    /// The HTTP server.
    pub http: HttpSettings,
    /// Rights over HTTP.
    pub tokens: Option<TokensFile>,
    /// Rights to change things.
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
    /// What of all this differs from the defaults.
    pub distinct: Distinct,
}

impl Settings {
    /// Lays `flags` (by key, as [`variables`] names them) over the environment over the TOML file
    /// over the defaults, and checks everything. What is worth saying about it comes beside it.
    ///
    /// # Errors
    /// All faults of the configuration, of single values and between values.
    pub fn load(
        flags: BTreeMap<String, String>,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Self, Vec<String>, Vec<Entry>), Faults> {
        let layers = Layers::new(&flags, surroundings);
        let given = &layers.given;
        let addressed = given.contains_key(DB_URL.name) || given.contains_key(DB_HOST.name);
        let log_format = match surroundings.terminal {
            true => "pretty",
            false => "json",
        };
        let instance_id = identity::default_instance_id(&surroundings.host_name);
        let quarter = surroundings.memory_limit.map(|limit| limit / 4);
        let (least, most) = IN_FLIGHT_BYTES.into_inner();
        let in_flight_bytes = quarter.unwrap_or(UNLIMITED_IN_FLIGHT_BYTES);
        let in_flight_bytes = in_flight_bytes.clamp(least, most);
        let reader = |layers| Reader {
            layers,
            surroundings,
            defaults: BTreeMap::from([
                (DB_ENABLED.name, addressed.to_string()),
                (INSTANCE_ID.name, instance_id.clone()),
                (LOG_FORMAT.name, log_format.to_owned()),
                (MAX_IN_FLIGHT_BYTES.name, in_flight_bytes.to_string()),
            ]),
        };
        let defaults = Values::read(&mut reader(Layers::default()));
        let mut reader = reader(layers);
        let values = Values::read(&mut reader).zip(defaults);
        let settings = values.map(|(values, defaults)| {
            let distinct = distinct::distinct(&values, &defaults, &reader);
            Self::settle(values, distinct, &mut reader)
        });
        let effective = effective::effective(&reader);
        let layers = reader.layers;
        match settings {
            Some(settings) if layers.faults.is_empty() => {
                Ok((settings, layers.warnings, effective))
            }
            _ => Err(Faults(layers.faults)),
        }
    }

    /// What the values mean together; faults are noted.
    fn settle(values: Values, distinct: Distinct, reader: &mut Reader<'_>) -> Self {
        source::check(&values.source, values.database.enabled, reader);
        subjects::check(&values.subjects, reader);
        if values.limits.max_in_flight_bytes < values.limits.max_payload_bytes {
            let (bytes, payload) = (MAX_IN_FLIGHT_BYTES.env_name(), MAX_PAYLOAD_BYTES.env_name());
            let why = "calls beyond it are always answered `overloaded`";
            reader.warn(format!("{bytes} is less than {payload}: {why}"));
        }
        Self {
            source: values.source,
            database: database::settle(values.database, reader),
            nats: nats::settle(values.nats, reader),
            subjects: values.subjects,
            identity: values.identity,
            tokens: http::tokens(values.http.tokens_file.clone(), reader),
            http: values.http,
            admin: values.admin,
            breaker: breaker::settle(values.breaker, values.limits.max_timeout, reader),
            health: values.health,
            limits: values.limits,
            logging: values.logging,
            tracing: values.tracing,
            distinct,
        }
    }
}
