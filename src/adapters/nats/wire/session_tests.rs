use super::super::headers::RawHeaders;
use super::*;

const INFO: &[u8] = br#"{"headers":true,"max_payload":1048576,"server_name":"s","nonce":"n"}"#;

fn start() -> Instant {
    Instant::now()
}

/// What a step wrote.
fn took<'b>(session: &mut Session, operation: Operation<'b>) -> (Result<Step<'b>, Lost>, String) {
    let mut out = Vec::new();
    let step = session.take(operation, &mut out);
    (step, String::from_utf8(out).unwrap())
}

fn established(now: Instant) -> Session {
    let mut session = Session::new(false, now);
    let greeted = Step::Greeted { secure: false };
    assert_eq!(took(&mut session, Operation::Info(INFO)).0, Ok(greeted));
    let mut out = Vec::new();
    session.log_in("me", &Login::default(), false, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.starts_with("CONNECT {") && out.ends_with("}\r\nPING\r\n"),
        "{out}"
    );
    assert!(!session.is_established());
    assert_eq!(took(&mut session, Operation::Pong).0, Ok(Step::Established));
    assert!(session.is_established());
    session
}

#[test]
fn a_login_says_who_we_are_and_nothing_that_is_not_given() {
    let mut session = Session::new(false, start());
    took(&mut session, Operation::Info(INFO)).0.unwrap();
    let login = Login {
        user: Some("u\"\n".to_owned()),
        password: Some("p".to_owned()),
        ..Login::default()
    };
    let mut out = Vec::new();
    session.log_in("n", &login, false, &mut out);
    let line = out.split(|byte| *byte == b'\r').next().unwrap();
    let options: serde_json::Value = serde_json::from_slice(&line[b"CONNECT ".len()..]).unwrap();
    assert_eq!(
        (&options["user"], &options["pass"]),
        (&"u\"\n".into(), &"p".into())
    );
    for (field, value) in [
        ("headers", true),
        ("no_responders", true),
        ("verbose", false),
    ] {
        assert_eq!(options[field], value, "{field}");
    }
    for absent in ["jwt", "sig", "nkey", "auth_token"] {
        assert!(options.get(absent).is_none(), "{absent}");
    }
}

/// CASES.md B8.
#[test]
fn nothing_is_said_before_a_connection_that_must_be_secured_is() {
    let info = |more: &str| format!("{{\"headers\":true{more}}}");
    for (demanded, more, step) in [
        (
            true,
            ",\"tls_required\":true",
            Ok(Step::Greeted { secure: true }),
        ),
        (
            true,
            ",\"tls_available\":true",
            Ok(Step::Greeted { secure: true }),
        ),
        (true, "", Err(Lost::NoTls)),
        (
            false,
            ",\"tls_required\":true",
            Ok(Step::Greeted { secure: true }),
        ),
        (
            false,
            ",\"tls_available\":true",
            Ok(Step::Greeted { secure: false }),
        ),
    ] {
        let mut session = Session::new(demanded, start());
        let info = info(more);
        let (took, out) = took(&mut session, Operation::Info(info.as_bytes()));
        assert_eq!((took, out.as_str()), (step, ""), "{info}");
    }
    let mut session = Session::new(false, start());
    took(&mut session, Operation::Info(INFO)).0.unwrap();
    let early = took(&mut session, Operation::Pong).0;
    assert_eq!(early, Err(Lost::Protocol(ProtocolError::Unknown)));
}

#[test]
fn a_greeting_that_cannot_be_used_ends_the_attempt() {
    for (operation, lost) in [
        (Operation::Info(b"{}"), Lost::NoHeaders),
        (Operation::Info(b"7"), Lost::Greeting),
        (Operation::Info(b"{\"headers\":1}"), Lost::Greeting),
        (Operation::Ping, Lost::Protocol(ProtocolError::Unknown)),
        (
            Operation::Error(b"maximum connections exceeded"),
            Lost::Login("maximum connections exceeded".to_owned()),
        ),
    ] {
        assert_eq!(
            took(&mut Session::new(false, start()), operation).0,
            Err(lost)
        );
    }
}

#[test]
fn a_refused_login_ends_it_and_other_refusals_do_not() {
    let violation = Operation::Error(b"Authorization Violation");
    let lost = Lost::Login("Authorization Violation".to_owned());
    let mut session = Session::new(false, start());
    took(&mut session, Operation::Info(INFO)).0.unwrap();
    session.log_in("n", &Login::default(), false, &mut Vec::new());
    assert_eq!(took(&mut session, violation).0, Err(lost));

    let mut session = established(start());
    let denied = Operation::Error(b"Permissions Violation for Publish to \"a\"");
    let refused = Step::Refused(Refusal::Publish("a".to_owned()));
    assert_eq!(took(&mut session, denied).0, Ok(refused));
    let expired = Operation::Error(b"User Authentication Expired");
    assert!(matches!(took(&mut session, expired).0, Err(Lost::Login(_))));
}

#[test]
fn messages_pings_and_news_are_passed_on() {
    let mut session = established(start());
    let message = Message {
        subject: b"a",
        sid: 1,
        reply: None,
        headers: RawHeaders(b""),
        payload: b"x",
    };
    let (step, out) = took(&mut session, Operation::Message(message));
    assert_eq!((step, out.as_str()), (Ok(Step::Message(message)), ""));
    let (step, out) = took(&mut session, Operation::Ping);
    assert_eq!((step, out.as_str()), (Ok(Step::Nothing), "PONG\r\n"));
    let news = br#"{"headers":true,"ldm":true,"max_payload":10,"connect_urls":["b:1"]}"#;
    assert_eq!(
        took(&mut session, Operation::Info(news)).0,
        Ok(Step::Informed)
    );
    assert!(session.info().ldm && session.max_payload() == 10);
    assert_eq!(session.info().connect_urls, ["b:1"]);
    let absurd = br#"{"headers":true,"max_payload":9223372036854775807}"#;
    took(&mut session, Operation::Info(absurd)).0.unwrap();
    assert_eq!(session.max_payload(), MOST_MAX_PAYLOAD);
}

#[test]
fn null_is_the_default_and_news_that_cannot_be_read_changes_nothing() {
    let mut session = established(start());
    let known = session.info().clone();
    for news in [
        "7",
        "{\"headers\":1}",
        "{\"max_payload\":1e6}",
        "{\"ldm\":true,\"connect_urls\":\"b:1\"}",
        "{\"ldm\":true",
        "",
    ] {
        let (step, out) = took(&mut session, Operation::Info(news.as_bytes()));
        assert_eq!((step, out.as_str()), (Ok(Step::Nothing), ""), "{news}");
        assert_eq!(session.info(), &known, "{news}");
    }
    let nulls = br#"{"headers":true,"server_name":null,"version":null,"max_payload":null,
        "auth_required":null,"tls_required":null,"tls_available":null,"nonce":null,
        "connect_urls":null,"ldm":null}"#;
    let step = took(&mut session, Operation::Info(nulls)).0;
    assert_eq!(step, Ok(Step::Informed));
    let defaults = ServerInfo {
        headers: true,
        ..ServerInfo::default()
    };
    assert_eq!(session.info(), &defaults);
    let greeted = took(&mut Session::new(false, start()), Operation::Info(nulls)).0;
    assert_eq!(greeted, Ok(Step::Greeted { secure: false }));
}

/// Another server of the cluster may accept more than this one has announced.
#[test]
fn what_a_server_has_announced_does_not_bound_what_is_read() {
    let mut session = Session::new(false, start());
    assert!(
        session.max_message() < 1 << 20,
        "nothing is sent before the login"
    );
    took(&mut session, Operation::Info(INFO)).0.unwrap();
    assert!(session.max_message() < 1 << 20);
    let mut session = established(start());
    let small = br#"{"headers":true,"max_payload":1024}"#;
    took(&mut session, Operation::Info(small)).0.unwrap();
    assert_eq!(session.max_payload(), 1024);
    assert!(session.max_message() > MOST_MAX_PAYLOAD);
}

/// Ticks every [`TICK`] until the session is lost, at most for `seconds`; when, in milliseconds.
fn tick_until_lost(session: &mut Session, from: Instant, seconds: u64) -> Option<u128> {
    let mut now = from;
    while now < from + Duration::from_secs(seconds) {
        now += TICK;
        if session.tick(now) == Err(Lost::Silent) {
            return Some((now - from).as_millis());
        }
    }
    None
}

/// CASES.md B9.
#[test]
fn silence_is_asked_about_and_then_given_up_within_three_seconds() {
    let now = start();
    let lost_after = tick_until_lost(&mut established(now), now, 10).unwrap();
    assert!((2700..=3000).contains(&lost_after), "{lost_after}");
    // In the handshake too.
    assert!(tick_until_lost(&mut Session::new(false, now), now, 10).unwrap() <= 3000);

    let mut session = established(now);
    let mut asked = 0;
    for turn in 1..100 {
        let at = now + TICK * turn;
        if session.tick(at).unwrap() == Tick::Ask {
            asked += 1;
            session.heard(at);
            assert_eq!(took(&mut session, Operation::Pong).0, Ok(Step::Pong));
        }
    }
    assert!(asked > 10, "{asked}");
}

/// Bytes that arrive say nothing about what we send.
#[test]
fn a_connection_that_is_dead_in_one_direction_is_given_up() {
    let now = start();
    let mut session = established(now);
    let (mut asked, mut lost) = (Vec::new(), None);
    for turn in 1..100 {
        let at = now + TICK * turn;
        session.heard(at);
        match session.tick(at) {
            Ok(Tick::Fine) => {}
            Ok(Tick::Ask) => asked.push((at - now).as_millis()),
            Err(error) => {
                lost = Some((error, (at - now).as_millis()));
                break;
            }
        }
    }
    assert_eq!(asked, [1000], "until there is an answer");
    let (error, lost_after) = lost.unwrap();
    assert_eq!(error, Lost::Silent);
    assert!((6000..=7000).contains(&lost_after), "{lost_after}");
}

#[test]
fn an_answer_behind_a_backlog_keeps_the_connection() {
    let now = start();
    let mut session = established(now);
    let mut asked = 0;
    for turn in 1..200 {
        let at = now + TICK * turn;
        session.heard(at);
        asked += usize::from(session.tick(at).unwrap() == Tick::Ask);
        // Five seconds after it was asked for.
        if turn % 24 == 0 {
            assert_eq!(took(&mut session, Operation::Pong).0, Ok(Step::Pong));
        }
    }
    assert!(asked > 5, "{asked}");
}

/// CASES.md A4.
#[test]
fn what_we_slept_through_is_not_silence() {
    let now = start();
    let mut session = established(now);
    session.tick(now + TICK).unwrap();
    let woken = now + Duration::from_secs(60);
    session.tick(woken).unwrap();
    let lost_after = tick_until_lost(&mut session, woken, 10).unwrap();
    assert!((2700..=3000).contains(&lost_after), "{lost_after}");

    // Nor is a PONG late that we slept through.
    let mut session = established(now);
    let asked = now + TICK * 4;
    for turn in 1..4 {
        session.tick(now + TICK * turn).unwrap();
    }
    assert_eq!(session.tick(asked), Ok(Tick::Ask));
    let woken = asked + Duration::from_secs(60);
    assert_eq!(session.tick(woken), Ok(Tick::Fine));
    session.heard(woken + TICK);
    assert_eq!(session.tick(woken + TICK), Ok(Tick::Fine));
}
