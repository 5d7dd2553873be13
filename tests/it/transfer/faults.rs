//! What stands in the way of an import: told in full, and nothing is written.

use serde_json::json;

use super::{Place, failed, folder, import, ok, write};
use crate::harness::{DEADLINE, Daemon, TestDatabase, eventually};
use crate::rig::insert;
use crate::schema::run;
use crate::site::extension;

const COUNT: &str = "SELECT count(*) FROM extensions";

#[tokio::test]
async fn every_fault_of_the_files_is_named() {
    let place = Place::new().await;
    let folder = folder(&json!([
        extension("pre", "good"),
        extension("pre", "good"),
        {"id": "bad", "type": "pre", "subject": "elsewhere.x", "timeout_ms": 0},
        {"id": "slow", "type": "pre", "subject": "beamline.ext.slow", "timeout_ms": 999_999},
        {"id": "twin", "type": "pre", "subject": "beamline.ext.good.v1"},
        {"id": "zero", "type": "pre", "subject": "beamline.ext.zero", "config": {"a": "\u{0}"}},
        {"id": "part", "type": "pre", "subject": "beamline.ext.part",
         "instances": [{"instance_id": "i", "subject": "beamline.ext.i", "weight": 101}]}
    ]));
    std::fs::write(folder.path().join("broken.json"), "{").unwrap();
    let errors = failed(place.import(folder.path(), &["--overwrite"]).await);
    for part in [
        "all.json#2: `id` `good` is taken by all.json#1",
        "all.json#3: ",
        "`timeout_ms` must be a whole number from 1 to 120000",
        "slow: `timeout_ms` 999999 must be at most 120000",
        "twin: `subject` beamline.ext.good.v1 is already used by good",
        "zero: `config` holds the character \\u0000",
        "all.json#7/instances/1: ",
        "broken.json: is not JSON",
        "the files have 7 faults; nothing was written",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert_eq!(place.value(COUNT).await, "0");
}

/// Contract 2 and 4.4: as `create` and `put_version` refuse it. What is in the database already comes
/// back as it was.
#[tokio::test]
async fn what_every_other_write_refuses_is_written_by_no_import() {
    let place = Place::new().await;
    let mut odd = extension("pre", "odd");
    odd["metadata"] = json!({"balance": "random"});
    odd["rollout"] = json!({"by": "tenant_id", "percent": 50, "halt": {}});
    odd["versions"] = json!([
        {"version": "v2", "subject": "beamline.ext.odd.v2", "metadata": {"fallback_on": "never"}}
    ]);
    let files = folder(&json!([odd, extension("pre", "good")]));
    let errors = failed(place.import(files.path(), &[]).await);
    for part in [
        "odd: `metadata` `balance` must be `adaptive` or `weighted`\n",
        "odd: `rollout` `halt` is for a version beside the current one\n",
        "odd: version v2: `metadata` `fallback_on` must be `open`\n",
        "the files have 3 faults; nothing was written",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert_eq!(place.value(COUNT).await, "0");

    let by_sql = "INSERT INTO extensions (id, type, subject, metadata)
                  VALUES ('there', 'pre', 'beamline.ext.there', '{\"balance\": \"random\"}')";
    run(&place.sql, by_sql).await;
    let exported = tempfile::tempdir().unwrap();
    ok(place.export(exported.path(), &[]).await);
    let again = ok(place.import(exported.path(), &[]).await);
    assert!(again.contains("nothing to import"), "{again}");
    run(&place.sql, "UPDATE extensions SET retry = 7").await;
    let errors = failed(place.import(exported.path(), &["--overwrite"]).await);
    assert!(errors.contains("there: `metadata` `balance`"), "{errors}");
}

#[tokio::test]
async fn what_cannot_work_is_told_by_its_exit_code() {
    let place = Place::new().await;
    let missing = folder(&json!([])).path().join("missing");
    let errors = failed(place.import(&missing, &[]).await);
    assert!(errors.starts_with("fixtures cannot be read: "), "{errors}");

    let with_one = folder(&extension("pre", "x"));
    let unmigrated = TestDatabase::create().await;
    let errors = failed(import(&unmigrated, with_one.path(), &[]).await);
    assert!(errors.contains("beamline-registry migrate"), "{errors}");

    let builder = Daemon::builder().setting("DB_URL", "postgres://u@127.0.0.1:1/x");
    let away = builder.arg("import").arg(with_one.path().display());
    let errors = failed(away.run().await);
    assert!(errors.contains("the database is unreachable"), "{errors}");

    for command in ["import", "export"] {
        let nowhere = Daemon::builder()
            .arg(command)
            .arg(with_one.path().display());
        let (code, _, errors) = nowhere.run().await;
        assert_eq!(code, 64, "{errors}");
        assert!(errors.contains("EXTENSION_REGISTRY_DB_URL"), "{errors}");
    }
}

/// Limits are for what is written, and an export holds what is there.
#[tokio::test]
async fn what_is_beyond_the_limits_comes_back_as_it_was_and_is_not_written_anew() {
    let place = Place::new().await;
    run(
        &place.sql,
        "INSERT INTO extensions (id, type, subject, retry, timeout_ms)
         VALUES ('slow', 'pre', 'beamline.ext.slow', 200, 300000);
         INSERT INTO extension_versions (id, version, subject, timeout_ms)
         VALUES ('slow', 'v2', 'beamline.ext.slow.v2', 400000)",
    )
    .await;
    let exported = tempfile::tempdir().unwrap();
    ok(place.export(exported.path(), &[]).await);
    let again = ok(place.import(exported.path(), &[]).await);
    assert!(again.contains("nothing to import"), "{again}");

    run(&place.sql, "UPDATE extensions SET enabled = false").await;
    let errors = failed(place.import(exported.path(), &["--overwrite"]).await);
    for part in [
        "slow: `timeout_ms` 300000 must be at most 120000\n",
        "slow: `retry` 200 must be at most 10\n",
        "slow: version v2: `timeout_ms` 400000 must be at most 120000\n",
        "the files have 3 faults; nothing was written",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    let held = "SELECT concat_ws(' ', retry, timeout_ms, enabled) FROM extensions";
    assert_eq!(place.value(held).await, "200 300000 f");
}

/// Another one's mistake in the middle of many leaves nothing of the rest.
#[tokio::test]
async fn a_refusal_of_the_database_leaves_nothing() {
    let place = Place::new().await;
    let many: Vec<_> = (0..50)
        .map(|n| extension("pre", &format!("e{n}")))
        .collect();
    let folder = folder(&json!(many));
    let rule = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                    $$BEGIN RAISE check_violation USING MESSAGE = 'no parts today'; END$$;
                CREATE TRIGGER refuse BEFORE INSERT ON extension_instances
                    FOR EACH ROW EXECUTE FUNCTION refuse()";
    place.sql.batch_execute(rule).await.unwrap();
    let mut with_part = many.clone();
    with_part[49]["instances"] = json!([{"instance_id": "i", "subject": "beamline.ext.i"}]);
    write(folder.path(), &json!(with_part));
    let errors = failed(place.import(folder.path(), &[]).await);
    assert!(
        errors.contains("the database refuses: no parts today"),
        "{errors}"
    );
    assert_eq!(place.value(COUNT).await, "0");
    assert_eq!(
        place.value("SELECT revision FROM registry_revision").await,
        "0"
    );
}

/// A database that refuses is not away, and one that only asks for another try says so.
#[tokio::test]
async fn a_refusal_is_not_an_outage() {
    let place = Place::new().await;
    let folder = folder(&extension("pre", "x"));
    let rule = "CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS
                    $$BEGIN RAISE serialization_failure USING MESSAGE = 'came between'; END$$;
                CREATE TRIGGER conflict BEFORE INSERT ON extensions
                    FOR EACH ROW EXECUTE FUNCTION conflict()";
    place.sql.batch_execute(rule).await.unwrap();
    let errors = failed(place.import(folder.path(), &[]).await);
    assert_eq!(
        errors,
        "conflict with another transaction: came between (40001): try again; nothing was written\n"
    );
    let full = "CREATE OR REPLACE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS
                    $$BEGIN RAISE disk_full USING MESSAGE = 'no room'; END$$";
    place.sql.batch_execute(full).await.unwrap();
    let errors = failed(place.import(folder.path(), &[]).await);
    assert!(
        errors.starts_with("the database is out of resources: "),
        "{errors}"
    );
    assert!(errors.contains("(53100); nothing was written"), "{errors}");
}

/// What another one commits while the import waits for the lock is seen, whatever isolation the
/// database begins its transactions with.
#[tokio::test]
async fn the_import_reads_what_was_committed_before_its_lock() {
    let place = Place::new().await;
    let folder = folder(&extension("pre", "x"));
    let name = place.database.name();
    let isolation =
        format!("ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'");
    place.sql.batch_execute(&isolation).await.unwrap();
    let other = place.database.connect().await;
    let writing = format!("BEGIN; {}", insert("mine"));
    other.batch_execute(&writing).await.unwrap();
    let (said, ()) = tokio::join!(place.import(folder.path(), &[]), async {
        let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')::text";
        eventually("the import waits for the lock", DEADLINE, async || {
            place.value(waiting).await == "true"
        })
        .await;
        other.batch_execute("COMMIT").await.unwrap();
    });
    let out = ok(said);
    assert!(out.contains("1 others in the database stay"), "{out}");
}

/// A trigger of somebody else's changes what is written: the import finds out before it commits.
#[tokio::test]
async fn what_the_database_alters_is_not_committed() {
    let place = Place::new().await;
    let folder = folder(&extension("pre", "x"));
    let rule = "CREATE FUNCTION alter_it() RETURNS trigger LANGUAGE plpgsql AS
                    $$BEGIN NEW.retry := 9; RETURN NEW; END$$;
                CREATE TRIGGER alter_it BEFORE INSERT ON extensions
                    FOR EACH ROW EXECUTE FUNCTION alter_it()";
    place.sql.batch_execute(rule).await.unwrap();
    let errors = failed(place.import(folder.path(), &[]).await);
    assert!(
        errors.contains("verification failed: x: retry differ"),
        "{errors}"
    );
    assert_eq!(place.value(COUNT).await, "0");
}
