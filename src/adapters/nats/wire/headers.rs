//! Header blocks (ADR-4): checked once, then read in place.
//!
//! The sender of a message decides what its block holds, so a block that cannot be read is a
//! fact about that message and about nothing else.

use std::borrow::Cow;
use std::str;

use thiserror::Error;

use crate::domain::header;

const VERSION: &str = "NATS/1.0";
const BREAK: &[u8] = b"\r\n";

/// A header block as it arrived; empty where the message has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawHeaders<'b>(pub &'b [u8]);

/// Why a header block cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// It does not begin with `NATS/1.0` and, where there is one, a status.
    #[error("the header block does not begin with NATS/1.0")]
    FirstLine,
    /// A line without a colon.
    #[error("a header line has no colon")]
    NoColon,
    /// A name that is empty or has anything but visible ASCII characters.
    #[error("a header name is empty or holds a space or a control character")]
    Name,
    /// A value with a lone carriage return or line feed.
    #[error("a header value holds a line break")]
    Value,
    /// Text in another encoding.
    #[error("a header is not UTF-8")]
    Encoding,
    /// No empty line at the end.
    #[error("the header block does not end with an empty line")]
    End,
}

/// A header block that can be read; empty where the message has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'b> {
    status: Option<u16>,
    /// The lines after the first, each with its line break.
    lines: &'b str,
}

impl<'b> RawHeaders<'b> {
    /// Checks the whole block.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn read(self) -> Result<Headers<'b>, Malformed> {
        if self.0.is_empty() {
            return Ok(Headers::default());
        }
        let block = self.0.strip_suffix(BREAK).ok_or(Malformed::End)?;
        let text = str::from_utf8(block).map_err(|_| Malformed::Encoding)?;
        let (first, lines) = text.split_once("\r\n").ok_or(Malformed::End)?;
        let status = status(first)?;
        if !lines.is_empty() && !lines.ends_with("\r\n") {
            return Err(Malformed::End);
        }
        for line in lines.split_terminator("\r\n") {
            let (name, value) = line.split_once(':').ok_or(Malformed::NoColon)?;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Malformed::Name);
            }
            if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) {
                return Err(Malformed::Value);
            }
        }
        Ok(Headers { status, lines })
    }
}

impl<'b> Headers<'b> {
    /// The status in the first line, such as 503 where there is no subscriber.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether there is no header, whatever the status.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The first value of `name`: by its exact name, else ignoring ASCII case.
    pub fn get(&self, name: &str) -> Option<&'b str> {
        header::find(self.iter(), name)
    }

    /// The values of a list that may be sent in several headers, found as [`get`](Self::get) does, as
    /// the one list that they are (RFC 9110, section 5.3).
    pub fn joined(&self, name: &str) -> Option<Cow<'b, str>> {
        let is_exact = self.iter().any(|(known, _)| known == name);
        let named = self.iter().filter(|(known, _)| match is_exact {
            true => *known == name,
            false => known.eq_ignore_ascii_case(name),
        });
        let mut values = named.map(|(_, value)| value);
        let mut list = Cow::Borrowed(values.next()?);
        for value in values {
            let list = list.to_mut();
            list.push(',');
            list.push_str(value);
        }
        Some(list)
    }

    /// All headers, in order; values without the white space around them.
    pub fn iter(&self) -> impl Iterator<Item = (&'b str, &'b str)> + use<'b> {
        let lines = self.lines.split_terminator("\r\n");
        lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name, value.trim_ascii()))
        })
    }
}

/// The status of the first line: `NATS/1.0`, or `NATS/1.0 503`, or `NATS/1.0 100 Idle Heartbeat`.
fn status(first: &str) -> Result<Option<u16>, Malformed> {
    let rest = first.strip_prefix(VERSION).ok_or(Malformed::FirstLine)?;
    let apart = rest.is_empty() || rest.starts_with([' ', '\t']);
    if !apart || rest.contains(['\r', '\n']) {
        return Err(Malformed::FirstLine);
    }
    let rest = rest.trim_ascii();
    if rest.is_empty() {
        return Ok(None);
    }
    let (digits, after) = rest.split_at_checked(3).ok_or(Malformed::FirstLine)?;
    if !after.is_empty() && !after.starts_with(' ') {
        return Err(Malformed::FirstLine);
    }
    let number = digits.parse().map_err(|_| Malformed::FirstLine)?;
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(block: &[u8]) -> Result<Headers<'_>, Malformed> {
        RawHeaders(block).read()
    }

    #[test]
    fn a_list_in_several_headers_is_one() {
        let block = b"NATS/1.0\r\nA: 1\r\nB: x\r\na:2 \r\nA: 3\r\n\r\n";
        let headers = read(block).unwrap();
        for (name, list) in [
            ("A", Some("1,3")),
            ("a", Some("2")),
            ("b", Some("x")),
            ("C", None),
        ] {
            assert_eq!(headers.joined(name).as_deref(), list, "{name}");
        }
        let spelled = read(b"NATS/1.0\r\nAB: 1\r\naB: 2\r\n\r\n").unwrap();
        assert_eq!(spelled.joined("ab").as_deref(), Some("1,2"));
    }

    #[test]
    fn a_block_is_read_in_order_and_without_outer_space() {
        let block = b"NATS/1.0 503 No Responders\r\nA: 1\r\na:2 \r\nB:\r\nA:\t3:x\r\n\r\n";
        let headers = read(block).unwrap();
        assert_eq!(headers.status(), Some(503));
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [("A", "1"), ("a", "2"), ("B", ""), ("A", "3:x")]);
        assert!(!headers.is_empty());
    }

    #[test]
    fn the_exact_name_comes_before_another_case() {
        let headers = read(b"NATS/1.0\r\nx-y: first\r\nX-Y: exact\r\nX-Y: later\r\n\r\n").unwrap();
        assert_eq!(headers.get("X-Y"), Some("exact"));
        assert_eq!(headers.get("x-y"), Some("first"));
        assert_eq!(headers.get("X-y"), Some("first"));
        assert_eq!(headers.get("Z"), None);
    }

    #[test]
    fn no_block_and_an_empty_one_are_no_headers() {
        for block in [&b""[..], b"NATS/1.0\r\n\r\n", b"NATS/1.0 \r\n\r\n"] {
            assert_eq!(read(block), Ok(Headers::default()), "{block:?}");
        }
        assert_eq!(read(b"NATS/1.0 404\r\n\r\n").unwrap().status(), Some(404));
    }

    /// CASES.md B1 and B2.
    #[test]
    fn what_cannot_be_read_says_why() {
        for (block, why) in [
            (&b"NATS/1.0\r\nX: a\rb\r\n\r\n"[..], Malformed::Value),
            (b"NATS/1.0\r\nX: a\nb\r\n\r\n", Malformed::Value),
            (b"NATS/1.0\r\nX: caf\xe9\r\n\r\n", Malformed::Encoding),
            (b"NATS/1.0\r\nno colon\r\n\r\n", Malformed::NoColon),
            (b"NATS/1.0\r\nX Y: 1\r\n\r\n", Malformed::Name),
            (b"NATS/1.0\r\n: 1\r\n\r\n", Malformed::Name),
            (b"NATS/1.0\r\n folded: 1\r\n\r\n", Malformed::Name),
            (b"NATS/1.0\r\nX\r: 1\r\n\r\n", Malformed::Name),
            (b"NATS/2.0\r\n\r\n", Malformed::FirstLine),
            (b"NATS/1.0x\r\n\r\n", Malformed::FirstLine),
            (b"NATS/1.0 5x3\r\n\r\n", Malformed::FirstLine),
            (b"NATS/1.0 50\r\n\r\n", Malformed::FirstLine),
            (b"NATS/1.0 5033\r\n\r\n", Malformed::FirstLine),
            (b"NATS/1.0 503 a\rb\r\n\r\n", Malformed::FirstLine),
            (b"NATS/1.0\r\nX: 1\r\n", Malformed::End),
            (b"NATS/1.0\r\n", Malformed::End),
            (b"NATS/1.0\r\nX: 1\n\r\n", Malformed::End),
            (b"\r\n", Malformed::End),
        ] {
            assert_eq!(read(block), Err(why), "{}", block.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let block = [b"NATS/1.0\r\n", &bytes[..], b"\r\n\r\n"].concat();
            for block in [&bytes[..], &block] {
                if let Ok(headers) = read(block) {
                    for (name, value) in headers.iter() {
                        prop_assert!(!value.contains(['\r', '\n']) && !name.is_empty());
                        prop_assert!(headers.get(name).is_some());
                    }
                }
            }
        }
    }
}
