//! How the tour looks: colours on a terminal, plain text elsewhere.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::adapters::nats::ask::Reply;
use crate::cli::document::{fields, members};
use crate::cli::{harmless, headers_of, out};

/// A document no longer than this is one line, others have a line for each member.
const MAX_WIDTH: usize = 100;
/// The same for a member of a document.
const MAX_MEMBER_WIDTH: usize = 160;

/// What prints, and whether in colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer(pub(super) bool);

impl Printer {
    /// A line: a chapter, a command as an operator would type it, or a note.
    pub(super) fn say(self, kind: &str, text: &str) {
        match kind {
            "#" => self.print("1;36", &format!("\n{text}")),
            "$" => self.print("1", &format!("$ {text}")),
            _ => self.print("2", text),
        }
    }

    /// A request as an operator would type it: a subject, and a payload.
    pub(super) fn request(self, options: &str, request: &str) {
        let (subject, payload) = request.split_once(' ').unwrap_or((request, ""));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        let bare = !payload.is_empty() && payload.bytes().all(plain);
        let quote = if bare { "" } else { "'" };
        let line = format!("nats req {options}{subject} {quote}{payload}{quote}");
        self.say("$", &line);
    }

    /// Headers and document of a reply, and how long after the request it came.
    pub(super) fn reply(self, reply: &Reply, took: Duration) {
        for header in headers_of(reply) {
            self.print("33", &format!("  {header}"));
        }
        self.document(&reply.body);
        self.say("-", &format!("  ({:.1} ms)", took.as_secs_f64() * 1e3));
    }

    /// A published event.
    pub(super) fn event(self, event: &Reply) {
        self.print("35", &format!("event on {}", event.subject));
        self.document(&event.body);
    }

    /// A published message of headers only.
    pub(super) fn message(self, message: &Reply) {
        self.print("35", &format!("message on {}", message.subject));
        for header in headers_of(message) {
            self.print("33", &format!("  {header}"));
        }
    }

    fn document(self, body: &[u8]) {
        lines(body).iter().for_each(|line| out(line));
    }

    fn print(self, style: &str, text: &str) {
        out(&self.styled(style, text));
    }

    /// Without what a terminal would obey beside the style: any program on this host may publish
    /// to the demo's server.
    fn styled(self, style: &str, text: &str) -> String {
        let text = harmless(text);
        match self.0 {
            true => format!("\u{1b}[{style}m{text}\u{1b}[0m"),
            false => text,
        }
    }
}

/// What a message holds, line by line.
fn lines(body: &[u8]) -> Vec<String> {
    let text = match serde_json::from_slice(body) {
        Ok(document) => laid_out(document, 0),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let lines = text.lines().map(|line| harmless(&format!("  {line}")));
    lines.collect()
}

/// The text of a document, in lines where it is long. Order and digits are kept.
fn laid_out(value: &RawValue, depth: usize) -> String {
    let (text, width) = (value.get(), [MAX_WIDTH, MAX_MEMBER_WIDTH].get(depth));
    if width.is_none_or(|width| text.len() <= *width) {
        return text.to_owned();
    }
    let between = format!(",\n{}", " ".repeat(2 * depth + 1));
    let inner = |value| laid_out(value, depth + 1);
    if text.starts_with('[') {
        let members: Vec<_> = members(value).into_iter().map(inner).collect();
        return format!("[{}]", members.join(&between));
    }
    let fields = fields(value).into_iter();
    let fields = fields.map(|(name, value)| format!("\"{name}\":{}", inner(value)));
    match text.starts_with('{') {
        true => format!("{{{}}}", fields.collect::<Vec<_>>().join(&between)),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_was_received() {
        let heard = "event on a\u{1b}[2J\u{9b}1m";
        let shown = "event on a\\u{1b}[2J\\u{9b}1m";
        assert_eq!(Printer(false).styled("35", heard), shown);
        let coloured = format!("\u{1b}[35m{shown}\u{1b}[0m");
        assert_eq!(Printer(true).styled("35", heard), coloured);
        assert_eq!(Printer(false).styled("1", "\n# one"), "\n# one");
        let body = "no JSON\u{1b}[2J\nmore";
        assert_eq!(lines(body.as_bytes()), ["  no JSON\\u{1b}[2J", "  more"]);
        assert_eq!(lines("\"\u{9b}1m\"".as_bytes()), ["  \"\\u{9b}1m\""]);
    }

    #[test]
    fn long_documents_have_a_line_for_each_member() {
        let lay = |text: &str| laid_out(serde_json::from_str(text).unwrap(), 0);
        assert_eq!(lay(r#"{"b":1.50,"a":2}"#), r#"{"b":1.50,"a":2}"#);
        let (long, longer) = ("x".repeat(MAX_WIDTH), "y".repeat(MAX_MEMBER_WIDTH));
        let text = format!(r#"{{"a":[{{"b":"{longer}"}},2],"c":"{long}","d":["{longer}",1]}}"#);
        let cut = [
            format!(r#"{{"a":[{{"b":"{longer}"}},"#),
            "   2],".to_owned(),
            format!(r#" "c":"{long}","#),
            format!(r#" "d":["{longer}","#),
            "   1]}".to_owned(),
        ];
        assert_eq!(lay(&text).lines().collect::<Vec<_>>(), cut);
    }
}
