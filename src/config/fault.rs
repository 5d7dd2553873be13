//! Where a value came from, and what is wrong with it.

use std::fmt;

use thiserror::Error;

use super::variables::PREFIX;

/// Who gave a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A layer, and the name that the value has there: flag and `--db-url`, environment and
    /// `EXTENSION_REGISTRY_DB_URL`, file and `settings.toml:db_url`.
    Given(&'static str, String),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(layer, name) => write!(f, "{layer} {name}"),
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
            Origin::Given(_, name) => write!(f, "{name} {}", self.message),
            Origin::Default => write!(f, "{PREFIX}{} {}", self.key, self.message),
        }
    }
}

/// Everything that is wrong with the configuration, found in one pass. One fault per line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Fault>);
