//! What a server sends, read in place from the bytes that have arrived.

use memchr::memchr;
use thiserror::Error;

use super::headers::RawHeaders;

/// The longest control line of an operation that carries no message: `INFO` names every server of a
/// cluster.
const MAX_LINE: usize = 1 << 20;
/// What every control line ends with.
const END: &[u8] = b"\r\n";

/// What one look at the buffer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'b> {
    /// A whole operation, and how many bytes it took.
    Whole(Operation<'b>, usize),
    /// The bytes that the buffer must hold before it is worth parsing again.
    Part(usize),
}

/// One operation of the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'b> {
    /// `INFO`: the JSON document, not parsed.
    Info(&'b [u8]),
    /// `MSG` or `HMSG`.
    Message(Message<'b>),
    /// `PING`: to be answered.
    Ping,
    /// `PONG`: the answer to ours.
    Pong,
    /// `+OK`: only sent to clients that ask for it.
    Ok,
    /// `-ERR`: the text between the quotes.
    Error(&'b [u8]),
}

/// A message as it lies in the buffer. Subjects are bytes: the server does not check that they are
/// UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'b> {
    /// The subject it was published on.
    pub subject: &'b [u8],
    /// The subscription that it is for.
    pub sid: u64,
    /// Where an answer should go.
    pub reply: Option<&'b [u8]>,
    /// Its header block, not parsed.
    pub headers: RawHeaders<'b>,
    /// Its body.
    pub payload: &'b [u8],
}

impl Message<'_> {
    /// Bytes of headers and body.
    pub fn size(&self) -> usize {
        self.headers.0.len() + self.payload.len()
    }
}

/// The bytes are not the protocol; the connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// Neither of the operations that servers send.
    #[error("the server sent an unknown operation")]
    Unknown,
    /// Arguments that are missing, too many, or no numbers.
    #[error("the server sent an operation with wrong arguments")]
    Arguments,
    /// A line without end.
    #[error("the server sent a control line that is too long")]
    LineTooLong,
    /// More than any server allows.
    #[error("the server sent a message larger than any server accepts")]
    TooLarge,
    /// A line or a message that does not end as it must.
    #[error("the server sent an operation that does not end with a line break")]
    NoEnd,
}

/// Reads the operation at the start of `buffer`. A message of more than `max_message` bytes, header
/// block included, is refused before it has arrived.
///
/// # Errors
/// See [`ProtocolError`].
pub fn parse(buffer: &[u8], max_message: usize) -> Result<Parsed<'_>, ProtocolError> {
    let Some(newline) = memchr(b'\n', buffer) else {
        return match buffer.len() {
            0..MAX_LINE => Ok(Parsed::Part(buffer.len() + 1)),
            _ => Err(ProtocolError::LineTooLong),
        };
    };
    if newline >= MAX_LINE {
        return Err(ProtocolError::LineTooLong);
    }
    let taken = newline + 1;
    let line = buffer.get(..newline).unwrap_or_default();
    let line = line.strip_suffix(b"\r").ok_or(ProtocolError::NoEnd)?;
    let (name, arguments) = split_name(line);
    // First: nearly everything is a message.
    let with_headers = name.eq_ignore_ascii_case(b"HMSG");
    if with_headers || name.eq_ignore_ascii_case(b"MSG") {
        return message(buffer, taken, arguments, with_headers, max_message);
    }
    let operation = if name.eq_ignore_ascii_case(b"PING") {
        Operation::Ping
    } else if name.eq_ignore_ascii_case(b"PONG") {
        Operation::Pong
    } else if name.eq_ignore_ascii_case(b"+OK") {
        Operation::Ok
    } else if name.eq_ignore_ascii_case(b"INFO") {
        Operation::Info(arguments)
    } else if name.eq_ignore_ascii_case(b"-ERR") {
        Operation::Error(unquoted(arguments))
    } else {
        return Err(ProtocolError::Unknown);
    };
    Ok(Parsed::Whole(operation, taken))
}

/// The message at the start of `buffer`, whose control line has `line` bytes and these `arguments`:
/// `<subject> <sid> [reply] <bytes>`, or
/// `<subject> <sid> [reply] <bytes of headers> <bytes in all>`.
fn message<'b>(
    buffer: &'b [u8],
    line: usize,
    arguments: &'b [u8],
    with_headers: bool,
    max_message: usize,
) -> Result<Parsed<'b>, ProtocolError> {
    let fields = arguments.split(|byte| is_blank(*byte));
    let mut fields = fields.filter(|field| !field.is_empty());
    let no_headers = Some(&b"0"[..]);
    let (subject, sid) = (fields.next(), fields.next());
    let (reply, headers, total) = match (fields.next(), fields.next()) {
        (first, second) if with_headers => match fields.next() {
            None => (None, first, second),
            third => (first, second, third),
        },
        (total, None) => (None, no_headers, total),
        (reply, total) => (reply, no_headers, total),
    };
    let size = |field: Option<&[u8]>| usize::try_from(field.and_then(number)?).ok();
    let (Some(subject), Some(sid), Some(headers), Some(total), None) = (
        subject,
        sid.and_then(number),
        size(headers),
        size(total),
        fields.next(),
    ) else {
        return Err(ProtocolError::Arguments);
    };
    if headers > total {
        return Err(ProtocolError::Arguments);
    }
    if total > max_message {
        return Err(ProtocolError::TooLarge);
    }
    let end = line + total;
    let taken = end + END.len();
    let Some(tail) = buffer.get(end..taken) else {
        return Ok(Parsed::Part(taken));
    };
    if tail != END {
        return Err(ProtocolError::NoEnd);
    }
    let body = buffer.get(line..end).unwrap_or_default();
    let (headers, payload) = body.split_at_checked(headers).unwrap_or_default();
    let message = Message {
        subject,
        sid,
        reply,
        headers: RawHeaders(headers),
        payload,
    };
    Ok(Parsed::Whole(Operation::Message(message), taken))
}

fn split_name(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| is_blank(*byte));
    let end = end.unwrap_or(line.len());
    let (name, arguments) = line.split_at_checked(end).unwrap_or_default();
    (name, arguments.trim_ascii())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The text of an error: servers put it in single quotes.
fn unquoted(text: &[u8]) -> &[u8] {
    let inner = text.strip_prefix(b"'");
    let inner = inner.and_then(|text| text.strip_suffix(b"'"));
    inner.unwrap_or(text)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
