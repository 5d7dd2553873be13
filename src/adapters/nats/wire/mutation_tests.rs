//! Streams of a server's with damage done to them: no panic, no growth, and however the bytes
//! arrive, they hold the same operations.
//!
//! `just exhaustive` has ten million of them. The generator is seeded: a stream that fails is in the
//! message, and comes again.

use std::ops::Range;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::info::Login;
use super::operation::{Operation, Parsed, ProtocolError, parse};
use super::session::{Session, Step};

/// What a server with default settings accepts.
const MAX_MESSAGE: usize = 1 << 20;
/// No stream here is longer, damaged or not.
const LONGEST_STREAM: usize = 4096;
/// More than one operation can add to what is sent: a login, or the answer to a PING.
const MOST_SAID: usize = 512;

/// Where damage is most likely to be understood as something else.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b"'",
    b":",
    b"\0",
    b"\xff",
    b"MSG ",
    b"HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    b"PING\r\n",
    b"PONG\r\n",
    b"-ERR 'Stale Connection'\r\n",
    b"INFO {}\r\n",
    b"NATS/1.0\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"\r\n\r\n",
];
/// Sizes and subscriptions that no server would send.
const NUMBERS: &[&[u8]] = &[
    b"0",
    b"1",
    b"2",
    b"12",
    b"007",
    b"65536",
    b"1048576",
    b"1048577",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-1",
    b"+1",
    b"1.0",
    b"",
];

/// `just exhaustive` asks for more than every test run can afford.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of this test, not a setting of the daemon"
)]
fn streams() -> u64 {
    match std::env::var("BEAMLINE_EXHAUSTIVE").as_deref() {
        Ok("1") => 10_000_000,
        _ => 4000,
    }
}

#[test]
fn however_a_damaged_stream_arrives_it_holds_the_same_operations() {
    let (began, streams) = (Instant::now(), streams());
    let mut random = StdRng::seed_from_u64(1);
    let mut connection = Connection::default();
    let (mut stream, mut operations, mut refused) = (Vec::new(), 0, 0);
    for _ in 0..streams {
        write_stream(&mut random, &mut stream);
        for _ in 0..random.random_range(0..4) {
            damage(&mut random, &mut stream);
        }
        stream.truncate(LONGEST_STREAM);
        let whole = Reading::of(&stream);
        whole.depends_on_no_end(&stream);
        connection.receive(&stream, &whole, || 1);
        connection.receive(&stream, &whole, || random.random_range(1..100));
        is_taken_in(&whole);
        operations += whole.operations.len();
        refused += u64::from(whole.refused.is_some());
    }
    // Streams of one kind alone would show nothing of the other.
    assert!(refused > streams / 10 && refused < streams - streams / 10);
    let capacity = connection.unread.capacity();
    assert!(capacity <= MAX_MESSAGE + LONGEST_STREAM, "{capacity}");
    eprintln!(
        "{streams} streams, {operations} operations, {refused} streams refused; \
         a buffer of {capacity} bytes; {:.0?}",
        began.elapsed()
    );
}

/// What a stream holds when all of it is there.
struct Reading<'s> {
    /// Each with its bytes.
    operations: Vec<(Range<usize>, Operation<'s>)>,
    /// Why the rest is not the protocol; else the rest is the begin of an operation, or nothing.
    refused: Option<ProtocolError>,
}

impl<'s> Reading<'s> {
    fn of(stream: &'s [u8]) -> Self {
        let (mut operations, mut start) = (Vec::new(), 0);
        loop {
            match parse(&stream[start..], MAX_MESSAGE) {
                Ok(Parsed::Whole(operation, taken)) => {
                    operations.push((start..start + taken, operation));
                    start += taken;
                }
                last => {
                    let refused = last.err();
                    return Self {
                        operations,
                        refused,
                    };
                }
            }
        }
    }

    /// Looks at each operation with every number of bytes that may be there by then. A reader that
    /// is given the stream in any pieces sees nothing but these: so all splits are the same.
    fn depends_on_no_end(&self, stream: &[u8]) {
        let mut rest = 0;
        for (bytes, operation) in &self.operations {
            for end in bytes.start..=stream.len() {
                let there = &stream[bytes.start..end];
                match parse(there, MAX_MESSAGE) {
                    Ok(Parsed::Part(needed)) if end < bytes.end => {
                        let missing = there.len() + 1..=bytes.len();
                        assert!(missing.contains(&needed), "{needed}: {}", shown(there));
                    }
                    Ok(Parsed::Whole(same, taken)) if end >= bytes.end => {
                        assert_eq!((same, taken), (*operation, bytes.len()));
                    }
                    other => panic!("{other:?}: {}", shown(there)),
                }
            }
            rest = bytes.end;
        }
        let mut refused = None;
        for end in rest..=stream.len() {
            let there = &stream[rest..end];
            match parse(there, MAX_MESSAGE) {
                Ok(Parsed::Part(needed)) if refused.is_none() => {
                    let missing = there.len() + 1..=there.len() + MAX_MESSAGE + b"\r\n".len();
                    assert!(missing.contains(&needed), "{needed}: {}", shown(there));
                }
                // What has been refused once is refused whatever follows.
                Err(error) if refused.is_none_or(|known| known == error) => refused = Some(error),
                other => panic!("{other:?}: {}", shown(there)),
            }
        }
        assert_eq!(refused, self.refused, "{}", shown(stream));
    }
}

/// The receiving end of one connection, whose buffer outlives all streams.
#[derive(Default)]
struct Connection {
    unread: Vec<u8>,
}

impl Connection {
    /// Receives `stream` in pieces of the lengths that `next` gives, and reads what `whole` says.
    fn receive(&mut self, stream: &[u8], whole: &Reading<'_>, mut next: impl FnMut() -> usize) {
        self.unread.clear();
        let (mut expected, mut arriving) = (whole.operations.iter(), stream);
        while !arriving.is_empty() {
            let (piece, later) = arriving.split_at(next().min(arriving.len()));
            self.unread.extend_from_slice(piece);
            arriving = later;
            loop {
                let taken = match parse(&self.unread, MAX_MESSAGE) {
                    Ok(Parsed::Whole(operation, taken)) => {
                        let expected = expected.next().map(|(_, operation)| *operation);
                        assert_eq!(Some(operation), expected, "{}", shown(stream));
                        taken
                    }
                    Ok(Parsed::Part(needed)) => {
                        self.unread.reserve_exact(needed - self.unread.len());
                        break;
                    }
                    Err(error) => {
                        assert_eq!(Some(error), whole.refused, "{}", shown(stream));
                        assert!(expected.next().is_none(), "{}", shown(stream));
                        return;
                    }
                };
                self.unread.drain(..taken);
            }
        }
        assert!(expected.next().is_none(), "{}", shown(stream));
        assert_eq!(whole.refused, None, "{}", shown(stream));
    }
}

/// A session takes the operations, and header blocks are read: it says little, and once only.
fn is_taken_in(whole: &Reading<'_>) {
    let mut session = Session::new(false, Instant::now());
    let mut out = Vec::new();
    for (_, operation) in &whole.operations {
        if let Operation::Message(message) = operation
            && let Ok(headers) = message.headers.read()
        {
            assert!(headers.iter().all(|(name, _)| headers.get(name).is_some()));
        }
        out.clear();
        match session.take(*operation, &mut out) {
            Ok(Step::Greeted { secure }) => {
                session.log_in("test", &Login::default(), secure, &mut out);
            }
            Ok(_) => {}
            Err(_) => break,
        }
        assert!(out.len() <= MOST_SAID, "{}", shown(&out));
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A valid stream: most begin as a connection does.
fn write_stream(random: &mut StdRng, stream: &mut Vec<u8>) {
    stream.clear();
    if random.random_ratio(3, 4) {
        stream.extend_from_slice(b"INFO {\"headers\":true,\"max_payload\":1048576}\r\nPONG\r\n");
    }
    for _ in 0..random.random_range(1..6) {
        match random.random_range(0..12) {
            0..4 => write_message(random, stream, false),
            4..8 => write_message(random, stream, true),
            8 => stream.extend_from_slice(pick(random, &[b"PING\r\n", b"ping \r\n"])),
            9 => stream.extend_from_slice(pick(random, &[b"PONG\r\n", b"+OK\r\n"])),
            10 => stream.extend_from_slice(pick(
                random,
                &[
                    b"-ERR 'Stale Connection'\r\n",
                    b"-ERR 'Permissions Violation for Publish to \"a.b\"'\r\n",
                    b"-ERR 'Authorization Violation'\r\n",
                ],
            )),
            _ => stream.extend_from_slice(pick(
                random,
                &[
                    b"INFO {\"headers\":true,\"ldm\":true,\"connect_urls\":[\"a:1\",\"[::1]:2\"]}\r\n",
                    b"INFO {\"headers\":true,\"nonce\":\"n\",\"max_payload\":-1}\r\n",
                ],
            )),
        }
    }
}

fn write_message(random: &mut StdRng, stream: &mut Vec<u8>, has_headers: bool) {
    let mut body = Vec::new();
    if has_headers {
        body.extend_from_slice(pick(
            random,
            &[
                b"NATS/1.0\r\n",
                b"NATS/1.0 503\r\n",
                b"NATS/1.0 100 Idle Heartbeat\r\n",
            ],
        ));
        for _ in 0..random.random_range(0..3) {
            body.extend_from_slice(pick(
                random,
                &[
                    b"Beamline-Actor: alice\r\n",
                    b"A:\r\n",
                    b"traceparent:  00-ab-cd-01 \r\n",
                ],
            ));
        }
        body.extend_from_slice(b"\r\n");
    }
    let headers = body.len();
    let payload = pick(
        random,
        &[
            b"",
            b"mask_pii",
            b"{\"id\":\"mask_pii\"}",
            b"\r\nPING\r\n",
            b"\0\xff",
        ],
    );
    for _ in 0..random.random_range(0..3) {
        body.extend_from_slice(payload);
    }
    let subject = pick(
        random,
        &[b"a", b"beamline.registry.lookup", b"_INBOX.x.\xff"],
    );
    let reply = pick(random, &[b"", b"_INBOX.a.1 ", b"r  "]);
    let sid = random.random_range(1..12);
    let name: &[u8] = if has_headers { b"HMSG " } else { b"MSG\t" };
    for part in [name, subject, b" ", sid.to_string().as_bytes(), b" ", reply] {
        stream.extend_from_slice(part);
    }
    if has_headers {
        stream.extend_from_slice(format!("{headers} ").as_bytes());
    }
    stream.extend_from_slice(format!("{}\r\n", body.len()).as_bytes());
    stream.extend_from_slice(&body);
    stream.extend_from_slice(b"\r\n");
}

/// Changes a byte or a part of the stream.
fn damage(random: &mut StdRng, stream: &mut Vec<u8>) {
    if stream.is_empty() {
        return;
    }
    let at = random.random_range(0..stream.len());
    let part = at..(at + random.random_range(1..20)).min(stream.len());
    match random.random_range(0..9) {
        0 => stream[at] = random.random(),
        1 => stream[at] ^= 1 << random.random_range(0..8),
        2 => drop(stream.remove(at)),
        3 => stream.insert(at, random.random()),
        4 => drop(stream.drain(part)),
        5 => {
            let again = stream[part].to_vec();
            drop(stream.splice(at..at, again));
        }
        6 => stream.truncate(at),
        7 => {
            let piece = pick(random, PIECES);
            drop(stream.splice(at..at, piece.iter().copied()));
        }
        _ => {
            // The next number, wherever it stands.
            let digits = stream[at..].iter().position(u8::is_ascii_digit);
            let start = at + digits.unwrap_or(0);
            let rest = &stream[start..];
            let len = rest.iter().position(|byte| !byte.is_ascii_digit());
            let number = pick(random, NUMBERS);
            drop(stream.splice(
                start..start + len.unwrap_or(rest.len()),
                number.iter().copied(),
            ));
        }
    }
}

fn pick<'a>(random: &mut StdRng, of: &[&'a [u8]]) -> &'a [u8] {
    of.choose(random).unwrap()
}
