//! Each rule by itself.

use super::script::{FAIL, Script, at, ms, settings};
use crate::domain::breaker::*;

use CircuitState::{Closed, HalfOpen, Open};

/// What opens a fresh circuit, and why.
#[test]
fn opening() {
    let slow_calls = Some(SlowCalls {
        latency: ms(1000),
        rate_threshold: 0.8,
    });
    let (plain, slow) = (
        settings(),
        Settings {
            slow_calls,
            ..settings()
        },
    );
    let off = Settings {
        enabled: false,
        ..settings()
    };
    let picky = Settings {
        error_rate_threshold: 0.3,
        ..settings()
    };
    for (settings, calls, opens) in [
        (&plain, "ffff", None),
        (&plain, "fffff", Some(Reason::ConsecutiveFailures)),
        (&plain, "ffffsffff", None),
        (&plain, "ffnffnf", Some(Reason::ConsecutiveFailures)),
        (&plain, "nnnnnnnnnnnnnnnnnnnn", None),
        // A rate counts from ten calls on, whatever the tenth is.
        (&plain, "sfsfsfsfs", None),
        (&plain, "sfsfsfsfsf", Some(Reason::ErrorRate)),
        (&plain, "fsfsfsfsfs", Some(Reason::ErrorRate)),
        (&plain, "sfsfsfsssf", None),
        (&plain, "sfsfsfsfsn", None),
        // 3 of 10 reaches 0.3 exactly.
        (&picky, "sfsfssssss", None),
        (&picky, "sfsfsfssss", Some(Reason::ErrorRate)),
        // Slow successes and slow failures are slow alike; off by default.
        (&plain, "SSSSSSSSSS", None),
        (&slow, "SSSSSSSSS", None),
        (&slow, "sSsSSSSSSS", Some(Reason::SlowCalls)),
        (&slow, "ssssSSSSSS", None),
        (&slow, "ssSSFSSFSS", Some(Reason::SlowCalls)),
        (&off, "ffffffffffffffffffff", None),
    ] {
        let mut script = Script::new(settings.clone());
        let moved = script.calls(calls);
        assert_eq!(moved.map(|t| t.reason), opens, "{calls}");
        script.is(if opens.is_some() { Open } else { Closed });
    }
}

#[test]
fn an_opening_says_what_an_alert_needs() {
    let mut script = Script::new(settings());
    script.calls("sfs");
    script.now = 70;
    let opened = script.calls("fffff").unwrap();
    let last_failure = Some(LastFailure {
        at: at(70),
        kind: FailureKind::Timeout,
    });
    assert_eq!(
        opened,
        Transition {
            from: Closed,
            to: Open,
            at: at(70),
            reason: Reason::ConsecutiveFailures,
            retry_at: Some(at(1070)),
            failures: 6,
            last_failure,
            hearsay: false,
        }
    );
    let view = script.view();
    assert_eq!(
        (view.consecutive_failures, view.opened_at),
        (5, Some(at(70)))
    );
    assert_eq!(view.error_rate, Some(0.75));
}

/// What opens it, and whether it is hearsay: our own attempts alone would have left it closed.
#[test]
fn what_reports_alone_open_is_hearsay() {
    for (calls, hearsay) in [
        ("fffff", false),
        ("rrrrr", true),
        ("frrrr", true),
        ("rrrrf", true),
        // A report in between takes nothing from what our own attempts show.
        ("ffffRfffff", false),
        ("sfsfsfsfsf", false),
        ("srsrsrsrsr", true),
    ] {
        let mut script = Script::new(settings());
        let opened = script.calls(calls).unwrap();
        assert_eq!((opened.to, opened.hearsay), (Open, hearsay), "{calls}");
        assert_eq!(script.view().hearsay, hearsay, "{calls}");
    }
}

#[test]
fn hearsay_lasts_until_our_own_attempts_would_have_opened_it() {
    let mut script = Script::new(Settings {
        max_open_time: ms(1000),
        ..settings()
    });
    script.calls("rrrrr");
    for trial in 1..=6 {
        script.now += 1000;
        let opened = script.calls("f").unwrap();
        assert_eq!(opened.reason, Reason::TrialFailed);
        assert_eq!(opened.hearsay, trial < 5, "trial {trial}");
    }
    script.now += 1000;
    assert!(script.calls("r").unwrap().hearsay, "this time a report did");
    assert!(!script.view().hearsay, "but it was proved before");
    script.now += 1000;
    script.calls("s");
    script.is(Closed);
    assert!(script.calls("rrrrr").unwrap().hearsay, "all begins anew");
    script.breaker.force_open(at(script.now), Tick::NEVER);
    assert!(!script.view().hearsay, "an operator's word is none");
}

#[test]
fn old_calls_leave_the_window() {
    let mut script = Script::new(settings());
    script.calls("fsfsfsfsf");
    for (now, rate) in [
        (0, Some(5.0 / 9.0)),
        (59_999, Some(5.0 / 9.0)),
        (60_000, None),
    ] {
        script.now = now;
        assert_eq!(script.view().error_rate, rate, "at {now} ms");
    }
    assert!(
        script.calls("sfsfs").is_none(),
        "with the old ones it would be 7 of 14"
    );
    assert_eq!(script.view().error_rate, Some(0.4));
}

#[test]
fn a_success_rate_needs_the_minimum_of_requests() {
    let mut script = Script::new(settings());
    assert_eq!(script.view().error_rate, None);
    script.calls("ssssssssf");
    assert_eq!(script.view().success_rate, None);
    script.calls("s");
    assert_eq!(script.view().success_rate, Some(0.9));
}

#[test]
fn open_refuses_until_its_time_is_over_and_the_next_call_is_a_trial() {
    let mut script = Script::opened();
    script.now = 400;
    assert_eq!(script.refused(), 600);
    assert!(script.breaker.refuses(at(999)) && !script.breaker.refuses(at(1000)));
    script.now = 5000;
    script.is(Open);
    let admission = script.admit();
    let moved = admission.transition.unwrap();
    assert_eq!((moved.from, moved.to), (Open, HalfOpen));
    assert_eq!(moved.reason, Reason::OpenTimeOver);
    assert!(admission.permit.is_ok());
    assert_eq!(script.view().opened_at, Some(at(0)));
}

#[test]
fn half_open_lets_a_few_trials_pass_at_a_time() {
    let (mut script, first) = Script::half_opened();
    let second = script.permit();
    let _third = script.permit();
    assert_eq!((script.refused(), script.view().trials_out), (1000, 3));
    assert!(script.breaker.refuses(at(1000)));
    // Neutral and cancelled attempts decide nothing and make room.
    assert!(script.record(first, Outcome::Neutral).is_none());
    script.breaker.release(second);
    assert_eq!(script.view().trials_out, 1);
    let (_, _) = (script.permit(), script.permit());
    script.refused();
}

#[test]
fn one_success_closes_and_counters_begin_anew() {
    let (mut script, trial) = Script::half_opened();
    let other = script.permit();
    let closed = script.record(trial, Outcome::Success).unwrap();
    assert_eq!((closed.from, closed.to), (HalfOpen, Closed));
    assert_eq!(
        (closed.reason, closed.failures),
        (Reason::TrialSucceeded, 5)
    );
    // The other trial was begun before the circuit closed.
    assert!(script.record(other, FAIL).is_none());
    let view = script.view();
    assert_eq!((view.consecutive_failures, view.error_rate), (0, None));
    assert!(
        script.calls("ffff").is_none(),
        "a lifetime counter would have opened"
    );
    assert_eq!(script.calls("f").unwrap().failures, 5);
}

#[test]
fn open_time_doubles_up_to_the_maximum_and_resets_after_as_long_a_closed_period() {
    let (mut script, trial) = Script::half_opened();
    let mut failed = Some(trial);
    for open_time in [2000, 4000, 4000] {
        let trial = failed.take().unwrap_or_else(|| script.permit());
        let opened = script.record(trial, FAIL).unwrap();
        assert_eq!((opened.from, opened.to), (HalfOpen, Open));
        assert_eq!(opened.reason, Reason::TrialFailed);
        assert_eq!(opened.retry_at, Some(at(script.now + open_time)));
        script.now += open_time;
    }
    assert_eq!(script.calls("s").unwrap().to, Closed);
    script.now += 3999;
    assert_eq!(
        script.calls("fffff").unwrap().retry_at,
        Some(at(script.now + 4000))
    );
    script.now += 4000;
    script.calls("s");
    script.now += 4000;
    assert_eq!(
        script.calls("fffff").unwrap().retry_at,
        Some(at(script.now + 1000))
    );
}

#[test]
fn results_of_attempts_begun_before_the_last_change_are_dropped() {
    let mut script = Script::new(settings());
    let [early, late] = [(); 2].map(|()| script.permit());
    script.calls("fffff");
    assert!(script.record(early, Outcome::Success).is_none());
    script.is(Open);
    script.now = 1000;
    let trial = script.permit();
    assert!(script.record(late, Outcome::Success).is_none());
    script.is(HalfOpen);
    assert_eq!(
        script.view().trials_out,
        1,
        "the late one held no trial's permit"
    );
    assert!(script.record(trial, Outcome::Success).is_some());
}

#[test]
fn lost_trials_are_given_up_after_the_trial_limit() {
    let (mut script, first) = Script::half_opened();
    script.now = 1500;
    let (_lost, _lost_too) = (script.permit(), script.permit());
    script.now = 31_499;
    assert_eq!(
        script.refused(),
        1,
        "a millisecond short of the limit for the latest"
    );
    script.now = 31_500;
    let next = script.permit();
    assert_eq!(script.view().trials_out, 1);
    // One that was merely slow gives no permit back, but its outcome is as good as any.
    script.breaker.release(next);
    let closed = script.record(first, Outcome::Success).unwrap();
    assert_eq!((closed.from, closed.to), (HalfOpen, Closed));
}

#[test]
fn a_permit_given_up_is_not_given_back() {
    let (mut script, first) = Script::half_opened();
    let (_second, _third) = (script.permit(), script.permit());
    script.now += 30_000;
    let _next = script.permit();
    script.breaker.release(first);
    assert_eq!(script.view().trials_out, 1);
}

#[test]
fn operators_hold_a_circuit_for_a_time() {
    let mut script = Script::new(settings());
    let opened = script.breaker.force_open(at(0), at(500)).unwrap();
    assert_eq!((opened.to, opened.reason), (Open, Reason::Forced));
    script.now = 499;
    assert_eq!(script.refused(), 1);
    let view = script.view();
    assert_eq!(
        (view.forced_until, view.retry_at),
        (Some(at(500)), Some(at(500)))
    );
    script.now = 500;
    assert!(!script.breaker.refuses(at(500)));
    assert_eq!(
        (script.view().state, script.view().forced_until),
        (Closed, None)
    );
    let admission = script.admit();
    let ended = admission.transition.unwrap();
    assert_eq!((ended.to, ended.reason), (Closed, Reason::OverrideEnded));
    assert!(admission.permit.is_ok());

    script.breaker.force_close(at(500), at(900));
    assert!(script.calls("ffffffffffffffffffff").is_none());
    assert_eq!(script.view().consecutive_failures, 20);
    let begun_before = script.permit();
    script.now = 900;
    assert_eq!(script.view().consecutive_failures, 0, "as if just closed");
    assert!(script.record(begun_before, FAIL).is_none());
    assert!(script.calls("ffff").is_none());
    assert_eq!(script.calls("f").unwrap().retry_at, Some(at(1900)));
}

#[test]
fn a_forced_close_ends_an_outage_and_a_reset_ends_everything() {
    let mut script = Script::opened();
    let closed = script.breaker.force_close(at(0), Tick::NEVER).unwrap();
    assert_eq!((closed.from, closed.to, closed.failures), (Open, Closed, 5));
    assert!(script.breaker.reset(at(0)).is_none(), "closed already");
    assert_eq!(script.view().forced_until, None);
    assert!(script.calls("fffff").is_some());

    let mut script = Script::new(settings());
    script.breaker.force_open(at(0), Tick::NEVER);
    let reset = script.breaker.reset(at(0)).unwrap();
    assert_eq!((reset.to, reset.reason), (Closed, Reason::Reset));
    assert!(script.admit().permit.is_ok());
}

#[test]
fn forcing_an_open_circuit_open_is_no_change_but_moves_its_end() {
    let mut script = Script::opened();
    script.now = 300;
    assert!(script.breaker.force_open(at(300), at(9000)).is_none());
    let view = script.view();
    assert_eq!(
        (view.opened_at, view.retry_at),
        (Some(at(0)), Some(at(9000)))
    );
    script.now = 8999;
    script.refused();
}

#[test]
fn while_our_own_link_is_down_nothing_moves() {
    let mut script = Script::new(settings());
    let (before, meanwhile);
    before = script.permit();
    script.breaker.freeze(true);
    assert!(script.view().frozen);
    assert!(script.calls("ffffffffffffffffffff").is_none());
    meanwhile = script.permit();
    script.breaker.freeze(false);
    // Both were under way while the link was down.
    script.record(before, FAIL);
    script.record(meanwhile, FAIL);
    assert_eq!(script.view().error_rate, None);
    assert!(script.calls("fffff").is_some());
}

#[test]
fn a_frozen_trial_gives_its_permit_back() {
    let (mut script, trial) = Script::half_opened();
    script.breaker.freeze(true);
    assert!(script.record(trial, FAIL).is_none());
    assert_eq!(
        (script.view().state, script.view().trials_out),
        (HalfOpen, 0)
    );
    let under_way = script.permit();
    script.breaker.freeze(false);
    assert_eq!(script.view().trials_out, 1);
    assert!(script.record(under_way, FAIL).is_none());
    assert_eq!(
        (script.view().state, script.view().trials_out),
        (HalfOpen, 0)
    );
}

#[test]
fn settings_change_at_run_time() {
    let mut script = Script::new(settings());
    script.calls("ffff");
    let eager = Settings {
        failure_threshold: 4,
        window: ms(30_000),
        ..settings()
    };
    assert!(script.breaker.configure(at(0), eager).is_none());
    let view = script.view();
    assert_eq!((view.consecutive_failures, view.error_rate), (4, None));
    assert!(script.calls("f").is_some(), "the count went on");

    let off = Settings {
        enabled: false,
        ..settings()
    };
    let closed = script.breaker.configure(at(0), off).unwrap();
    assert_eq!((closed.to, closed.reason), (Closed, Reason::Disabled));
    assert!(script.breaker.force_open(at(0), at(100)).is_none());
    assert!(script.breaker.restore_open(at(0), ms(100)).is_none());
    assert!(script.calls("ffffffffff").is_none());
    assert_eq!(
        script.view().success_rate,
        Some(0.0),
        "counted for routing all the same"
    );
}

#[test]
fn an_open_circuit_is_restored_at_start() {
    let mut script = Script::new(settings());
    let opened = script.breaker.restore_open(at(0), ms(700)).unwrap();
    assert_eq!((opened.to, opened.reason), (Open, Reason::Restored));
    assert_eq!(script.refused(), 700);
    assert!(
        script.breaker.restore_open(at(0), ms(900)).is_none(),
        "open already"
    );
    script.now = 700;
    assert_eq!(
        script.calls("f").unwrap().retry_at,
        Some(at(2700)),
        "and it grows from there"
    );
}

#[test]
fn an_earlier_moment_counts_as_the_latest_seen() {
    let mut script = Script::opened();
    script.now = 1000;
    let trial = script.permit();
    script.now = 200;
    let opened = script.record(trial, FAIL).unwrap();
    assert_eq!((opened.at, opened.retry_at), (at(1000), Some(at(3000))));
}
