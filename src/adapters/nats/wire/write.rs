//! What a client sends, appended to a buffer that leaves with one write.

use memchr::memchr2;
use thiserror::Error;

/// The most bytes that the subject and the reply subject of a message have together. A server closes a
/// connection whose control line has more than 4,096 bytes; sizes and blanks need the rest.
pub const MAX_SUBJECTS: usize = 4_060;

/// A header that cannot be sent: it would end its line, or the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a header's value cannot be sent")]
pub struct BadHeader;

/// A header block under construction. Where many messages share their first headers, they share a
/// block to start from: cloning is one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderBlock(Vec<u8>);

impl Default for HeaderBlock {
    fn default() -> Self {
        Self(b"NATS/1.0\r\n".to_vec())
    }
}

impl HeaderBlock {
    /// Begins again, keeping the memory.
    pub fn clear(&mut self) {
        self.0.truncate(b"NATS/1.0\r\n".len());
    }

    /// Adds a header after those there are, under a name that is a constant of ours.
    ///
    /// # Errors
    /// The value has a line break. Nothing was added then.
    pub fn push(&mut self, name: &'static str, value: &str) -> Result<(), BadHeader> {
        if memchr2(b'\r', b'\n', value.as_bytes()).is_some() {
            return Err(BadHeader);
        }
        self.line(name, value.as_bytes());
        Ok(())
    }

    /// Adds a header with a number for a value, under a name that is a constant of ours.
    pub fn push_number(&mut self, name: &'static str, value: u64) {
        let mut digits = itoa::Buffer::new();
        self.line(name, digits.format(value).as_bytes());
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.0.reserve(name.len() + value.len() + 4);
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.len() == b"NATS/1.0\r\n".len()
    }

    /// Its bytes on the wire, the empty line at its end included.
    pub fn wire_len(&self) -> usize {
        self.0.len() + b"\r\n".len()
    }
}

/// Appends a message without headers. Subjects are the caller's to check: a blank or a line break
/// in one would be another operation.
pub fn publish(out: &mut Vec<u8>, subject: &[u8], reply: Option<&[u8]>, body: &[u8]) {
    out.reserve(subject.len() + reply.map_or(0, <[u8]>::len) + body.len() + 32);
    out.extend_from_slice(b"PUB ");
    destination(out, subject, reply);
    number(out, body.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

/// Appends a message with headers.
pub fn publish_with_headers(
    out: &mut Vec<u8>,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: &HeaderBlock,
    body: &[u8],
) {
    let reply = reply.map(|reply| (reply, &b""[..]));
    request(out, subject, reply, headers, body);
}

/// Appends a message with headers, such as a request: its reply subject may have a part that all have
/// and one of its own.
pub fn request(
    out: &mut Vec<u8>,
    subject: &[u8],
    reply: Option<(&[u8], &[u8])>,
    headers: &HeaderBlock,
    body: &[u8],
) {
    let block = headers.wire_len();
    let reply_len = reply.map_or(0, |(common, own)| common.len() + own.len());
    out.reserve(subject.len() + reply_len + block + body.len() + 48);
    out.extend_from_slice(b"HPUB ");
    out.extend_from_slice(subject);
    out.push(b' ');
    if let Some((common, own)) = reply {
        out.extend_from_slice(common);
        out.extend_from_slice(own);
        out.push(b' ');
    }
    number(out, block);
    out.push(b' ');
    number(out, block + body.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&headers.0);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

/// Appends a subscription.
pub fn subscribe(out: &mut Vec<u8>, subject: &str, queue_group: Option<&str>, sid: u64) {
    out.extend_from_slice(b"SUB ");
    destination(out, subject.as_bytes(), queue_group.map(str::as_bytes));
    number(out, sid);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a subscription.
pub fn unsubscribe(out: &mut Vec<u8>, sid: u64) {
    out.extend_from_slice(b"UNSUB ");
    number(out, sid);
    out.extend_from_slice(b"\r\n");
}

/// Appends a question that the server answers with a PONG after everything it sent before.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

/// Appends the answer to the server's PING.
pub fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

/// Appends the login; `options` is a JSON object on one line.
pub fn connect(out: &mut Vec<u8>, options: &[u8]) {
    out.extend_from_slice(b"CONNECT ");
    out.extend_from_slice(options);
    out.extend_from_slice(b"\r\n");
}

/// A subject and what may follow it, each with a blank behind it.
fn destination(out: &mut Vec<u8>, subject: &[u8], second: Option<&[u8]>) {
    out.extend_from_slice(subject);
    out.push(b' ');
    if let Some(second) = second {
        out.extend_from_slice(second);
        out.push(b' ');
    }
}

fn number(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::headers::RawHeaders;
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn operations_are_written_as_the_protocol_says() {
        let plain = |reply| written(|out| publish(out, b"a.b", reply, b"hello"));
        assert_eq!(plain(None), "PUB a.b 5\r\nhello\r\n");
        assert_eq!(plain(Some(b"r")), "PUB a.b r 5\r\nhello\r\n");
        let mut headers = HeaderBlock::default();
        headers.push("A", "1").unwrap();
        headers.push_number("Beamline-Seq", 1024);
        let with = written(|out| publish_with_headers(out, b"a", Some(b"r"), &headers, b"hi"));
        assert_eq!(
            with,
            "HPUB a r 38 40\r\nNATS/1.0\r\nA: 1\r\nBeamline-Seq: 1024\r\n\r\nhi\r\n"
        );
        let request = written(|out| request(out, b"a", Some((b"r.", b"1")), &headers, b"hi"));
        assert_eq!(request, with.replace("a r ", "a r.1 "));
        assert_eq!(
            written(|out| subscribe(out, "a.*", None, 7)),
            "SUB a.* 7\r\n"
        );
        assert_eq!(
            written(|out| subscribe(out, "a", Some("q"), 70)),
            "SUB a q 70\r\n"
        );
        assert_eq!(written(|out| unsubscribe(out, 7)), "UNSUB 7\r\n");
        assert_eq!(written(|out| connect(out, b"{}")), "CONNECT {}\r\n");
    }

    #[test]
    fn numbers_have_their_digits() {
        for value in [0, 9, 10, 1_048_576, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
    }

    #[test]
    fn what_would_break_a_block_is_not_written() {
        let mut headers = HeaderBlock::default();
        for value in ["1\r\nB: 2", "\n", "a\rb"] {
            assert_eq!(headers.push("A", value), Err(BadHeader), "{value:?}");
        }
        assert!(headers.is_empty());
        headers.push("Caf-e", "caf\u{e9}").unwrap();
        let mut wire = headers.0.clone();
        wire.extend_from_slice(b"\r\n");
        assert_eq!(wire.len(), headers.wire_len());
        assert_eq!(
            RawHeaders(&wire).read().unwrap().get("caf-E"),
            Some("caf\u{e9}")
        );
        headers.clear();
        assert_eq!(headers, HeaderBlock::default());
    }
}
