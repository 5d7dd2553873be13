//! Decisions of one sidecar that hold for all.

use beamline_registry::service::health_store::{AutoDisabled, AutoSwitch, StoreError};
use beamline_registry::service::trouble::Trouble;
use tokio_postgres::error::SqlState;

use super::*;

const REASON: &str = r#"{"failures": 5}"#;

#[tokio::test]
async fn twenty_sidecars_at_once_never_exceed_the_cap() {
    let (database, client) = fleet(20).await;
    // 19 enabled by people; 30 percent of them are 5.7.
    run(
        &client,
        "UPDATE extensions SET enabled = false WHERE id = 'e20'",
    )
    .await;
    let attempts: Vec<_> = (1..=20)
        .map(|n| {
            let store = store(&database, &format!("s{n}"));
            tokio::spawn(async move { store.auto_disable(&id(n), None, REASON, 30).await.unwrap() })
        })
        .collect();
    let mut outcomes = Vec::new();
    for attempt in attempts {
        outcomes.push(attempt.await.unwrap());
    }
    let count = |wanted: fn(&AutoDisabled) -> bool| outcomes.iter().filter(|it| wanted(it)).count();
    assert_eq!(count(|it| matches!(it, AutoDisabled::Disabled(_))), 5);
    assert_eq!(count(|it| *it == AutoDisabled::CapReached), 14);
    assert_eq!(outcomes[19], AutoDisabled::AlreadyDisabled);
    let disabled = "SELECT count(*) FROM extensions WHERE auto_disabled";
    assert_eq!(value(&client, disabled).await, "5");
    assert_eq!(
        value(&client, "SELECT revision FROM registry_revision").await,
        "7"
    );
}

#[tokio::test]
async fn one_may_always_be_disabled_and_enabled_again() {
    let (database, client) = fleet(3).await;
    let store = store(&database, "s1");
    assert_eq!(
        store.auto_disable(&id(1), None, REASON, 0).await,
        Ok(AutoDisabled::Disabled(2))
    );
    assert_eq!(
        store.auto_disable(&id(1), None, REASON, 0).await,
        Ok(AutoDisabled::AlreadyDisabled)
    );
    assert_eq!(
        store.auto_disable(&id(2), None, REASON, 0).await,
        Ok(AutoDisabled::CapReached)
    );
    assert_eq!(
        store.auto_disable(&id(9), None, REASON, 100).await,
        Ok(AutoDisabled::Gone)
    );
    for (extension, revision) in [(1, Some(3)), (1, None), (9, None)] {
        let enabled = store.auto_enable(&id(extension), None, "{}").await;
        assert_eq!(enabled, Ok(revision), "{extension}");
    }
    let entry = "SELECT string_agg(concat_ws(' ', action, changed_by, actor_source, changes), '; '
        ORDER BY id) FROM extension_audit_log WHERE revision > 1";
    assert_eq!(
        value(&client, entry).await,
        r#"auto_disabled sidecar:s1 database {"new": {"auto_disabled": true}, "old": {"auto_disabled": false}, "reason": {"failures": 5}}; "#
            .to_owned()
            + r#"auto_enabled sidecar:s1 database {"new": {"auto_disabled": false}, "old": {"auto_disabled": true}, "reason": {}}"#
    );
}

/// By a sidecar that has not read yet that another version was promoted.
#[tokio::test]
async fn what_a_version_did_that_is_not_the_current_one_any_more_switches_nothing() {
    let (database, client) = fleet(1).await;
    let store = store(&database, "s1");
    run(
        &client,
        "INSERT INTO extension_versions (id, version, subject) VALUES ('e1', 'v2', 's.2');
         UPDATE extensions SET version = 'v2'",
    )
    .await;
    let of = |version| format!(r#"{{"version": "{version}"}}"#);
    let disabled = store.auto_disable(&id(1), None, &of("v1"), 100).await;
    assert_eq!(disabled, Ok(AutoDisabled::Gone));
    let disabled = store.auto_disable(&id(1), None, &of("v2"), 100).await;
    assert!(
        matches!(disabled, Ok(AutoDisabled::Disabled(_))),
        "{disabled:?}"
    );
    let enabled = store.auto_enable(&id(1), None, &of("v1")).await;
    assert_eq!(enabled, Ok(None));
    let enabled = store.auto_enable(&id(1), None, &of("v2")).await;
    assert!(matches!(enabled, Ok(Some(_))), "{enabled:?}");
}

/// Likewise, that an operator holds the circuit.
#[tokio::test]
async fn what_an_operator_holds_is_not_disabled_until_that_is_over() {
    let (database, client) = fleet(1).await;
    let store = store(&database, "s1");
    run(
        &client,
        "INSERT INTO circuit_overrides
             (extension_id, version, action, change, until, set_by, actor_source)
         VALUES ('e1', 'v1', 'close', gen_random_uuid(), NULL, 'alice', 'subject')",
    )
    .await;
    let reason = r#"{"version": "v1"}"#;
    let disabled = store.auto_disable(&id(1), None, reason, 100).await;
    assert_eq!(disabled, Ok(AutoDisabled::Gone));
    run(&client, "UPDATE circuit_overrides SET until = now()").await;
    let disabled = store.auto_disable(&id(1), None, reason, 100).await;
    assert!(
        matches!(disabled, Ok(AutoDisabled::Disabled(_))),
        "{disabled:?}"
    );
}

/// By the rows that an operator's `enable` writes, which those see too that restart meanwhile.
#[tokio::test]
async fn what_is_enabled_again_begins_with_closed_circuits_on_every_sidecar() {
    let (database, client) = fleet(1).await;
    let store = store(&database, "s1");
    run(
        &client,
        "INSERT INTO extension_versions (id, version, subject)
         SELECT 'e1', 'v' || n, 's.' || n FROM generate_series(2, 4) AS n;
         INSERT INTO circuit_overrides
             (extension_id, version, action, change, until, set_by, actor_source)
         VALUES ('e1', 'v2', 'open', gen_random_uuid(), NULL, 'alice', 'subject'),
             ('e1', 'v3', 'open', gen_random_uuid(), now() - interval '1 s', 'alice', 'subject')",
    )
    .await;
    let disabled = store.auto_disable(&id(1), None, REASON, 100).await;
    assert!(
        matches!(disabled, Ok(AutoDisabled::Disabled(_))),
        "{disabled:?}"
    );
    let enabled = store.auto_enable(&id(1), None, "{}").await;
    assert!(matches!(enabled, Ok(Some(_))), "{enabled:?}");
    let overrides = "SELECT string_agg(concat_ws(' ', version, action, set_by, actor_source), ', '
        ORDER BY version) FROM circuit_overrides WHERE until > now() OR until IS NULL";
    assert_eq!(
        value(&client, overrides).await,
        "v1 reset sidecar:s1 database, v2 open alice subject, v3 reset sidecar:s1 database, \
         v4 reset sidecar:s1 database"
    );
    // It is audited as what it is, and is nobody's override.
    let audited = "SELECT string_agg(action, ' ' ORDER BY id) FROM extension_audit_log
        WHERE action LIKE 'auto%' OR action = 'circuit_override'";
    assert_eq!(value(&client, audited).await, "auto_disabled auto_enabled");
}

#[tokio::test]
async fn what_another_sidecar_saw_alive_stays() {
    let (database, client) = fleet(4).await;
    let (ours, theirs) = (store(&database, "s1"), store(&database, "s2"));
    for store in [&ours, &theirs] {
        let boot = store.register(INTERVAL).await.unwrap();
        flush(store, &boot, 1, &[report(id(1), 1, 0)], &[]).await;
    }
    assert_eq!(
        ours.auto_disable(&id(1), None, REASON, 100).await,
        Ok(AutoDisabled::SeenAlive)
    );
    run(
        &client,
        "UPDATE extension_health_reports r SET last_answer = now() - interval '61 s'
         FROM sidecar_boots b WHERE b.boot = r.boot AND instance_id = 's2'",
    )
    .await;
    // What we saw ourselves does not hold us back.
    let disabled = ours.auto_disable(&id(1), None, REASON, 100).await;
    assert_eq!(disabled, Ok(AutoDisabled::Disabled(2)));
}

#[tokio::test]
async fn health_mirrors_auto_disabled() {
    let (database, client) = fleet(2).await;
    let store = store(&database, "s1");
    let boot = store.register(INTERVAL).await.unwrap();
    flush(&store, &boot, 1, &[report(id(1), 1, 0)], &[]).await;
    let mirrored = "SELECT auto_disabled FROM extension_health";
    for off in ["true", "false"] {
        run(
            &client,
            &format!("UPDATE extensions SET auto_disabled = {off}"),
        )
        .await;
        store.tidy().await.unwrap();
        assert_eq!(value(&client, mirrored).await, off);
    }
}

#[tokio::test]
async fn a_lock_of_somebody_else_ends_in_time_and_changes_nothing() {
    let (database, client) = fleet(1).await;
    let store = store(&database, "s1");
    run(&client, "BEGIN; UPDATE extensions SET retry = 9").await;
    let result = store.auto_disable(&id(1), None, REASON, 100).await;
    let Err(StoreError::Failed(error)) = &result else {
        panic!("{result:?}")
    };
    assert_eq!(error.trouble, Trouble::Locked, "{error}");
    run(&client, "ROLLBACK").await;
    assert_eq!(
        store.auto_disable(&id(1), None, REASON, 100).await,
        Ok(AutoDisabled::Disabled(2))
    );
}

/// Which leaves the row out, or puts it back, and answers the statement with success.
#[tokio::test]
async fn what_a_trigger_keeps_is_not_told_as_switched() {
    let (database, client) = fleet(2).await;
    let store = store(&database, "s1");
    run(
        &client,
        r#"INSERT INTO extension_versions (id, version, subject, rollout)
           VALUES ('e1', 'v2', 's.2', '{"by": "tenant_id", "percent": 10, "halt": {}}');
           UPDATE extensions SET auto_disabled = true WHERE id = 'e2'"#,
    )
    .await;
    for row in ["NULL", "OLD"] {
        run(
            &client,
            &format!(
                "CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql
                     AS $$BEGIN RETURN {row}; END$$;
                 CREATE OR REPLACE TRIGGER keep BEFORE UPDATE ON extensions
                     FOR EACH ROW EXECUTE FUNCTION keep();
                 CREATE OR REPLACE TRIGGER keep BEFORE UPDATE ON extension_versions
                     FOR EACH ROW EXECUTE FUNCTION keep()"
            ),
        )
        .await;
        let disabled = store.auto_disable(&id(1), None, REASON, 100).await;
        let enabled = store.auto_enable(&id(2), None, REASON).await;
        for result in [disabled.map(drop), enabled.map(drop)] {
            let Err(StoreError::Failed(error)) = &result else {
                panic!("{row}: {result:?}")
            };
            assert_eq!(error.trouble, Trouble::Refused, "{row}: {error}");
        }
        let halt =
            "SELECT registry_rollout_halt('e1', 'v2', registry_rollout_since('e1', 'v2'), '{}')";
        let halted = client.batch_execute(halt).await;
        let code = halted.as_ref().err().and_then(|error| error.code());
        assert_eq!(code, Some(&SqlState::RAISE_EXCEPTION), "{row}: {halted:?}");
    }
    let told = "SELECT count(*) FROM extension_audit_log WHERE changes ? 'reason'";
    assert_eq!(value(&client, told).await, "0");
}

#[tokio::test]
async fn one_sidecar_has_the_lease() {
    let (database, client) = fleet(0).await;
    let ttl = Duration::from_secs(30);
    let attempts: Vec<_> = (0..8)
        .map(|n| {
            let store = store(&database, &format!("s{n}"));
            tokio::spawn(async move {
                let taken = store.take_probe_lease(ttl).await.unwrap();
                (taken, store)
            })
        })
        .collect();
    let (mut holders, mut rest) = (Vec::new(), Vec::new());
    for attempt in attempts {
        let (taken, store) = attempt.await.unwrap();
        if taken {
            holders.push(store)
        } else {
            rest.push(store)
        }
    }
    let ([holder], [next, third, ..]) = (&holders[..], &rest[..]) else {
        panic!("{holders:?} {rest:?}");
    };
    assert!(holder.take_probe_lease(ttl).await.unwrap(), "renewed");
    assert!(!next.take_probe_lease(ttl).await.unwrap());
    next.release_probe_lease().await.unwrap();
    assert!(
        !next.take_probe_lease(ttl).await.unwrap(),
        "only the holder releases"
    );
    holder.release_probe_lease().await.unwrap();
    assert!(next.take_probe_lease(ttl).await.unwrap());
    run(
        &client,
        "UPDATE probe_lease SET until = now() - interval '1 ms'",
    )
    .await;
    assert!(third.take_probe_lease(ttl).await.unwrap(), "expired");
}

/// CASES.md D17.
#[tokio::test]
async fn the_cap_counts_what_only_the_machine_keeps_from_serving() {
    let (database, client) = fleet(3).await;
    let store = store(&database, "s1");
    let disable = async |number| {
        store
            .auto_disable(&id(number), None, REASON, 0)
            .await
            .unwrap()
    };
    assert!(matches!(disable(1).await, AutoDisabled::Disabled(_)));
    assert_eq!(disable(2).await, AutoDisabled::CapReached);
    run(
        &client,
        "UPDATE extensions SET enabled = false WHERE id = 'e1'",
    )
    .await;
    assert!(matches!(disable(2).await, AutoDisabled::Disabled(_)));
    assert_eq!(disable(3).await, AutoDisabled::CapReached);
    // Allowed by people again, it is the machine's once more.
    run(
        &client,
        "UPDATE extensions SET enabled = true WHERE id = 'e1'",
    )
    .await;
    run(
        &client,
        "UPDATE extensions SET auto_disabled = false WHERE id = 'e2'",
    )
    .await;
    assert_eq!(disable(3).await, AutoDisabled::CapReached);
}
