//! How the tour looks: colours on a terminal, plain text elsewhere.

use std::io::{self, IsTerminal};

use crate::cli::out;

/// Longer documents are cut: a tour is no dump.
const MAX_CHARS: usize = 1200;

/// A screen that knows whether it has colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    colours: bool,
}

impl Screen {
    pub(super) fn of_process() -> Self {
        Self {
            colours: io::stdout().is_terminal(),
        }
    }

    /// What comes next and why it is worth a look.
    pub(super) fn chapter(self, text: &str) {
        out(&format!("\n{}", self.paint("1;36", text)));
    }

    /// A request as a person would make it.
    pub(super) fn request(self, subject: &str, payload: &str) {
        let quoted = if payload.is_empty() {
            "''".to_owned()
        } else {
            quote(payload)
        };
        out(&self.paint("1", &format!("$ nats req {subject} {quoted}")));
    }

    /// A command as a person would type it.
    pub(super) fn command(self, line: &str) {
        out(&self.paint("1", &format!("$ {line}")));
    }

    /// Headers and document of a reply.
    pub(super) fn reply(self, headers: &[(String, String)], payload: &[u8]) {
        for (name, value) in headers {
            out(&self.paint("33", &format!("  {name}: {value}")));
        }
        let text = String::from_utf8_lossy(payload);
        match text.char_indices().nth(MAX_CHARS) {
            None => out(&format!("  {text}")),
            Some((end, _)) => {
                let (shown, hidden) = text.split_at(end);
                let more = format!("... {} more bytes", hidden.len());
                out(&format!("  {shown}{}", self.paint("2", &more)));
            }
        }
    }

    /// A remark.
    pub(super) fn note(self, text: &str) {
        out(&self.paint("2", text));
    }

    fn paint(self, style: &str, text: &str) -> String {
        if self.colours {
            format!("\u{1b}[{style}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn quote(payload: &str) -> String {
    let plain = payload
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if plain {
        payload.to_owned()
    } else {
        format!("'{payload}'")
    }
}
