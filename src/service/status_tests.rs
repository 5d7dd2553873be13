//! What is known of the sources and links, by what was noted before.

use super::*;
use crate::service::trouble::Trouble;

const INTERVAL: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn replies_tell_of_a_database_that_has_not_answered_for_longer_than_the_sync_interval() {
    let status = Status::new(SourceMode::Database, INTERVAL);
    assert_eq!((status.database_up(), status.staleness()), (None, None));
    assert!(
        status.database_answered(),
        "the change to reachable is reported"
    );
    assert!(!status.database_answered());
    assert_eq!(status.annotations(), None);

    let gone = DatabaseError::unreachable("gone");
    assert!(
        status.database_failed(&gone),
        "the change to down is reported"
    );
    tokio::time::advance(INTERVAL).await;
    assert!(!status.database_failed(&gone), "it is still down");
    assert_eq!(
        (status.database_up(), status.annotations()),
        (Some(false), None)
    );
    tokio::time::advance(SECOND).await;
    let told = Annotations {
        stale_ms: Some(61_000),
        fixtures: false,
    };
    assert_eq!(status.annotations(), Some(told));
    assert_eq!(status.staleness(), Some(INTERVAL + SECOND));

    assert!(status.database_answered());
    assert_eq!(
        (status.database_up(), status.annotations()),
        (Some(true), None)
    );
    assert_eq!(status.staleness(), Some(Duration::ZERO));
}

/// Replies, `stats` and metrics go by one clock: the last answer, whatever was noticed when.
#[tokio::test(start_paused = true)]
async fn staleness_counts_from_the_last_answer_and_not_from_the_first_failure() {
    let status = Status::new(SourceMode::Database, INTERVAL);
    status.database_answered();
    tokio::time::advance(INTERVAL).await;
    status.database_alive();
    assert_eq!(status.staleness(), Some(Duration::ZERO));
    tokio::time::advance(INTERVAL).await;
    assert!(status.database_silent(&DatabaseError::unreachable("silent")));
    status.database_alive();
    tokio::time::advance(SECOND).await;
    let told = Annotations {
        stale_ms: Some(61_000),
        fixtures: false,
    };
    assert_eq!(status.annotations(), Some(told));
    assert_eq!(status.staleness(), Some(INTERVAL + SECOND));
    assert_eq!(status.last_error().unwrap(), "the database is unreachable");
}

#[test]
fn a_database_that_answers_errors_is_not_away_and_another_kind_is_news() {
    let status = Status::new(SourceMode::Database, INTERVAL);
    assert_eq!(status.database().as_str(), "off");
    status.database_answered();
    assert_eq!(status.database().as_str(), "up");
    let hidden = DatabaseError::new(Trouble::Hidden, "x");
    assert!(status.database_failed(&hidden));
    assert!(!status.database_failed(&hidden));
    assert_eq!(status.database().as_str(), "failing");
    assert!(status.database_failed(&DatabaseError::unreachable("x")));
    assert_eq!(status.database().as_str(), "away");
}

#[tokio::test(start_paused = true)]
async fn fixtures_are_told_of_only_where_a_database_was_hoped_for() {
    for (mode, told) in [(SourceMode::Auto, true), (SourceMode::Fixtures, false)] {
        let status = Status::new(mode, INTERVAL);
        status.applied(true, SECOND, true);
        assert_eq!(status.annotations().is_some_and(|told| told.fixtures), told);
        status.applied(true, SECOND, false);
        assert_eq!(status.annotations(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_load_that_changed_something_is_the_last_reload() {
    let status = Status::new(SourceMode::Database, INTERVAL);
    status.applied(true, SECOND, false);
    status.applied(false, INTERVAL, false);
    status.database_failed(&DatabaseError::unreachable("gone"));
    status.load_failed("unreachable");
    let (loads, errors, last) = status.load_figures();
    assert_eq!((loads, errors), (2, 1));
    assert_eq!(last.unwrap().duration, SECOND);
}

#[test]
fn files_served_instead_do_not_hide_why_the_database_is_not() {
    let status = Status::new(SourceMode::Auto, INTERVAL);
    status.database_failed(&DatabaseError::unreachable("gone"));
    status.load_failed("unreachable");
    status.applied(true, SECOND, true);
    assert_eq!(status.last_error().as_deref(), Some("unreachable"));
    status.database_answered();
    status.applied(true, SECOND, false);
    assert_eq!(status.last_error(), None);
}

#[test]
fn nats_is_up_while_every_link_is() {
    let status = Status::new(SourceMode::Fixtures, INTERVAL);
    for (connection, up, all_up) in [
        ("main", true, true),
        ("lookup", false, false),
        ("main", false, false),
        ("main", false, false),
        ("main", true, false),
        ("lookup", true, true),
        ("lookup", true, true),
        ("lookup", false, false),
    ] {
        status.nats_link(connection, up);
        assert_eq!(status.nats_up(), all_up, "{connection} {up}");
    }
}

#[test]
fn the_listener_tells_its_state_before() {
    let status = Status::new(SourceMode::Database, INTERVAL);
    assert_eq!(
        status.set_listener(ListenerState::Listening),
        ListenerState::Off
    );
    assert_eq!(status.listener(), ListenerState::Listening);
}
