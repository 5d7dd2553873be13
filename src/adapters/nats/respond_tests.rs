use std::sync::Mutex;

use super::*;
use crate::config::SourceMode;
use crate::service::observe::Observer;

/// Why requests were not answered.
#[derive(Default)]
struct Drops(Mutex<Vec<DropReason>>);

impl Observer for Drops {
    fn observe(&self, observation: &Observation) {
        if let Observation::Dropped { reason, .. } = observation {
            self.0.lock().unwrap().push(*reason);
        }
    }
}

fn respond(drops: &Arc<Drops>) -> Respond {
    let observers = Observers::new(vec![Box::new(Arc::clone(drops))]);
    let rules = ReplyRules {
        prefixes: vec!["_INBOX.".to_owned()],
        own: "_INBOX.own.".to_owned(),
        observers,
    };
    let status = Status::new(SourceMode::Fixtures, PATIENCE);
    Respond::new(rules, Arc::new(status))
}

/// What `append` appends for a server that takes `max_payload`, and what is counted.
fn appended(
    max_payload: usize,
    append: impl FnOnce(&Respond, &mut Out<'_>),
) -> (String, Vec<DropReason>) {
    let drops = Arc::<Drops>::default();
    let (mut bytes, mut headers) = (Vec::new(), HeaderBlock::default());
    let mut out = Out {
        bytes: &mut bytes,
        headers: &mut headers,
        max_payload,
    };
    append(&respond(&drops), &mut out);
    let counted = std::mem::take(&mut *drops.0.lock().unwrap());
    (String::from_utf8(bytes).unwrap(), counted)
}

/// CASES.md B11: a server closes the connection when a message is too large.
#[test]
fn an_error_is_as_short_as_it_must_be_and_never_too_large() {
    let error = RegistryError::field("id", "is missing".repeat(10));
    let id = "c".repeat(128);
    let mut answers = Vec::new();
    for max_payload in 0..600 {
        let (message, counted) = appended(max_payload, |respond, out| {
            respond.append_error(out, b"r", &error, |block| {
                block.push("Beamline-Call-Id", &id).unwrap();
            });
        });
        if message.is_empty() {
            assert_eq!(counted, [DropReason::PublishFailed], "{max_payload}");
            continue;
        }
        let (line, rest) = message.split_once("\r\n").unwrap();
        let total: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert_eq!(total + b"\r\n".len(), rest.len());
        assert!(total <= max_payload && counted.is_empty(), "{max_payload}");
        assert!(rest.contains("Nats-Service-Error-Code: 400\r\n"), "{rest}");
        let whole = (rest.contains(&id), rest.contains("is missing"));
        if answers.last() != Some(&whole) {
            answers.push(whole);
        }
    }
    assert_eq!(answers.first(), Some(&(false, false)), "{answers:?}");
    assert_eq!(answers.last(), Some(&(true, true)), "{answers:?}");
}

#[test]
fn an_answer_without_a_body_counts_its_headers() {
    let end = |respond: &Respond, out: &mut Out<'_>| {
        let headers = |block: &mut HeaderBlock| block.push_number("Beamline-Seq", 1);
        let appended = respond.append_message(out, b"r", None, headers, b"");
        assert_eq!(appended.is_ok(), out.max_payload >= 29);
    };
    for max_payload in [28, 29] {
        let (message, counted) = appended(max_payload, end);
        assert_eq!(message.is_empty(), max_payload == 28);
        assert!(counted.is_empty(), "its caller answers with an error");
    }
}

/// The caller's control line may be as long as the server takes, and ours has a subject more.
#[test]
fn a_reply_subject_of_our_own_is_left_out_where_the_line_would_be_too_long() {
    let back = "_INBOX.".to_owned() + &"b".repeat(65);
    for (length, has_back) in [(10, true), (3_988, true), (3_989, false), (4_060, false)] {
        let reply = "r".repeat(length);
        for number in [None, Some(1)] {
            let (message, _) = appended(1 << 20, |respond, out| {
                let (reply, back) = (reply.as_bytes(), Some(back.as_bytes()));
                let headers = |block: &mut HeaderBlock| {
                    if let Some(number) = number {
                        block.push_number("Beamline-Seq", number);
                    }
                };
                let sent = respond.append_message(out, reply, back, headers, b"chunk");
                sent.unwrap();
            });
            let (line, _) = message.split_once("\r\n").unwrap();
            assert!(line.len() < 4_096, "{length}: {} bytes", line.len());
            assert_eq!(line.contains(&back), has_back, "{length}");
            assert!(line.contains(&reply), "{length}");
        }
    }
}
