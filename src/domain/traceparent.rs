//! The place of a call in a distributed trace: W3C Trace Context, level 2.
//!
//! Each attempt gets a span id, recorded or not, so that the spans of an extension belong to the
//! right attempt of the right caller.

use std::fmt;
use std::str;

/// Bits of the flags that are passed on: sampled and random-trace-id. All others must be zero.
const KNOWN_FLAGS: u8 = 0b11;
const SAMPLED: u8 = 0b01;
const RANDOM_TRACE_ID: u8 = 0b10;

/// The id of a span, not zero where it is one.
pub type SpanId = [u8; 8];

/// A valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: SpanId,
    flags: u8,
}

/// Random bytes for a new trace and a new span.
#[derive(Debug, Clone, Copy)]
pub struct TraceSeed {
    /// The id of the trace, if one has to begin.
    pub trace_id: [u8; 16],
    /// The id of the span.
    pub span_id: SpanId,
}

/// The headers that go on to the extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceHeaders<'a> {
    /// `traceparent`, as its `Display` text.
    pub traceparent: TraceParent,
    /// `tracestate`: the caller's, if it is ASCII, and only beside its valid `traceparent`.
    pub tracestate: Option<&'a str>,
}

impl<'a> TraceHeaders<'a> {
    /// The headers of an attempt: a child of the caller's, or a new trace when the caller's
    /// `traceparent` is absent or invalid.
    pub fn of_attempt(
        traceparent: Option<&str>,
        tracestate: Option<&'a str>,
        seed: TraceSeed,
    ) -> Self {
        let caller = traceparent.and_then(TraceParent::parse);
        let child = caller.map(|caller| caller.child(seed.span_id));
        Self {
            traceparent: child.unwrap_or_else(|| TraceParent::begin(seed)),
            tracestate: tracestate.filter(|state| child.is_some() && is_ascii_text(state)),
        }
    }
}

impl TraceParent {
    /// Reads a header; `None` when by the standard the trace has to start anew. Versions
    /// above 00 may have more fields, which are not passed on.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = text.split_once('-')?;
        let [version] = lower_hex(version)?;
        let (trace_id, rest) = rest.split_once('-')?;
        let (parent_id, rest) = rest.split_once('-')?;
        let flags = match (version, rest.split_once('-')) {
            (0xff, _) | (0, Some(_)) => return None,
            (_, Some((flags, _))) => flags,
            (_, None) => rest,
        };
        let [flags] = lower_hex(flags)?;
        let parent = Self {
            trace_id: lower_hex(trace_id)?,
            parent_id: lower_hex(parent_id)?,
            flags: flags & KNOWN_FLAGS,
        };
        let valid = parent.trace_id != [0; 16] && parent.parent_id != [0; 8];
        valid.then_some(parent)
    }

    /// A trace that begins here. It is not marked as sampled: most often nothing of it is recorded.
    pub fn begin(seed: TraceSeed) -> Self {
        Self {
            trace_id: non_zero(seed.trace_id),
            parent_id: non_zero(seed.span_id),
            flags: RANDOM_TRACE_ID,
        }
    }

    /// The same trace, one span further.
    pub fn child(self, span_id: SpanId) -> Self {
        Self {
            parent_id: non_zero(span_id),
            ..self
        }
    }

    /// The same, for everyone who takes part to record.
    pub fn sampled(self) -> Self {
        Self {
            flags: self.flags | SAMPLED,
            ..self
        }
    }

    /// Whether its sender records the trace.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The id of the trace.
    pub fn trace_id(self) -> [u8; 16] {
        self.trace_id
    }

    /// The id of the span that sends it.
    pub fn span_id(self) -> SpanId {
        self.parent_id
    }

    /// The flags that are passed on.
    pub fn flags(self) -> u8 {
        self.flags
    }

    /// How long its text is.
    pub const BYTES: usize = 55;

    /// Its text, in `buffer`.
    pub fn text(self, buffer: &mut [u8; Self::BYTES]) -> &str {
        let parts: [&[u8]; 4] = [&[0], &self.trace_id, &self.parent_id, &[self.flags]];
        let mut places = buffer.iter_mut();
        let mut put = |byte| {
            if let Some(place) = places.next() {
                *place = byte;
            }
        };
        for (position, part) in parts.into_iter().enumerate() {
            if position > 0 {
                put(b'-');
            }
            for byte in part {
                put(hex(byte >> 4));
                put(hex(byte & 0xf));
            }
        }
        str::from_utf8(buffer).unwrap_or_default()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; Self::BYTES]))
    }
}

/// An id of zeros means none; random bytes are that once in 2^64.
fn non_zero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id == [0; N]
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}

/// Whether it is what the standard allows in `tracestate`. Several clients lose the headers behind
/// any other text, and it is the extension that would do without its deadline.
fn is_ascii_text(state: &str) -> bool {
    let printable = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    !state.is_empty() && state.bytes().all(printable)
}

/// Exactly `N` bytes in lower-case hexadecimal; the standard knows no upper case.
fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// Digit by digit: every attempt writes one of these, and the formatting machinery is slow.
fn hex(nibble: u8) -> u8 {
    match nibble {
        0..10 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const SEED: TraceSeed = TraceSeed {
        trace_id: [0xab; 16],
        span_id: [0xcd; 8],
    };
    const CHILD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-cdcdcdcdcdcdcdcd-01";
    const NEW: &str = "00-abababababababababababababababab-cdcdcdcdcdcdcdcd-02";

    #[test]
    fn a_child_or_a_new_trace() {
        let future = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (caller, expected) in [
            (CALLER.to_owned(), CHILD),
            (future.to_owned(), CHILD),
            (format!("{future}-what-the-future-will-be-like"), CHILD),
            (CALLER.replace("-01", "-fd"), CHILD),
            (format!("{future}.x"), NEW),
            (format!("{CALLER}-"), NEW),
            (format!("{CALLER}-x"), NEW),
            (format!(" {CALLER}"), NEW),
            (CALLER.replacen("00", "ff", 1), NEW),
            (CALLER.replacen("00", "0", 1), NEW),
            (CALLER.to_uppercase(), NEW),
            (CALLER.replace('f', "g"), NEW),
            (CALLER.replace("00f067aa0ba902b7", "0000000000000000"), NEW),
            (
                CALLER.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
                NEW,
            ),
            (CALLER.replace("-01", ""), NEW),
            (CALLER.replace("-01", "-1"), NEW),
            (CALLER.replace("4bf9", "4b\u{e4}"), NEW),
            (String::new(), NEW),
        ] {
            let headers = TraceHeaders::of_attempt(Some(&caller), None, SEED);
            assert_eq!(headers.traceparent.to_string(), expected, "{caller}");
        }
        let absent = TraceHeaders::of_attempt(None, None, SEED);
        assert_eq!(absent.traceparent.to_string(), NEW);
    }

    #[test]
    fn tracestate_goes_on_only_beside_a_valid_traceparent() {
        for (caller, state, expected) in [
            (Some(CALLER), Some("a=1,b=2"), Some("a=1,b=2")),
            (Some(CALLER), Some("a=~,\tb@c= 2"), Some("a=~,\tb@c= 2")),
            (Some(CALLER), Some("a=caf\u{e9}"), None),
            (Some(CALLER), Some("a=\u{7}1"), None),
            (Some(CALLER), Some(""), None),
            (Some(CALLER), None, None),
            (Some("broken"), Some("a=1"), None),
            (None, Some("a=1"), None),
        ] {
            let headers = TraceHeaders::of_attempt(caller, state, SEED);
            assert_eq!(headers.tracestate, expected, "{caller:?} {state:?}");
        }
    }

    #[test]
    fn ids_are_never_zero() {
        let zeros = TraceSeed {
            trace_id: [0; 16],
            span_id: [0; 8],
        };
        let headers = TraceHeaders::of_attempt(None, None, zeros);
        let text = headers.traceparent.to_string();
        assert_eq!(TraceParent::parse(&text), Some(headers.traceparent));
    }

    proptest! {
        #[test]
        fn what_is_sent_is_valid(
            caller in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,5})?",
            trace_id: [u8; 16],
            span_id: [u8; 8],
        ) {
            let seed = TraceSeed { trace_id, span_id };
            let sent = TraceHeaders::of_attempt(Some(&caller), None, seed).traceparent;
            prop_assert_eq!(TraceParent::parse(&sent.to_string()), Some(sent));
            prop_assert_eq!(sent.to_string().len(), 55);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,60}") {
            TraceParent::parse(&text);
        }
    }
}
