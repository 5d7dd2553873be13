//! What can go wrong with Postgres, in words for operators and without secrets.

use std::error::Error;
use std::io;
use std::time::Duration;

use deadpool_postgres::PoolError;
use rustls::CertificateError;
use thiserror::Error;

use crate::domain::quote::quoted_within;
use crate::service::source::SourceError;

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

/// Why the database gave no answer, or not the one expected.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// Postgres refused, or the connection broke.
    #[error("{}", describe(.0))]
    Driver(#[from] tokio_postgres::Error),
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
    #[error("the schema is behind: it has {have}, {need} is needed")]
    SchemaBehind {
        /// The last migration applied.
        have: u32,
        /// The last migration known.
        need: u32,
    },
    /// The database holds what it cannot hold.
    #[error("{0}")]
    Damaged(&'static str),
}

impl PostgresError {
    /// The same for the reload path; `target` says which database.
    pub(super) fn into_source_error(self, target: &str) -> SourceError {
        match self {
            Self::SchemaBehind { have, need } => SourceError::SchemaBehind { have, need },
            other => SourceError::Away(format!("{target}: {other}")),
        }
    }
}

impl From<PoolError> for PostgresError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Driver(error),
            other => Self::Pool(other.to_string()),
        }
    }
}

/// A server's refusal as SQLSTATE and message; anything else with its causes. A refusal's detail
/// and hint stay out: they quote rows.
fn describe(error: &tokio_postgres::Error) -> String {
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
