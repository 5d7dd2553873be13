//! Walking through JSON that is known to be valid, without reading what is in it.

use std::borrow::Cow;

use memchr::memchr2;

/// A string without its quotes, still escaped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted<'a> {
    text: &'a str,
    escaped: bool,
}

impl<'a> Quoted<'a> {
    /// The string that begins behind its opening quote, and what follows the closing one.
    pub(super) fn split(text: &'a str) -> (Self, &'a str) {
        let (bytes, mut from) = (text.as_bytes(), 0);
        let mark = |from| memchr2(b'"', b'\\', bytes.get(from..)?);
        while let Some(distance) = mark(from) {
            let at = from + distance;
            if bytes.get(at) == Some(&b'"') {
                let (text, after) = cut(text, at);
                let after = after.get(1..).unwrap_or_default();
                let escaped = from > 0;
                return (Self { text, escaped }, after);
            }
            // What is escaped is no end.
            from = at + 2;
        }
        let escaped = from > 0;
        (Self { text, escaped }, "")
    }

    /// The string itself; `None` where it is no text: half of a surrogate pair.
    pub(super) fn decoded(self) -> Option<Cow<'a, str>> {
        if !self.escaped {
            return Some(self.text.into());
        }
        let quoted = format!("\"{}\"", self.text);
        serde_json::from_str::<String>(&quoted).ok().map(Cow::from)
    }
}

/// The string that `json` is; `None` where it is none, or no text.
pub fn string(json: &str) -> Option<Cow<'_, str>> {
    Quoted::split(json.strip_prefix('"')?).0.decoded()
}

/// The strings in valid JSON, keys included; `None` for one that is no text.
pub fn strings(json: &str) -> impl Iterator<Item = Option<Cow<'_, str>>> {
    let mut rest = json;
    std::iter::from_fn(move || {
        let (text, after) = Quoted::split(rest.split_once('"')?.1);
        rest = after;
        Some(text.decoded())
    })
}

/// The value that `text` begins with, and what follows.
pub(super) fn value(text: &str) -> (&str, &str) {
    let end = match text.bytes().next() {
        Some(b'"') => {
            let (_, after) = Quoted::split(text.get(1..).unwrap_or_default());
            text.len() - after.len()
        }
        Some(b'{' | b'[') => nested(text),
        _ => {
            let ends = |byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            text.bytes().position(ends).unwrap_or(text.len())
        }
    };
    cut(text, end)
}

/// The length of the list or object that `text` begins with.
fn nested(text: &str) -> usize {
    let (mut rest, mut depth) = (text, 0usize);
    while let Some((byte, after)) = structural(rest) {
        rest = after;
        match byte {
            b'"' => rest = Quoted::split(rest).1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    text.len() - rest.len()
}

/// The next structural byte, and what follows it.
pub(super) fn structural(text: &str) -> Option<(u8, &str)> {
    let says = |byte: u8| matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b'"');
    let at = text.bytes().position(says)?;
    let byte = text.as_bytes().get(at)?;
    Some((*byte, text.get(at + 1..)?))
}

/// Both sides of an ASCII character.
fn cut(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}
