//! What a server sends, as one stream: read whole and read in pieces, it holds the same operations.
#![no_main]

use std::hash::{DefaultHasher, Hash, Hasher};

use beamline_registry::adapters::nats::wire::operation::{Operation, Parsed, ProtocolError, parse};
use libfuzzer_sys::fuzz_target;

/// Small, so that a size is soon too large.
const MAX_MESSAGE: usize = 64 * 1024;

fuzz_target!(|input: &[u8]| {
    arrives(input);
    // Sizes seldom fit what follows once they are damaged: so the same as the body of a message.
    arrives(&framed(input));
});

fn arrives(stream: &[u8]) {
    let whole = read(stream, &[]);
    for operation in &whole.operations {
        read_headers(operation);
    }
    let each_byte: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(read(stream, &each_byte), whole);
    assert_eq!(read(stream, &some_ends(stream)), whole);
}

/// A message with `body`, of which all up to an empty line is its header block.
fn framed(body: &[u8]) -> Vec<u8> {
    let end = body.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let headers = end.map_or(body.len(), |end| end + 4);
    let line = format!("HMSG a 1 {headers} {}\r\n", body.len());
    [line.as_bytes(), body, b"\r\nPING\r\n"].concat()
}

/// The operations of a stream, and why its rest is none.
#[derive(Debug, PartialEq)]
struct Reading<'s> {
    operations: Vec<Operation<'s>>,
    refused: Option<ProtocolError>,
}

/// Reads `stream`, of which more and more is there: first to the first of `ends`, at last all.
fn read<'s>(stream: &'s [u8], ends: &[usize]) -> Reading<'s> {
    let (mut operations, mut start, mut needed) = (Vec::new(), 0, 0);
    for end in ends.iter().copied().chain([stream.len()]) {
        loop {
            let there = &stream[start..end.max(start)];
            match parse(there, MAX_MESSAGE) {
                Ok(Parsed::Whole(operation, taken)) => {
                    assert!(taken > 0 && taken <= there.len());
                    // What was asked for was not too much: a reader that waits for it gets on.
                    assert!(needed <= taken, "{needed} for {taken}");
                    operations.push(operation);
                    (start, needed) = (start + taken, 0);
                }
                Ok(Parsed::Part(more)) => {
                    assert!(more > there.len() && more >= needed);
                    assert!(more <= there.len() + MAX_MESSAGE + 2, "no bound");
                    needed = more;
                    break;
                }
                Err(error) => {
                    let refused = Some(error);
                    return Reading {
                        operations,
                        refused,
                    };
                }
            }
        }
    }
    Reading {
        operations,
        refused: None,
    }
}

/// A few ends, which change with every byte of the stream.
fn some_ends(stream: &[u8]) -> Vec<usize> {
    let ends = (0..8u8).map(|round| {
        let mut hasher = DefaultHasher::new();
        (round, stream).hash(&mut hasher);
        usize::try_from(hasher.finish() % (stream.len() as u64 + 1)).unwrap()
    });
    let mut ends: Vec<_> = ends.collect();
    ends.sort_unstable();
    ends
}

fn read_headers(operation: &Operation<'_>) {
    let Operation::Message(message) = operation else {
        return;
    };
    let Ok(headers) = message.headers.read() else {
        return;
    };
    assert_eq!(headers.is_empty(), headers.iter().next().is_none());
    for (name, value) in headers.iter() {
        assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']));
        assert!(headers.get(name).is_some());
        assert!(headers.get(&name.to_ascii_uppercase()).is_some());
    }
}
