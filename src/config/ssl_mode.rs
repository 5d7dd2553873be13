//! libpq's `sslmode`, of which the driver knows only a part.

use tokio_postgres::config::SslMode as DriverMode;

use super::parse::{self, Rule};

/// How a connection is encrypted and the server checked, as libpq defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can, unchecked.
    Prefer,
    /// Encrypted; checked against the root certificate if there is one.
    Require,
    /// Encrypted, the certificate's authority checked.
    VerifyCa,
    /// Encrypted, authority and host name checked.
    VerifyFull,
}

impl SslMode {
    /// Parses libpq's words.
    pub(super) fn parse(text: &str) -> Result<Self, Rule> {
        parse::word(&[
            ("disable", Self::Disable),
            ("prefer", Self::Prefer),
            ("require", Self::Require),
            ("verify-ca", Self::VerifyCa),
            ("verify-full", Self::VerifyFull),
        ])(text)
    }

    /// The driver knows only whether to encrypt; checking is the connector's.
    pub(super) fn for_driver(self) -> DriverMode {
        match self {
            Self::Disable => DriverMode::Disable,
            Self::Prefer => DriverMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => DriverMode::Require,
        }
    }
}
