//! libpq's `sslmode`, of which the driver knows only a part.

use tokio_postgres::config::SslMode as DriverMode;

use crate::domain::words::words;

words! {
    /// How a connection is encrypted and the server checked, as libpq defines it, in its words.
    pub enum SslMode {
        /// Never encrypted.
        Disable = "disable",
        /// Encrypted if the server can, unchecked.
        Prefer = "prefer",
        /// Encrypted; checked against the root certificate if there is one.
        Require = "require",
        /// Encrypted, the certificate's authority checked.
        VerifyCa = "verify-ca",
        /// Encrypted, authority and host name checked.
        VerifyFull = "verify-full",
    }
}

impl SslMode {
    /// Whether the authority of the server's certificate is checked; `has_file` says whether a file
    /// of authorities is named.
    pub fn checks_authority(self, has_file: bool) -> bool {
        match self {
            Self::Disable | Self::Prefer => false,
            Self::Require => has_file,
            Self::VerifyCa | Self::VerifyFull => true,
        }
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
