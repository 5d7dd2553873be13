//! Where a value came from, and what is wrong with it.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::variables::{self, PREFIX};

/// The layer that gave a value, with the name it was given under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag: `--db-url`.
    Flag(String),
    /// An environment variable: `EXTENSION_REGISTRY_DB_URL`.
    Environment(String),
    /// A key of the TOML file.
    File(PathBuf, String),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path, key) => write!(f, "file {}:{key}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key at fault: `DB_URL`, `DB_URL_FILE`, `CONFIG`, or a name nobody knows.
    pub key: String,
    /// Who set it.
    pub origin: Origin,
    /// The rule that is broken, to be read after the name: `must be between 0 and 1`.
    pub message: String,
}

impl fmt::Display for Fault {
    /// Names the variable as its user wrote it: they search their own files for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Flag(name) | Origin::Environment(name) => f.write_str(name)?,
            Origin::File(path, key) => write!(f, "{}:{key}", path.display())?,
            Origin::Default => write!(f, "{PREFIX}{}", self.key)?,
        }
        write!(f, " {}", self.message)
    }
}

/// Everything that is wrong with the configuration, found in one pass.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    /// One fault per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

/// Something worth saying that keeps nothing from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// An environment name with our prefix that nobody reads. Kubernetes service links inject such
    /// names, so it is no fault.
    UnknownName {
        /// The name as it stands in the environment.
        name: String,
        /// The known name most like it.
        nearest: String,
    },
    /// Tokens that can be guessed.
    ShortTokens {
        /// The file they stand in.
        path: PathBuf,
        /// Their lines.
        lines: Vec<usize>,
    },
    /// A variable that is accepted and does nothing.
    NoEffect {
        /// Who set it.
        origin: Origin,
        /// Why nothing follows from it.
        reason: &'static str,
    },
}

impl Warning {
    pub(super) fn unknown_name(key: &str) -> Self {
        Self::UnknownName {
            name: format!("{PREFIX}{key}"),
            nearest: format!("{PREFIX}{}", variables::nearest(key)),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName { name, nearest } => {
                write!(
                    f,
                    "{name} is not known and ignored; the nearest name is {nearest}"
                )
            }
            Self::ShortTokens { path, lines } => {
                let lines: Vec<_> = lines.iter().map(usize::to_string).collect();
                let (path, lines) = (path.display(), lines.join(", "));
                write!(
                    f,
                    "{path} has tokens under 16 characters, which can be guessed: lines {lines}"
                )
            }
            Self::NoEffect { origin, reason } => write!(f, "{origin} has no effect: {reason}"),
        }
    }
}
