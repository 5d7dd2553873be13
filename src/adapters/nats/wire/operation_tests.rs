use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 20;

fn whole(bytes: &[u8]) -> Operation<'_> {
    match parse(bytes, MAX) {
        Ok(Parsed::Whole(operation, taken)) => {
            assert_eq!(taken, bytes.len());
            operation
        }
        other => panic!("{other:?}"),
    }
}

fn message<'b>(
    subject: &'b str,
    reply: Option<&'b str>,
    headers: &'b str,
    payload: &'b str,
) -> Operation<'b> {
    Operation::Message(Message {
        subject: subject.as_bytes(),
        sid: 9,
        reply: reply.map(str::as_bytes),
        headers: RawHeaders(headers.as_bytes()),
        payload: payload.as_bytes(),
    })
}

#[test]
fn each_operation_is_read() {
    for (bytes, operation) in [
        (
            "MSG a.b 9 5\r\nhello\r\n",
            message("a.b", None, "", "hello"),
        ),
        ("MSG a 9 r.1 0\r\n\r\n", message("a", Some("r.1"), "", "")),
        (
            "msg\ta  9 r  2\r\n\r\n\r\n",
            message("a", Some("r"), "", "\r\n"),
        ),
        (
            "HMSG a 9 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
            message("a", Some("r"), "NATS/1.0\r\n\r\n", "hi"),
        ),
        (
            "HMSG a 9 12 12\r\nNATS/1.0\r\n\r\n\r\n",
            message("a", None, "NATS/1.0\r\n\r\n", ""),
        ),
        ("PING\r\n", Operation::Ping),
        ("pong\r\n", Operation::Pong),
        ("+OK\r\n", Operation::Ok),
        ("INFO {\"a\": 1}\r\n", Operation::Info(b"{\"a\": 1}")),
        (
            "-ERR 'Stale Connection'\r\n",
            Operation::Error(b"Stale Connection"),
        ),
        ("-ERR odd'\r\n", Operation::Error(b"odd'")),
    ] {
        assert_eq!(whole(bytes.as_bytes()), operation, "{bytes:?}");
    }
}

#[test]
fn what_is_not_the_protocol_is_an_error_of_the_connection() {
    for (bytes, error) in [
        ("HELLO\r\n", ProtocolError::Unknown),
        ("\r\n", ProtocolError::Unknown),
        ("PING\n", ProtocolError::NoEnd),
        ("MSG a 9\r\n", ProtocolError::Arguments),
        ("MSG a x 1\r\n", ProtocolError::Arguments),
        ("MSG a 9 r 1 2\r\n", ProtocolError::Arguments),
        ("MSG a 9 -1\r\n", ProtocolError::Arguments),
        (
            "MSG a 99999999999999999999999 1\r\n",
            ProtocolError::Arguments,
        ),
        ("HMSG a 9 13 12\r\n", ProtocolError::Arguments),
        ("HMSG a 9 r 1 2 3\r\n", ProtocolError::Arguments),
        ("MSG a 9 1048577\r\n", ProtocolError::TooLarge),
        ("MSG a 9 18446744073709551615\r\n", ProtocolError::TooLarge),
        ("MSG a 9 2\r\nhi!!", ProtocolError::NoEnd),
    ] {
        assert_eq!(parse(bytes.as_bytes(), MAX), Err(error), "{bytes:?}");
    }
    let endless = vec![b'x'; MAX_LINE];
    assert_eq!(parse(&endless, MAX), Err(ProtocolError::LineTooLong));
}

#[test]
fn a_part_says_how_much_is_missing() {
    assert_eq!(parse(b"", MAX), Ok(Parsed::Part(1)));
    assert_eq!(parse(b"MSG a 9 5", MAX), Ok(Parsed::Part(10)));
    assert_eq!(parse(b"MSG a 9 5\r\nhel", MAX), Ok(Parsed::Part(18)));
    assert_eq!(parse(b"MSG a 9 5\r\nhello\r", MAX), Ok(Parsed::Part(18)));
}

/// Every operation of a stream as text, reading from buffers that end where `splits` say.
fn read_in_pieces(stream: &[u8], splits: &[usize]) -> Vec<String> {
    let mut ends: Vec<usize> = splits.iter().map(|at| at % (stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    let (mut start, mut read) = (0, Vec::new());
    for end in ends {
        loop {
            match parse(&stream[start..end], MAX) {
                Ok(Parsed::Whole(operation, taken)) => {
                    assert!(taken > 0 && taken <= end - start);
                    read.push(format!("{operation:?}"));
                    start += taken;
                }
                Ok(Parsed::Part(needed)) => {
                    assert!(needed > end - start);
                    break;
                }
                Err(error) => {
                    read.push(format!("{error:?}"));
                    return read;
                }
            }
        }
    }
    read
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let operation = prop_oneof![
        (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..60)).prop_map(|(sid, body)| {
            let head = format!("MSG s.{sid} {sid} {}\r\n", body.len());
            [head.as_bytes(), &body, b"\r\n"].concat()
        }),
        (
            any::<u16>(),
            proptest::collection::vec(any::<u8>(), 0..60),
            0usize..60
        )
            .prop_map(|(sid, body, headers)| {
                let headers = headers.min(body.len());
                let head = format!("HMSG s {sid} r.{sid} {headers} {}\r\n", body.len());
                [head.as_bytes(), &body, b"\r\n"].concat()
            }),
        Just(b"PING\r\n".to_vec()),
        Just(b"INFO {\"max_payload\":1048576}\r\n".to_vec()),
        Just(b"-ERR 'Unknown Protocol Operation'\r\n".to_vec()),
    ];
    proptest::collection::vec(operation, 1..12).prop_map(|operations| operations.concat())
}

/// The same stream with bytes changed, left out or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<proptest::sample::Index>(), any::<u8>(), 0u8..3);
    (stream(), proptest::collection::vec(change, 0..4)).prop_map(|(mut bytes, changes)| {
        for (at, byte, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn however_a_stream_arrives_it_holds_the_same_operations(
        stream in prop_oneof![stream(), mutated(), proptest::collection::vec(any::<u8>(), 0..200)],
        splits in proptest::collection::vec(any::<usize>(), 0..10),
    ) {
        let at_once = read_in_pieces(&stream, &[]);
        prop_assert_eq!(&read_in_pieces(&stream, &splits), &at_once);
        let each_byte: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(&read_in_pieces(&stream, &each_byte), &at_once);
    }
}
