//! The log: what is written and how it looks.

use tracing_subscriber::EnvFilter;

use super::parse::Rule;
use crate::domain::words::words;

words! {
    /// How a log line looks.
    pub enum LogFormat {
        /// One flat JSON object per line, for collectors: `timestamp`, `level`, `target`, `message`
        /// and fields.
        Json = "json",
        /// For reading at a terminal.
        Pretty = "pretty",
    }
}

/// A text that [`EnvFilter`] parses.
pub(super) fn filter(text: &str) -> Result<String, Rule> {
    let rule = "must be a tracing filter, like info,beamline_registry=debug";
    let filter = EnvFilter::try_new(text).map(|_| text.to_owned());
    filter.map_err(|error| format!("{rule}: {error}"))
}
