//! How the tour looks: colours on a terminal, plain text elsewhere.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::cli::out;

/// Longer documents are cut: a tour is no dump.
const MAX_CHARS: usize = 1200;
/// Documents that are no longer than this stand on one line, others have a line for each member.
const MAX_WIDTH: usize = 100;

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
    pub(super) fn request(self, subject: &str, headers: &[(&str, &str)], payload: &str) {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("-H {name}:{value} "))
            .collect();
        let quoted = if payload.is_empty() {
            "''".to_owned()
        } else {
            quote(payload)
        };
        self.command(&format!("nats req {headers}{subject} {quoted}"));
    }

    /// A command as a person would type it.
    pub(super) fn command(self, line: &str) {
        out(&self.paint("1", &format!("$ {line}")));
    }

    /// Headers and document of a reply, and how long after the request it came.
    pub(super) fn reply(self, headers: &[(String, String)], payload: &[u8], took: Duration) {
        for (name, value) in headers {
            out(&self.paint("33", &format!("  {name}: {value}")));
        }
        if !payload.is_empty() {
            self.document(payload);
        }
        let ms = took.as_secs_f64() * 1e3;
        self.note(&format!("  ({ms:.1} ms)"));
    }

    /// An event that somebody published.
    pub(super) fn event(self, subject: &str, payload: &[u8]) {
        out(&self.paint("35", &format!("event on {subject}")));
        self.document(payload);
    }

    fn document(self, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload);
        let (shown, hidden) = match text.char_indices().nth(MAX_CHARS) {
            None => (&*text, ""),
            Some((end, _)) => text.split_at(end),
        };
        let lines = if text.len() > MAX_WIDTH {
            members(shown)
        } else {
            vec![shown]
        };
        for (number, line) in lines.into_iter().enumerate() {
            let indent = if number == 0 { "  " } else { "   " };
            out(&format!("{indent}{line}"));
        }
        if !hidden.is_empty() {
            self.note(&format!("   ... {} more bytes", hidden.len()));
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

/// The text of a JSON document, cut after each member. Every byte of it is kept: documents are
/// shown as they came.
fn members(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped, mut from) = (0_u32, false, false, 0);
    let mut members = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 1 => {
                members.extend(text.get(from..=at));
                from = at + 1;
            }
            _ => {}
        }
    }
    members.extend(text.get(from..));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_cut_at_the_top_only() {
        let text = r#"{"a":[1,{"b":2,"c":3}],"d":"x,\"y,\\","e":null}"#;
        assert_eq!(
            members(text),
            [
                r#"{"a":[1,{"b":2,"c":3}],"#,
                r#""d":"x,\"y,\\","#,
                r#""e":null}"#
            ]
        );
        assert_eq!(members("no JSON at all"), ["no JSON at all"]);
    }
}
