//! What can go wrong with Postgres, in words for operators and without secrets.

use std::error::Error;
use std::io;
use std::time::Duration;

use deadpool_postgres::PoolError;
use rustls::CertificateError;
use thiserror::Error;

use super::schema::{SchemaState, SchemaVersion};
use crate::domain::quote::{quoted, quoted_within};

/// The most bytes of a server's message: a trigger's may be of any length.
const MAX_MESSAGE: usize = 500;

/// Settings with which no connection can ever be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetupError {
    /// Certificates are missing or unusable.
    #[error("TLS to the database: {0}")]
    Tls(String),
    /// The pool cannot be built.
    #[error("the pool of database connections: {0}")]
    Pool(String),
}

/// Why the database gave no answer, or not the one expected. [`super::sort`] decides what kind of
/// trouble each is.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// Postgres refused, or the connection broke.
    #[error("{}", describe(.0))]
    Driver(#[from] tokio_postgres::Error),
    /// The same, before there was a connection.
    #[error("{}", describe(.0))]
    Connect(tokio_postgres::Error),
    /// A limit of our own has passed.
    #[error("{what} took longer than {}", humantime::format_duration(*.limit))]
    Late {
        /// What was waited for.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// No connection could be had from the pool.
    #[error("no connection: {0}")]
    Pool(String),
    /// Migrations are missing.
    #[error("the database schema is behind (has {}, needs {})", .0.have, .0.need)]
    SchemaBehind(SchemaState),
    /// There are no migrations for it; its last one.
    #[error("the database schema (version {0}) was made by a version that was never released")]
    Unreleased(SchemaVersion),
    /// Texts would not arrive as they were written.
    #[error("the database's encoding is {0}; the registry needs UTF8")]
    Encoding(String),
    /// The server does not know a setting of our sessions.
    #[error("the server is PostgreSQL {version}, and the registry needs 14 or newer: {lacks}")]
    TooOld {
        /// Its version.
        version: String,
        /// What it answers.
        lacks: String,
    },
    /// The search path does not lead to the tables.
    #[error("{}", elsewhere(.schemas, .search_path, .unusable))]
    Elsewhere {
        /// The account's search path.
        search_path: String,
        /// Schemas that have such tables.
        schemas: Vec<String>,
        /// The schemas that the account may not use.
        unusable: Vec<String>,
    },
    /// Rows are there that were not seen.
    #[error("{0}")]
    Hidden(String),
    /// The database holds what it cannot hold.
    #[error("{0}")]
    Damaged(&'static str),
}

impl From<PoolError> for PostgresError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Connect(error),
            other => Self::Pool(other.to_string()),
        }
    }
}

impl PostgresError {
    /// The same, known to have come before anything was asked.
    pub(super) fn before_use(self) -> Self {
        match self {
            Self::Driver(error) => Self::Connect(error),
            late @ Self::Late { .. } => Self::Pool(late.to_string()),
            other => other,
        }
    }

    /// The driver's error, where it comes from there.
    pub(super) fn driver(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Self::Driver(error) | Self::Connect(error) => Some(error),
            _ => None,
        }
    }
}

fn elsewhere(schemas: &[String], search_path: &str, unusable: &[String]) -> String {
    let named = |names: &[String]| {
        let names = names.iter().map(|name| format!("`{}`", quoted(name)));
        names.collect::<Vec<_>>().join(", ")
    };
    let path = quoted(search_path);
    let place = match schemas {
        [_] => "schema",
        _ => "schemas",
    };
    let schemas = named(schemas);
    let denied = match unusable {
        [] => String::new(),
        _ => format!(": permission denied for schema {} (42501)", named(unusable)),
    };
    format!("the registry's tables are in {place} {schemas}, but search_path is `{path}`{denied}")
}

/// A server's refusal as SQLSTATE and message; anything else with its causes. A refusal's detail
/// and hint stay out: they quote rows.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        let message = quoted_within(refusal.message(), MAX_MESSAGE);
        return format!("{message} ({})", refusal.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        if is_unknown_issuer(error) {
            text.push_str(", no known authority has signed it (DB_SSL_ROOT_CERT)");
        }
        cause = error.source();
    }
    text
}

/// The one refusal of a certificate that does not explain itself.
fn is_unknown_issuer(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref().and_then(io::Error::get_ref);
    let refusal = inner.and_then(|inner| inner.downcast_ref());
    let unknown = CertificateError::UnknownIssuer;
    refusal == Some(&rustls::Error::InvalidCertificate(unknown))
}
