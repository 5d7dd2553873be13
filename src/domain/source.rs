//! Where data may come from, and where it came from.

/// Which source the operator chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceMode {
    /// Postgres only.
    Database,
    /// Files only.
    Fixtures,
    /// Postgres, and files until it has answered once.
    Auto,
}

impl SourceMode {
    /// The mode's name in configuration and `stats`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Fixtures => "fixtures",
            Self::Auto => "auto",
        }
    }
}

/// Where the catalog's data came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveSource {
    /// Nothing has been applied yet.
    None,
    /// Files.
    Fixtures,
    /// Postgres.
    Database,
}

impl ActiveSource {
    /// The source's name in documents, events and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fixtures => "fixtures",
            Self::Database => "database",
        }
    }
}
