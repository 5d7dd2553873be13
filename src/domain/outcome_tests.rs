//! The contract's list of successes, failures and neutral attempts.

use proptest::prelude::*;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn reply<'a>(error_code: Option<&'a str>, body: &'a str) -> Ended<'a> {
    Ended::Reply {
        error_code,
        hint: None,
        body: body.as_bytes(),
    }
}

const CALLER_FAULT: Outcome = Outcome::Neutral(Neutral::CallerFault);

#[test]
fn replies() {
    let error = |code| Outcome::Failure(Failure::ErrorReply { code });
    let passed_on = |lacks_code| Answer::ErrorReply { lacks_code };
    let success = (Outcome::Success, Answer::Reply);
    let broken = |failure| (Outcome::Failure(failure), Answer::ExtensionError);
    for (code, body, expected) in [
        (None, r#"{"payload":1}"#, success),
        (None, r#"{"status":"reject"}"#, success),
        (None, r#"{"error":null}"#, success),
        (None, "", broken(Failure::EmptyReply)),
        (None, "oops", broken(Failure::UndecodableReply)),
        (None, r#"{"error":"x"}"#, (error(None), passed_on(true))),
        (
            None,
            r#"{"status":"error"}"#,
            (error(None), passed_on(true)),
        ),
        (Some("500"), "", (error(Some(500)), passed_on(false))),
        (Some(" 503 "), "oops", (error(Some(503)), passed_on(false))),
        (Some("70000"), "{}", (error(Some(70_000)), passed_on(false))),
        (Some("400"), "", (CALLER_FAULT, passed_on(false))),
        (Some("404.0"), "", (CALLER_FAULT, passed_on(false))),
        (Some("5e2"), "{}", (error(Some(500)), passed_on(false))),
        (Some("500.5"), "{}", (error(None), passed_on(true))),
        (
            Some("499"),
            r#"{"error":"x"}"#,
            (CALLER_FAULT, passed_on(false)),
        ),
        // With the header the body's `error` is not looked at; below 400 it is no error either.
        (Some("200"), r#"{"error":"x"}"#, success),
        (Some("200"), "", broken(Failure::EmptyReply)),
        (Some("0"), "oops", broken(Failure::UndecodableReply)),
        (Some("broken"), "{}", (error(None), passed_on(true))),
        (Some(""), "{}", (error(None), passed_on(true))),
        (Some("-1"), "{}", (error(None), passed_on(true))),
    ] {
        assert_eq!(reply(code, body).classify(), expected, "{code:?} {body}");
    }
}

#[test]
fn who_is_busy_and_says_so_pushes_back() {
    let second = Some(Duration::from_secs(1));
    let hint = |rest| Some(Hint { rest });
    let pushed_back = |rest| Outcome::Neutral(Neutral::PushedBack { rest });
    for (code, hint, expected) in [
        ("429", None, pushed_back(None)),
        ("429.0", None, pushed_back(None)),
        ("429", hint(None), pushed_back(None)),
        ("429", hint(second), pushed_back(second)),
        ("503", hint(second), pushed_back(second)),
        ("503", hint(None), pushed_back(None)),
        (
            "503",
            None,
            Outcome::Failure(Failure::ErrorReply { code: Some(503) }),
        ),
        (
            "500",
            hint(second),
            Outcome::Failure(Failure::ErrorReply { code: Some(500) }),
        ),
        ("428", hint(second), CALLER_FAULT),
    ] {
        let ended = Ended::Reply {
            error_code: Some(code),
            hint,
            body: b"",
        };
        let passed_on = Answer::ErrorReply { lacks_code: false };
        assert_eq!(ended.classify(), (expected, passed_on), "{code} {hint:?}");
    }
}

#[test]
fn calls_without_a_reply() {
    let failed = Outcome::Failure;
    for (ended, outcome, answer) in [
        (
            Ended::Timeout,
            failed(Failure::Timeout),
            Answer::ExtensionTimeout,
        ),
        (
            Ended::NoResponders,
            failed(Failure::NoResponders),
            Answer::NoResponders,
        ),
        (
            Ended::StoodStill { by_caller: false },
            Outcome::Neutral(Neutral::StoodStill),
            Answer::ExtensionTimeout,
        ),
        (
            Ended::StoodStill { by_caller: true },
            Outcome::Neutral(Neutral::StoodStill),
            Answer::DeadlineExceeded,
        ),
        (Ended::TooLarge, CALLER_FAULT, Answer::PayloadTooLarge),
        (
            Ended::Overloaded(Overload::Bytes),
            Outcome::Neutral(Neutral::Overloaded),
            Answer::Overloaded(Overload::Bytes),
        ),
        (
            Ended::PermissionViolation,
            Outcome::Neutral(Neutral::PermissionViolation),
            Answer::Forbidden,
        ),
        (
            Ended::Disconnected,
            Outcome::Neutral(Neutral::Disconnected),
            Answer::LinkDown,
        ),
    ] {
        assert_eq!(ended.classify(), (outcome, answer), "{ended:?}");
    }
}

#[test]
fn a_standstill_explains_silence_unless_it_was_short_beside_the_wait() {
    for (stood_still_ms, allowed_ms, explains) in [
        (0, 300, false),
        (0, 0, false),
        (200, 300, true),
        (200, 600, true),
        (200, 601, false),
        (5_000, 2_000, true),
        (200, 120_000, false),
    ] {
        let found = explains_silence(ms(stood_still_ms), ms(allowed_ms));
        assert_eq!(found, explains, "{stood_still_ms} of {allowed_ms}");
    }
}

#[test]
fn a_deadline_is_the_extensions_fault_only_when_it_was_fair() {
    for (allowed_ms, p99_ms, timeout_ms, fair) in [
        // The larger of 100 ms and the p99.
        (99, Some(20), 5_000, false),
        (100, Some(20), 5_000, true),
        (249, Some(250), 5_000, false),
        (250, Some(250), 5_000, true),
        // Without history 20 % of the timeout.
        (999, None, 5_000, false),
        (1_000, None, 5_000, true),
        (10, None, 50, true),
        (0, None, 50, false),
    ] {
        let patience = Patience {
            allowed: ms(allowed_ms),
            p99: p99_ms.map(ms),
            timeout: ms(timeout_ms),
        };
        assert_eq!(patience.was_fair(), fair, "{patience:?}");
        let outcome = if fair {
            Outcome::Failure(Failure::Timeout)
        } else {
            Outcome::Neutral(Neutral::ShortDeadline)
        };
        let ended = Ended::DeadlinePassed(patience);
        assert_eq!(ended.classify(), (outcome, Answer::DeadlineExceeded));
    }
}

#[test]
fn only_an_absent_extension_has_no_latency() {
    assert!(!Failure::NoResponders.has_latency());
    assert!(Failure::Timeout.has_latency());
    assert!(Failure::ErrorReply { code: None }.has_latency());
}

proptest! {
    /// 4xx never counts against the extension and 5xx always does, whatever the body.
    #[test]
    fn the_error_code_decides(code in 400..100_000u32, body in ".{0,40}") {
        let text = code.to_string();
        let (outcome, answer) = reply(Some(&text), &body).classify();
        let failed = Outcome::Failure(Failure::ErrorReply { code: Some(code) });
        prop_assert_eq!(outcome, if code < 500 { CALLER_FAULT } else { failed });
        prop_assert_eq!(answer, Answer::ErrorReply { lacks_code: false });
    }
}
