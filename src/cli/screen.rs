//! Where output goes: a terminal of some width, or a program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use comfy_table::Table;

/// The meaning of a word; the numbers are terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Bad,
    Good,
    Doubtful,
}

/// What standard output is fit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Screen {
    /// Characters in a line; none without a terminal, where lines may be of any length.
    pub(super) width: Option<u16>,
    /// Whether words may have colours.
    pub(super) colours: bool,
    /// What ages are counted from.
    pub(super) now: SystemTime,
}

impl Screen {
    /// The standard output of this process. `NO_COLOR` and `TERM=dumb` forbid colours.
    pub(super) fn of_process(env: &BTreeMap<OsString, OsString>) -> Self {
        let terminal = io::stdout().is_terminal();
        let value = |name: &str| env.get(OsStr::new(name)).and_then(|value| value.to_str());
        let plain = value("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = value("TERM") == Some("dumb");
        Self {
            width: terminal.then(|| columns(Table::new().width())),
            colours: terminal && !plain && !dumb,
            now: SystemTime::now(),
        }
    }

    /// `text` in the colour of `tone`, where words may have colours.
    pub(super) fn painted(&self, text: &str, tone: Tone) -> String {
        match self.colours && tone != Tone::Plain {
            true => format!("\u{1b}[3{}m{text}\u{1b}[0m", tone as u8),
            false => text.to_owned(),
        }
    }

    /// Prints a line.
    ///
    /// # Errors
    /// The reader has closed the pipe, or it cannot be written, such as to a full disk.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes(), true)
    }

    /// Prints bytes as they are, and an end of line if `end` is set.
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

/// The columns of a terminal that says it has this many. One that nobody gave a size says 0: a serial
/// line, or a pseudo-terminal of a program.
fn columns(said: Option<u16>) -> u16 {
    said.filter(|columns| *columns > 0).unwrap_or(u16::MAX)
}

#[cfg(test)]
impl Screen {
    /// A reader that is no terminal, such as a file.
    pub(super) const fn plain() -> Self {
        Self {
            width: None,
            colours: false,
            now: SystemTime::UNIX_EPOCH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_size_hides_nothing() {
        for (said, taken) in [
            (Some(80), 80),
            (Some(1), 1),
            (Some(0), u16::MAX),
            (None, u16::MAX),
        ] {
            assert_eq!(columns(said), taken, "{said:?}");
        }
    }
}
