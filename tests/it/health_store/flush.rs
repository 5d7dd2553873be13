//! One flush after the other, and many at a time.

use super::*;

#[tokio::test]
async fn a_repeated_flush_adds_nothing() {
    let (database, client) = fleet(2).await;
    let store = store(&database, "s1");
    let boot = store.register(INTERVAL).await.unwrap();
    let reports = [report(id(1), 3, 1)];
    for _ in 0..3 {
        assert_eq!(flush(&store, &boot, 1, &reports, &[]).await, written(1));
    }
    assert_eq!(flush(&store, &boot, 2, &reports, &[]).await, written(2));
    // Overtaken by a later one, as on a connection that hung.
    assert_eq!(flush(&store, &boot, 1, &reports, &[]).await, written(2));
    assert_eq!(sums(&client, &id(1)).await, (6, 2));

    let sql = "SELECT concat_ws(' ', avg_latency_ms, circuit_breaker_state,
        circuit_breaker_failure_threshold, half_open_max_requests, auto_disabled,
        last_success > now() - interval '1 min', last_failure <= now()) FROM extension_health";
    assert_eq!(value(&client, sql).await, "2 closed 5 3 f t t");
}

/// An id that was deleted and made again while a flush was on its way.
#[tokio::test]
async fn what_was_counted_of_another_extension_of_the_id_is_left_out() {
    let (database, client) = fleet(1).await;
    let store = store(&database, "s1");
    let boot = store.register(INTERVAL).await.unwrap();
    let told = "SELECT replace(incarnation::text, '-', '') FROM extensions";
    let of = async || u128::from_str_radix(&value(&client, told).await, 16).unwrap();
    let first = of().await;
    let reports = |incarnation: u128| {
        let mut report = report(id(1), 1, 2);
        report.figures.incarnation = Some(Incarnation(incarnation));
        [report]
    };
    assert_eq!(
        flush(&store, &boot, 1, &reports(first), &[]).await,
        written(1)
    );
    assert_eq!(sums(&client, &id(1)).await, (1, 2));
    run(
        &client,
        "BEGIN; CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT id, type, subject FROM extensions;
         DELETE FROM extensions;
         INSERT INTO extensions (id, type, subject) SELECT * FROM kept; COMMIT",
    )
    .await;
    let second = of().await;
    assert_ne!(first, second);
    assert_eq!(
        flush(&store, &boot, 2, &reports(first), &[]).await,
        written(2)
    );
    let rows = "SELECT count(*) FROM extension_health";
    assert_eq!(
        value(&client, rows).await,
        "0",
        "neither counted nor held back"
    );
    assert_eq!(
        flush(&store, &boot, 3, &reports(second), &[]).await,
        written(3)
    );
    assert_eq!(sums(&client, &id(1)).await, (1, 2));
}

#[tokio::test]
async fn a_flush_is_silent() {
    let (database, client) = fleet(1).await;
    let store = store(&database, "s1");
    let before = value(&client, "SELECT r FROM registry_revision r").await;
    let definitions = database.connect().await;
    run(
        &definitions,
        "BEGIN; SELECT FROM registry_revision FOR UPDATE",
    )
    .await;
    let boot = store.register(INTERVAL).await.unwrap();
    flush(&store, &boot, 1, &[report(id(1), 1, 0)], &[open(id(1))]).await;
    assert_eq!(sums(&client, &id(1)).await, (1, 0));
    run(&definitions, "ROLLBACK").await;
    let after = value(&client, "SELECT r FROM registry_revision r").await;
    assert_eq!(before, after);
    assert_eq!(
        value(&client, "SELECT count(*) FROM extension_audit_log").await,
        "1"
    );
}

#[tokio::test]
async fn eight_sidecars_flush_at_once_and_every_call_counts() {
    const EXTENSIONS: usize = 200;
    const ROUNDS: u64 = 20;
    let (database, client) = fleet(EXTENSIONS).await;
    let sidecars: Vec<_> = (0..8)
        .map(|n| {
            let store = store(&database, &format!("s{n}"));
            tokio::spawn(async move {
                let mut ledger = Ledger::default();
                for round in 1..=ROUNDS {
                    // Each starts somewhere else, so that their orders differ.
                    let totals: Vec<_> = (0..EXTENSIONS)
                        .map(|e| report(id((e + n * 31) % EXTENSIONS + 1), round, 2 * round))
                        .collect();
                    ledger.flush(&store, INTERVAL, &totals, &[]).await.unwrap();
                    while round == ROUNDS
                        && !ledger.flush(&store, INTERVAL, &totals, &[]).await.unwrap()
                    {
                    }
                }
            })
        })
        .collect();
    for sidecar in sidecars {
        sidecar.await.unwrap();
    }
    for extension in 1..=EXTENSIONS {
        assert_eq!(
            sums(&client, &id(extension)).await,
            (8 * ROUNDS, 16 * ROUNDS)
        );
    }
    let own = "SELECT count(*) || ' ' || sum(success_count) FROM extension_health_reports";
    assert_eq!(value(&client, own).await, "1600 32000");
}

#[tokio::test]
async fn a_batch_larger_than_a_flush_goes_in_several() {
    let (database, client) = fleet(2500).await;
    let totals: Vec<_> = (1..=2500).map(|e| report(id(e), 1, 0)).collect();
    let mut ledger = Ledger::default();
    let store = store(&database, "s1");
    let complete = ledger.flush(&store, INTERVAL, &totals, &[]).await.unwrap();
    assert!(complete);
    let sum = "SELECT sum(success_count) FROM extension_health";
    assert_eq!(value(&client, sum).await, "2500");
    assert_eq!(
        value(&client, "SELECT sequence FROM sidecar_boots").await,
        "3"
    );
}

#[tokio::test]
async fn deleted_extensions_take_their_health_along_and_stop_nothing() {
    let (database, client) = fleet(3).await;
    let store = store(&database, "s1");
    let mut ledger = Ledger::default();
    let totals = |n| {
        [
            report(id(1), n, 0),
            report(id(2), n, 0),
            report(id(3), n, 0),
        ]
    };
    ledger
        .flush(&store, INTERVAL, &totals(1), &[])
        .await
        .unwrap();
    run(&client, "DELETE FROM extensions WHERE id = 'e1'").await;
    let complete = ledger
        .flush(&store, INTERVAL, &totals(2), &[])
        .await
        .unwrap();
    assert!(complete);
    assert_eq!(sums(&client, &id(1)).await, (0, 0));
    assert_eq!(sums(&client, &id(2)).await, (2, 0));

    // Made again, it begins anew; renamed, it keeps what it has.
    run(
        &client,
        "INSERT INTO extensions (id, type, subject) VALUES ('e1', 'pre', 'beamline.ext.again');
         UPDATE extensions SET id = 'e9' WHERE id = 'e3'",
    )
    .await;
    let totals = [
        report(id(1), 5, 0),
        report(id(3), 5, 0),
        report(id(9), 4, 0),
    ];
    ledger.flush(&store, INTERVAL, &totals, &[]).await.unwrap();
    assert_eq!(sums(&client, &id(1)).await, (3, 0));
    assert_eq!(sums(&client, &id(9)).await, (6, 0));
    let ids = "SELECT string_agg(extension_id, ' ' ORDER BY extension_id)
        FROM extension_health_reports";
    assert_eq!(value(&client, ids).await, "e1 e2 e9");
    run(&client, "TRUNCATE extensions CASCADE").await;
    assert_eq!(value(&client, ids).await, "");
}

#[tokio::test]
async fn what_is_locked_is_held_back_and_comes_later() {
    let (database, client) = fleet(3).await;
    let store = store(&database, "s1");
    let mut ledger = Ledger::default();
    let first = [report(id(1), 1, 0), report(id(2), 1, 0)];
    ledger.flush(&store, INTERVAL, &first, &[]).await.unwrap();

    // e1 has a row of health already, e3 has none yet.
    run(
        &client,
        "BEGIN; DELETE FROM extensions WHERE id IN ('e3', 'e1')",
    )
    .await;
    let more = [
        report(id(1), 2, 0),
        report(id(2), 2, 0),
        report(id(3), 2, 0),
    ];
    let complete = ledger.flush(&store, INTERVAL, &more, &[]).await.unwrap();
    assert!(!complete);
    assert_eq!(sums(&client, &id(2)).await, (2, 0));
    // Repeated, it still says what it left out.
    let boot = ledger.boot(&store, INTERVAL).await.unwrap();
    let Flushed::Written(mut last) = flush(&store, &boot, 2, &more, &[]).await else {
        panic!("fenced");
    };
    last.held_back.sort();
    assert_eq!(last.held_back, [id(1), id(3)]);

    run(&client, "ROLLBACK").await;
    let complete = ledger.flush(&store, INTERVAL, &more, &[]).await.unwrap();
    assert!(complete);
    for extension in 1..=3 {
        assert_eq!(sums(&client, &id(extension)).await, (2, 0));
    }
}

#[tokio::test]
async fn others_are_the_fleet_without_us() {
    let (database, client) = fleet(2).await;
    run(
        &client,
        "INSERT INTO extension_health (extension_id, success_count) VALUES ('e1', 100)",
    )
    .await;
    let (ours, theirs) = (store(&database, "s1"), store(&database, "s2"));
    let mut our_ledger = Ledger::default();
    let mut their_ledger = Ledger::default();
    let our_totals = [report(id(1), 3, 0)];
    our_ledger
        .flush(&ours, INTERVAL, &our_totals, &[])
        .await
        .unwrap();
    their_ledger
        .flush(&theirs, INTERVAL, &[report(id(1), 4, 5)], &[])
        .await
        .unwrap();

    let boot = our_ledger.boot(&ours, INTERVAL).await.unwrap();
    let others = ours.others(&boot, None).await.unwrap();
    assert_eq!(others.len(), 1);
    let counts = others[0].sums.counts;
    assert_eq!((counts.successes, counts.failures), (104, 5), "{others:?}");
    assert!(others[0].sums.last_failure.is_some());

    // Folded under us, our own part looks like others'; the ledger knows.
    silence(&client, "11 min", "instance_id = 's1'").await;
    assert_eq!(theirs.tidy().await.unwrap(), 1);
    our_ledger
        .flush(&ours, INTERVAL, &our_totals, &[])
        .await
        .unwrap();
    let boot = our_ledger.boot(&ours, INTERVAL).await.unwrap();
    let others = ours.others(&boot, Some(DEADLINE)).await.unwrap();
    assert_eq!(others[0].sums.counts.successes, 107);
    assert_eq!(our_ledger.folded(&id(1)).counts.successes, 3);
    assert_eq!(sums(&client, &id(1)).await, (107, 5));

    run(
        &client,
        "UPDATE extension_health SET updated_at = now() - interval '1 hour'",
    )
    .await;
    assert!(ours.others(&boot, Some(DEADLINE)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_old_average_goes_on() {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    run(
        &client,
        "CREATE TABLE extensions (id varchar(255) PRIMARY KEY, type varchar(50) NOT NULL,
            subject varchar(255) NOT NULL UNIQUE, timeout_ms integer NOT NULL DEFAULT 5000,
            retry integer NOT NULL DEFAULT 1, enabled boolean NOT NULL DEFAULT true,
            config jsonb DEFAULT '{}', metadata jsonb DEFAULT '{}',
            created_at timestamp DEFAULT now(), updated_at timestamp DEFAULT now());
         CREATE TABLE extension_health (extension_id varchar(255) PRIMARY KEY,
            last_success timestamp, last_failure timestamp, failure_count integer DEFAULT 0,
            success_count integer DEFAULT 0, avg_latency_ms float DEFAULT 0,
            updated_at timestamp DEFAULT now());
         INSERT INTO extensions (id, type, subject) VALUES ('e1', 'pre', 'a'), ('e2', 'pre', 'b');
         INSERT INTO extension_health (extension_id, success_count, failure_count, avg_latency_ms)
             VALUES ('e1', 2, NULL, 5), ('e2', 2000000000, 1, 'NaN')",
    )
    .await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let store = store(&database, "s1");
    let totals = [report(id(1), 1, 0), report(id(2), 1, 0)];
    Ledger::default()
        .flush(&store, INTERVAL, &totals, &[])
        .await
        .unwrap();
    let sql = "SELECT string_agg(concat_ws(' ', success_count, failure_count, avg_latency_ms), ', '
        ORDER BY extension_id) FROM extension_health";
    assert_eq!(value(&client, sql).await, "3 0 4, 2000000001 1 2");
}
