//! Where a value came from, and what is wrong with it.

use std::fmt;

use thiserror::Error;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `flag`, `environment`, `file`, or `default` when it was not set.
    pub layer: &'static str,
    /// The name that the value has there: `--db-url`, `EXTENSION_REGISTRY_DB_URL`,
    /// `settings.toml:db_url`.
    pub name: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            "default" => f.write_str("default"),
            layer => write!(f, "{layer} {}", self.name),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} {rule}", .origin.name)]
pub struct Fault {
    /// Where it came from. The variable is named as its user wrote it: they search their own files
    /// for it.
    pub origin: Origin,
    /// The rule that is broken, to be read after the name: `must be between 0 and 1`.
    pub rule: String,
}

/// Everything that is wrong with the configuration, found in one pass. One fault per line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Fault>);
