use super::*;
use crate::config::SourceMode;
use crate::service::observe::Observers;

fn respond() -> Respond {
    let observers = Observers::new(Vec::new());
    let rules = ReplyRules::new(vec!["_INBOX.".to_owned()], observers);
    let status = Status::new(SourceMode::Fixtures, PATIENCE);
    Respond::new(Arc::new(rules), Arc::new(status))
}

/// What `append` appends for a server that takes `max_payload`.
fn appended(max_payload: usize, append: impl FnOnce(&Respond, &mut Out<'_>)) -> String {
    let (mut bytes, mut headers) = (Vec::new(), HeaderBlock::default());
    let mut out = Out {
        bytes: &mut bytes,
        headers: &mut headers,
        max_payload,
    };
    append(&respond(), &mut out);
    String::from_utf8(bytes).unwrap()
}

/// The caller's control line may be as long as the server takes, and ours has a subject more.
#[test]
fn a_reply_subject_of_our_own_is_left_out_where_the_line_would_be_too_long() {
    let back = "_INBOX.".to_owned() + &"b".repeat(65);
    for (length, has_back) in [(10, true), (3_988, true), (3_989, false), (4_060, false)] {
        let reply = "r".repeat(length);
        for number in [None, Some(1)] {
            let message = appended(1 << 20, |respond, out| {
                let to = (reply.as_bytes(), Some(back.as_bytes()));
                let headers = |block: &mut HeaderBlock| {
                    if let Some(number) = number {
                        block.push_number("Beamline-Seq", number);
                    }
                };
                respond.append_message(out, to, headers, b"chunk").unwrap();
            });
            let (line, _) = message.split_once("\r\n").unwrap();
            assert!(line.len() < 4_096, "{length}: {} bytes", line.len());
            assert_eq!(line.contains(&back), has_back, "{length}");
            assert!(line.contains(&reply), "{length}");
        }
    }
}
