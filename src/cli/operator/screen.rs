//! Where the answer is shown: a terminal, or something that reads it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};

use clap::builder::styling::AnsiColor;

use super::table::Tone;

/// What standard output is fit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Screen {
    /// Whether somebody looks at it.
    pub(super) terminal: bool,
    /// Whether words may have colours.
    pub(super) colours: bool,
}

impl Screen {
    /// The standard output of this process. `NO_COLOR` and `TERM=dumb` forbid colours.
    pub(super) fn of_process(env: &BTreeMap<OsString, OsString>) -> Self {
        let terminal = io::stdout().is_terminal();
        let value = |name: &str| env.get(OsStr::new(name)).and_then(|value| value.to_str());
        let dumb = value("TERM") == Some("dumb");
        let plain = value("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            terminal,
            colours: terminal && !plain && !dumb,
        }
    }

    /// `text` in the colour of `tone`, where words may have colours.
    pub(super) fn painted(&self, text: &str, tone: Tone) -> String {
        let style = match tone {
            Tone::Good => AnsiColor::Green,
            Tone::Doubtful => AnsiColor::Yellow,
            Tone::Bad => AnsiColor::Red,
            Tone::Plain => return text.to_owned(),
        };
        match self.colours {
            true => {
                let style = style.on_default();
                format!("{style}{text}{style:#}")
            }
            false => text.to_owned(),
        }
    }

    /// Prints a line.
    ///
    /// # Errors
    /// Nobody reads any more, or it cannot be written, such as to a full disk.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes(), true)
    }

    /// Prints bytes as they are, and an end of line where `end` says so.
    ///
    /// # Errors
    /// As for a line.
    pub(super) fn bytes(&self, bytes: &[u8], end: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        if end {
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}
