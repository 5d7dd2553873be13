//! Where data may come from, and where it came from.

use super::words::words;

words! {
    /// Which source the operator chose.
    pub enum SourceMode {
        /// Postgres only.
        Database = "database",
        /// Files only.
        Fixtures = "fixtures",
        /// Postgres, and files until it has answered once.
        Auto = "auto",
    }
}

words! {
    /// Where the catalog's data came from.
    #[derive(Default)]
    pub enum ActiveSource {
        /// Nothing has been applied yet.
        #[default]
        None = "none",
        /// Files.
        Fixtures = "fixtures",
        /// Postgres.
        Database = "database",
    }
}
