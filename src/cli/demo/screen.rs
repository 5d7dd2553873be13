//! How the tour looks: colours on a terminal, plain text elsewhere.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::cli::out;

/// Longer documents are cut: a tour is no dump.
const MAX_CHARS: usize = 1200;
/// Documents no longer than this stand on one line, others have a line for each member.
const MAX_WIDTH: usize = 100;
/// Members no longer than this stand on one line, others have a line for each of theirs.
const MAX_MEMBER_WIDTH: usize = 160;

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
        self.command(&format!("nats req {subject} {}", quote(payload)));
    }

    /// The same with headers, for all replies there are.
    pub(super) fn request_stream(self, subject: &str, headers: &[(&str, &str)], payload: &str) {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("-H {name}:{value} "))
            .collect();
        let payload = quote(payload);
        self.command(&format!(
            "nats req --replies=0 {headers}{subject} {payload}"
        ));
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
        for line in lines(shown) {
            out(&format!("  {line}"));
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
    let plain = !payload.is_empty()
        && payload
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if plain {
        payload.to_owned()
    } else {
        format!("'{payload}'")
    }
}

/// The text of a JSON document, cut where lines get long. Every byte of it is kept: documents are
/// shown as they came.
fn lines(text: &str) -> Vec<String> {
    if text.len() <= MAX_WIDTH {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    for (number, member) in members(text, 1).into_iter().enumerate() {
        // The first one stands behind the brace that opens the document.
        let (indent, depth) = if number == 0 { ("", 2) } else { (" ", 1) };
        let parts = if member.len() > MAX_MEMBER_WIDTH {
            members(member, depth)
        } else {
            vec![member]
        };
        for (number, part) in parts.into_iter().enumerate() {
            let deeper = if number == 0 { indent } else { "   " };
            lines.push(format!("{deeper}{part}"));
        }
    }
    lines
}

/// The parts of a text, each ending after a comma that has so many brackets open.
fn members(text: &str, brackets: u32) -> Vec<&str> {
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
            ',' if depth == brackets => {
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
        let cut = [
            r#"{"a":[1,{"b":2,"c":3}],"#,
            r#""d":"x,\"y,\\","#,
            r#""e":null}"#,
        ];
        assert_eq!(members(text, 1), cut);
        assert_eq!(members("no JSON at all", 1), ["no JSON at all"]);
    }

    #[test]
    fn long_documents_have_a_line_for_each_member() {
        assert_eq!(lines(r#"{"a":1,"b":2}"#), [r#"{"a":1,"b":2}"#]);
        let (long, longer) = ("x".repeat(MAX_WIDTH), "y".repeat(MAX_MEMBER_WIDTH));
        let text = format!(r#"{{"a":[{{"b":"{longer}"}},2],"c":"{long}","d":["{longer}",1]}}"#);
        let cut = [
            format!(r#"{{"a":[{{"b":"{longer}"}},"#),
            "   2],".to_owned(),
            format!(r#" "c":"{long}","#),
            format!(r#" "d":["{longer}","#),
            "   1]}".to_owned(),
        ];
        assert_eq!(lines(&text), cut);
    }
}
