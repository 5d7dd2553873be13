//! The log: what is written and how it looks.

use tracing_subscriber::EnvFilter;

use super::parse;
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

pub(super) fn read(reader: &mut Reader<'_>, terminal: bool) -> Option<LogSettings> {
    let filter = reader.value(&LOG, |text| match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "must be a tracing filter, like info,beamline_registry=debug: {error}"
        )),
    });
    let format = reader.value_or(
        &LOG_FORMAT,
        |text| {
            parse::word(
                text,
                &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)],
            )
        },
        || if terminal { "pretty" } else { "json" }.to_owned(),
    );
    Some(LogSettings {
        filter: filter?,
        format: format?,
    })
}
