//! The log: what is written and how it looks.

use tracing_subscriber::EnvFilter;

use super::parse::Rule;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One flat JSON object per line, for collectors: `timestamp`, `level`, `target`, `message` and
    /// fields.
    Json,
    /// For reading at a terminal.
    Pretty,
}

pub(super) const FORMATS: [(&str, LogFormat); 2] =
    [("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];

/// A text that [`EnvFilter`] parses.
pub(super) fn filter(text: &str) -> Result<String, Rule> {
    let rule = "must be a tracing filter, like info,beamline_registry=debug";
    let filter = EnvFilter::try_new(text).map(|_| text.to_owned());
    filter.map_err(|error| format!("{rule}: {error}"))
}
