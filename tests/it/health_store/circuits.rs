//! Circuits of the fleet, and what operators force.

use beamline_registry::domain::actor::{Actor, ActorSource};
use beamline_registry::service::health_store::{
    AutoDisabled, AutoSwitch, NewOverride, Override, OverrideAction, Overrides,
};

use super::*;

async fn state(client: &Client, extension: usize) -> String {
    let sql = format!(
        "SELECT concat_ws(' ', circuit_breaker_state, circuit_breaker_opened_at IS NOT NULL,
         half_open_request_count) FROM extension_health WHERE extension_id = 'e{extension}'"
    );
    value(client, &sql).await
}

#[tokio::test]
async fn the_state_is_open_while_any_live_sidecar_has_it_open() {
    let (database, client) = fleet(1).await;
    let (a, b) = (store(&database, "a"), store(&database, "b"));
    let failed = [report(id(1), 0, 5)];
    let boot_a = a.register(INTERVAL).await.unwrap();
    flush(&a, &boot_a, 1, &failed, &[open(id(1))]).await;
    assert_eq!(state(&client, 1).await, "open t 0");
    let boot_b = holds(&b, &[]).await;
    assert_eq!(state(&client, 1).await, "open t 0");

    let mut half_open = open(id(1));
    half_open.view.state = CircuitState::HalfOpen;
    half_open.view.trials_out = 2;
    flush(&a, &boot_a, 2, &[], &[half_open]).await;
    assert_eq!(state(&client, 1).await, "half_open t 2");
    flush(&a, &boot_a, 3, &[], &[]).await;
    assert_eq!(state(&client, 1).await, "closed f 0");

    // Of another version than the current one it says nothing.
    let of_v2 = Listed {
        version: VersionName::parse("v2").unwrap(),
        ..open(id(1))
    };
    flush(&a, &boot_a, 4, &[], &[of_v2]).await;
    assert_eq!(state(&client, 1).await, "closed f 0");

    // Silent for three intervals, it is not asked any more: the next that tidies settles it, but no flush,
    // which settles its own.
    flush(&a, &boot_a, 5, &[], &[open(id(1))]).await;
    assert_eq!(state(&client, 1).await, "open t 0");
    silence(&client, "16 s", "instance_id = 'a'").await;
    flush(&b, &boot_b, 2, &[], &[]).await;
    assert_eq!(state(&client, 1).await, "open t 0");
    b.tidy().await.unwrap();
    assert_eq!(state(&client, 1).await, "closed f 0");
}

/// As one that an operator forces open.
#[tokio::test]
async fn an_open_circuit_shows_before_the_first_call() {
    let (database, client) = fleet(3).await;
    let (a, b) = (store(&database, "a"), store(&database, "b"));
    let boot = holds(&a, &[open(id(1))]).await;
    assert_eq!(state(&client, 1).await, "open t 0");
    holds(&b, &[open(id(1)), open(id(2))]).await;
    assert_eq!(state(&client, 2).await, "open t 0");
    flush(&a, &boot, 2, &[report(id(1), 1, 0)], &[open(id(1))]).await;
    assert_eq!(state(&client, 1).await, "open t 0");
    assert_eq!(sums(&client, &id(1)).await, (1, 0));

    // A definition that is locked is not waited for: whoever tidies later settles it.
    let writer = database.connect().await;
    let lock = "BEGIN; SELECT FROM extensions WHERE id = 'e3' FOR UPDATE";
    run(&writer, lock).await;
    flush(&a, &boot, 3, &[], &[open(id(3))]).await;
    run(&writer, "ROLLBACK").await;
    flush(&a, &boot, 4, &[], &[open(id(3))]).await;
    a.tidy().await.unwrap();
    assert_eq!(state(&client, 3).await, "open t 0");
}

#[tokio::test]
async fn a_start_restores_what_half_of_the_fleet_holds() {
    let (database, client) = fleet(3).await;
    let held: [&[Listed]; 4] = [
        &[open(id(1)), open(id(2))],
        &[open(id(1))],
        &[],
        // Dead for long: neither holds nor counts.
        &[open(id(3))],
    ];
    for (n, circuits) in held.iter().enumerate() {
        holds(&store(&database, &format!("s{n}")), circuits).await;
    }
    silence(&client, "16 s", "instance_id = 's3'").await;

    let new = store(&database, "new");
    let boot = new.register(INTERVAL).await.unwrap();
    let restored = new.held(&boot).await.unwrap();
    let ids: Vec<_> = restored.iter().map(|it| &it.extension).collect();
    assert_eq!(ids, [&id(1)], "2 of 3 hold e1, 1 of 3 holds e2");
    let circuit = &restored[0];
    let off = |time: Instant, want: Instant| {
        let early = want.saturating_duration_since(time);
        early.max(time.saturating_duration_since(want))
    };
    let now = Instant::now();
    assert!(circuit.retry_at > now);
    assert!(off(circuit.retry_at, now + Duration::from_secs(50)) < DEADLINE);

    silence(&client, "1 hour", "true").await;
    let nobody = new.held(&boot).await.unwrap();
    assert_eq!(nobody, [], "of nobody, nothing is half");
}

fn forced(action: OverrideAction) -> NewOverride {
    NewOverride {
        extension: id(1),
        incarnation: None,
        version: v1(),
        action,
        ttl: Some(Duration::from_secs(60)),
        reason: Some("maintenance".to_owned()),
        actor: Actor::parse("alice", ActorSource::Subject).unwrap(),
    }
}

async fn listed(store: &PostgresHealth) -> Vec<OverrideAction> {
    let overrides: Vec<Override> = store.overrides().await.unwrap();
    overrides.iter().map(|it| it.action).collect()
}

#[tokio::test]
async fn overrides_are_audited_notified_and_expire() {
    let (database, client) = fleet(1).await;
    let (url, mut heard) = (database.url(), Vec::new());
    let (listener, mut connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(Ok(message)) =
            std::future::poll_fn(|context| connection.poll_message(context)).await
        {
            if let tokio_postgres::AsyncMessage::Notification(it) = message {
                sender.send(it.payload().to_owned()).await.unwrap();
            }
        }
    });
    run(&listener, "LISTEN beamline_registry").await;

    let store = store(&database, "s1");
    for change in [1, 1, 2] {
        assert!(
            store
                .set_override(&forced(OverrideAction::Open), change)
                .await
                .unwrap()
        );
    }
    heard.push(
        tokio::time::timeout(DEADLINE, receiver.recv())
            .await
            .unwrap()
            .unwrap(),
    );
    assert_eq!(heard, ["override"]);
    let entries = "SELECT string_agg(concat_ws(' ', changed_by, actor_source, revision,
            changes -> 'old' ->> 'action', changes -> 'new' ->> 'action',
            changes -> 'new' ->> 'reason'), ', ' ORDER BY id)
        FROM extension_audit_log WHERE action = 'circuit_override'";
    assert_eq!(
        value(&client, entries).await,
        "alice subject open maintenance, alice subject open open maintenance",
        "the repeated change has no second entry, and none has a revision"
    );
    assert_eq!(
        value(&client, "SELECT revision FROM registry_revision").await,
        "1"
    );

    let in_force = store.overrides().await.unwrap();
    assert_eq!(in_force.len(), 1);
    assert!(in_force[0].until.unwrap() > Instant::now());

    run(
        &client,
        "UPDATE circuit_overrides SET until = now() - interval '1 s'",
    )
    .await;
    assert_eq!(listed(&store).await, []);
    store.tidy().await.unwrap();
    assert_eq!(
        value(&client, "SELECT count(*) FROM circuit_overrides").await,
        "0"
    );

    assert!(
        store
            .set_override(&forced(OverrideAction::Close), 3)
            .await
            .unwrap()
    );
    assert!(
        store
            .set_override(&forced(OverrideAction::Reset), 4)
            .await
            .unwrap()
    );
    assert_eq!(listed(&store).await, [OverrideAction::Reset]);
    run(&client, "DELETE FROM extensions").await;
    assert_eq!(listed(&store).await, []);
    assert!(
        !store
            .set_override(&forced(OverrideAction::Open), 5)
            .await
            .unwrap()
    );
}

/// Also where it was the last to flush, and has stopped since.
#[tokio::test]
async fn a_start_does_not_restore_what_an_operator_has_closed_since() {
    let (database, _client) = fleet(1).await;
    let (old, new) = (store(&database, "old"), store(&database, "new"));
    let held = holds(&old, &[open(id(1))]).await;
    let boot = new.register(INTERVAL).await.unwrap();
    let restored = async || new.held(&boot).await.unwrap().len();
    let order = async |action, change| old.set_override(&forced(action), change).await.unwrap();
    assert_eq!(restored().await, 1);
    order(OverrideAction::Open, 1).await;
    assert_eq!(restored().await, 1);
    for (action, change) in [(OverrideAction::Close, 2), (OverrideAction::Reset, 3)] {
        order(action, change).await;
        assert_eq!(restored().await, 0, "{action:?}");
        // What is flushed later was found failing again.
        flush(
            &old,
            &held,
            u64::try_from(change).unwrap(),
            &[],
            &[open(id(1))],
        )
        .await;
        assert_eq!(restored().await, 1, "{action:?}");
    }
}

/// Which extension of the id it is now.
async fn incarnation(client: &Client, number: usize) -> Option<Incarnation> {
    let uuid = format!(
        "SELECT replace(incarnation::text, '-', '') FROM extensions WHERE id = 'e{number}'"
    );
    let digits = value(client, &uuid).await;
    Some(Incarnation(u128::from_str_radix(&digits, 16).unwrap()))
}

/// Until the sidecars that said it have flushed again, too.
#[tokio::test]
async fn what_was_said_of_one_that_was_deleted_says_nothing_of_the_next() {
    let (database, client) = fleet(1).await;
    let (a, b) = (store(&database, "a"), store(&database, "b"));
    let old = incarnation(&client, 1).await;
    let held = Listed {
        incarnation: old,
        ..open(id(1))
    };
    let boot_a = a.register(INTERVAL).await.unwrap();
    flush(&a, &boot_a, 1, &[report(id(1), 0, 5)], &[held]).await;
    assert_eq!(state(&client, 1).await, "open t 0");
    let boot_b = b.register(INTERVAL).await.unwrap();
    assert_eq!(b.held(&boot_b).await.unwrap().len(), 1);

    run(
        &client,
        "CREATE TEMP TABLE kept AS SELECT id, type, subject FROM extensions;
         DELETE FROM extensions; INSERT INTO extensions (id, type, subject) TABLE kept",
    )
    .await;
    flush(&b, &boot_b, 1, &[report(id(1), 1, 0)], &[]).await;
    assert_eq!(state(&client, 1).await, "closed f 0");
    assert_eq!(b.held(&boot_b).await.unwrap(), []);
    let new = incarnation(&client, 1).await;
    assert_ne!(old, new);
    let others = a.others(&boot_a, None).await.unwrap();
    assert!(
        others
            .iter()
            .all(|it| it.incarnation == new && it.sums.counts.failures == 0)
    );

    let disabled = a.auto_disable(&id(1), old, "{}", 100).await;
    assert_eq!(disabled, Ok(AutoDisabled::Gone));
    let disabled = a.auto_disable(&id(1), new, "{}", 100).await;
    assert!(
        matches!(disabled, Ok(AutoDisabled::SeenAlive)),
        "{disabled:?}"
    );
    run(&client, "UPDATE extensions SET auto_disabled = true").await;
    let enabled = a.auto_enable(&id(1), old, "{}").await;
    assert_eq!(enabled, Ok(None));
}
