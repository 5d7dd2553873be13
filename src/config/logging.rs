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

/// Levels of other loggers, Erlang's first. A filter takes such a word for the name of a module,
/// and nothing else is logged.
const FOREIGN: &str = "emergency alert critical warning notice all none fatal verbose";

/// A text that [`EnvFilter`] parses.
pub(super) fn filter(text: &str) -> Result<String, Rule> {
    let rule = "must be a tracing filter, like info,beamline_registry=debug";
    let foreign = |word: &&str| FOREIGN.split(' ').any(|it| it.eq_ignore_ascii_case(word));
    if let Some(word) = text.split(',').map(str::trim).find(foreign) {
        let levels = "off, error, warn, info, debug, trace";
        return Err(format!(
            "{rule}: `{word}` is not a level; these are: {levels}"
        ));
    }
    let filter = EnvFilter::try_new(text).map(|_| text.to_owned());
    filter.map_err(|error| format!("{rule}: {error}"))
}
