//! Calls cost the database nothing: whatever SQL there is, is beside them.

use super::*;

/// The sessions of the daemon's pool, with what each ran last and when: any statement would show.
const SESSIONS: &str =
    "SELECT string_agg(concat_ws(' ', pid, query_start, state_change, query), ', '
        ORDER BY pid)
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'beamline-registry/a/pool'";

#[tokio::test]
async fn a_thousand_invocations_run_no_statement() {
    let fleet = Fleet::with(&["e", "broken"]).await;
    let _played = Played::start(&fleet, "e").await;
    let broken = Played::start(&fleet, "broken").await;
    broken.fail(true);
    let daemon = fleet.started("a", NEVER).await;
    // Whatever the start still does is over in one of the rounds. A statement per call, or per
    // hundred calls, would be in all of them.
    eventually(
        "a thousand calls without a statement",
        DEADLINE,
        async || {
            let before = fleet.value(SESSIONS).await;
            // Else it would not show that statements are seen.
            let used = before.contains("SELECT") || before.contains("COMMIT");
            fleet.call("a", "e", 980).await;
            fleet.call("a", "broken", 20).await;
            let after = fleet.value(SESSIONS).await;
            if used && before == after {
                Ok(())
            } else {
                Err((before, after))
            }
        },
    )
    .await;
    assert_eq!(fleet.sums("e").await, (0, 0), "not flushed yet");
    stop(daemon).await;
    let (successes, failures) = fleet.sums("e").await;
    assert!(
        successes >= 980 && failures == 0,
        "all were calls: {successes}"
    );
}

/// It may be anything.
#[tokio::test]
async fn a_notification_that_is_no_revision_means_a_look() {
    let fleet = Fleet::with(&["e"]).await;
    let _daemon = fleet.started("a", NEVER).await;
    let mut before = fleet.value(SESSIONS).await;
    eventually("it is quiet", DEADLINE, async || {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let was = std::mem::replace(&mut before, fleet.value(SESSIONS).await);
        was == before
    })
    .await;
    let anything = "SELECT pg_notify('beamline_registry', '')";
    fleet.rig.sql.batch_execute(anything).await.unwrap();
    eventually("it looks", DEADLINE, async || {
        fleet.value(SESSIONS).await != before
    })
    .await;
}
