//! A year of restarts, flapping and changes leaves behind what is documented, and no more.

use super::{migrated, run};

/// What happens in a day to a fleet of three sidecars that restart every three hours, with 50 extensions,
/// one of which flaps; and which of it is told.
const DAY: &str = r#"
    INSERT INTO sidecar_boots (instance_id, flush_interval)
    SELECT 's' || n % 3, '5 s' FROM generate_series(1, 24) AS n;
    SELECT health_flush(boot, 1, '5 s', (SELECT jsonb_agg(jsonb_build_object('id', 'e' || n,
            'successes', 9, 'failures', 1, 'latency_count', 10, 'latency_total_us', 9000,
            'success_age', 10, 'answer_age', 10, 'failure_age', 20, 'failure_threshold', 5,
            'half_open_maximum', 3)) FROM generate_series(1, 50) AS n),
        '[{"id": "e1", "version": "v1", "state": "open", "age": 10, "wait": 50000, "trials": 0}]')
    FROM sidecar_boots WHERE folded_at IS NULL AND sequence = 0;
    SELECT health_flush(boot, 2, '5 s', '[]', '[]') FROM sidecar_boots WHERE sequence = 1;
    INSERT INTO extensions (id, type, subject) SELECT 'day' || n, 'pre', 's.day' || n
    FROM generate_series(1, 5) AS n;
    UPDATE extensions SET timeout_ms = timeout_ms + 1;
    INSERT INTO extension_versions (id, version, subject) SELECT id, 'v2', 's' FROM extensions;
    INSERT INTO extension_instances (extension_id, instance_id, subject) SELECT id, 'i', 's' FROM extensions;
    INSERT INTO circuit_overrides (extension_id, version, action, change, until, set_by, actor_source)
    SELECT id, 'v' || n, 'open', gen_random_uuid(), now() + interval '1 hour', 'x', 'none'
    FROM extensions, generate_series(1, 3) AS n ON CONFLICT DO NOTHING;
    DELETE FROM extension_versions; DELETE FROM extension_instances;
    DELETE FROM extensions WHERE id LIKE 'day%';
    UPDATE event_claims SET revision = (SELECT revision FROM registry_revision)"#;

/// One that flaps, in transactions of its own.
const FLAP: [&str; 2] = [
    "SELECT registry_auto_disable('e1', NULL, '{}', 50, 'nobody')",
    "SELECT registry_auto_enable('e1', NULL, '{}', 'nobody')",
];

/// A day goes by.
const NIGHT: &str = "
    UPDATE sidecar_boots SET flushed_at = flushed_at - interval '1 day',
        folded_at = folded_at - interval '1 day';
    UPDATE extension_health_reports SET last_answer = last_answer - interval '1 day';
    UPDATE registry_tombstones SET deleted_at = deleted_at - interval '1 day';
    UPDATE circuit_overrides SET until = until - interval '1 day';
    UPDATE extension_audit_log SET timestamp = timestamp - interval '1 day'";

/// What sidecars do now and then, and what an operator has `migrate --prune-audit 90d` do.
const TIDY: &str = "DELETE FROM circuit_overrides WHERE until < now(); SELECT health_fold();
    SELECT registry_prune_audit('90 days')";

#[tokio::test]
#[ignore = "takes minutes: just soak"]
async fn after_a_year_every_table_has_what_is_documented() {
    let (_database, client) = migrated().await;
    let extensions = "INSERT INTO extensions (id, type, subject)
        SELECT 'e' || n, 'pre', 's.' || n FROM generate_series(1, 50) AS n";
    run(&client, extensions).await;
    for day in 0..365 {
        // The names of what comes and goes are new every day.
        let names = format!("'day{day}_' || n, 'pre', 's.day{day}_' || n");
        run(
            &client,
            &DAY.replace("'day' || n, 'pre', 's.day' || n", &names),
        )
        .await;
        for flap in FLAP.iter().cycle().take(20) {
            run(&client, flap).await;
        }
        run(&client, NIGHT).await;
        run(&client, TIDY).await;
    }
    let tables = "SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1";
    let mut beyond = Vec::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 = client.query_one(&count, &[]).await.unwrap().get(0);
        let most = match table.as_str() {
            "extensions" | "extension_health" => 50,
            // 90 days of 50 + 5 changes of each kind, what comes and goes, and 20 flaps.
            "extension_audit_log" => 91 * 400,
            // 7 days of 5, and of 24.
            "registry_tombstones" => 8 * 5,
            "sidecar_boots" => 9 * 24,
            // Of the boots of a day, which are folded by the next.
            "extension_health_reports" => 24 * 50,
            "extension_circuit_reports" => 24,
            "circuit_overrides" => 50 * 3,
            "event_claims" | "registry_revision" | "registry_functions" | "probe_lease" => 1,
            "refinery_schema_history" => 20,
            "extension_versions" | "extension_instances" | "rollout_attempts" => 0,
            other => panic!("how many rows may {other} have?"),
        };
        println!("{table}: {count} rows, at most {most}");
        if count > most {
            beyond.push(format!("{table}: {count}"));
        }
    }
    assert_eq!(beyond, [""; 0]);
}
