//! The log: what is written and how it looks.

use tracing_subscriber::EnvFilter;

use super::parse::word;
use super::reader::Reader;
use super::variables::{LOG, LOG_FORMAT};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, for collectors.
    Json,
    /// For people.
    Pretty,
}

/// Settings of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A filter that [`EnvFilter`] parses.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

const FORMATS: [(&str, LogFormat); 2] = [("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];

pub(super) fn read(reader: &mut Reader<'_>) -> Option<LogSettings> {
    let format = if reader.surroundings.terminal {
        "pretty"
    } else {
        "json"
    };
    let filter = |text: &str| match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let rule = "must be a tracing filter, like info,beamline_registry=debug";
            Err(format!("{rule}: {error}"))
        }
    };
    Some(LogSettings {
        filter: reader.value(&LOG, filter)?,
        format: reader.value_or(&LOG_FORMAT, format, word(&FORMATS))?,
    })
}
