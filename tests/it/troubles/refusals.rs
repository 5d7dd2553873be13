//! What the database does not take is the request's fault, and never an outage. CASES.md D11.

use serde_json::json;

use super::logged;
use crate::harness::Daemon;
use crate::rig::Rig;
use crate::schema::{run, value};

/// A rule that refuses `bad`, by what it raises.
fn rule(raises: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN IF NEW.id = 'bad' THEN {raises}; END IF; RETURN NEW; END$$;
         DROP TRIGGER IF EXISTS refuse ON extensions;
         CREATE TRIGGER refuse BEFORE INSERT ON extensions
            FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
}

#[tokio::test]
async fn each_kind_of_refusal_has_its_code() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let bad = json!({"id": "bad", "type": "pre", "subject": "beamline.ext.bad"});
    for (raises, code, name) in [
        (
            "RAISE feature_not_supported USING MESSAGE = 'no'",
            400,
            "invalid_request",
        ),
        (
            "RAISE numeric_value_out_of_range USING MESSAGE = 'no'",
            400,
            "invalid_request",
        ),
        (
            "RAISE untranslatable_character USING MESSAGE = 'no'",
            400,
            "invalid_request",
        ),
        (
            "RAISE check_violation USING MESSAGE = 'no'",
            400,
            "invalid_request",
        ),
        (
            "RAISE not_null_violation USING MESSAGE = 'no'",
            400,
            "invalid_request",
        ),
        (
            "RAISE program_limit_exceeded USING MESSAGE = 'no'",
            400,
            "invalid_request",
        ),
        ("RAISE 'no'", 400, "invalid_request"),
        ("RAISE 'no' USING ERRCODE = 'BL001'", 400, "invalid_request"),
        (
            "RAISE no_data_found USING MESSAGE = 'no'",
            400,
            "invalid_request",
        ),
        ("ASSERT false, 'no'", 400, "invalid_request"),
        // Without a word: the row is left out.
        ("RETURN NULL", 400, "invalid_request"),
        (
            "RAISE insufficient_privilege USING MESSAGE = 'no'",
            500,
            "internal",
        ),
        ("RAISE internal_error USING MESSAGE = 'no'", 500, "internal"),
        (
            "RAISE disk_full USING MESSAGE = 'no'",
            503,
            "database_unavailable",
        ),
        (
            "RAISE read_only_sql_transaction USING MESSAGE = 'no'",
            503,
            "database_unavailable",
        ),
    ] {
        run(&rig.sql, &rule(raises)).await;
        let reply = rig.ask("create", &bad).await;
        assert_eq!(
            reply.error(),
            (code, name.to_owned()),
            "{raises}: {reply:?}"
        );
        let text = reply.json().to_string();
        assert!(
            !text.contains("away") && !text.contains("unreachable"),
            "{text}"
        );
        assert_eq!(rig.stats().await["database"]["state"], "up", "{raises}");
    }
    assert!(!logged(&daemon, &["unreachable"]));
    run(&rig.sql, "DROP TRIGGER refuse ON extensions").await;
    rig.ask("create", &bad).await.ok();
}

#[tokio::test]
async fn a_constraint_is_known_by_its_rule_and_not_by_its_name() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let new = |id: &str, subject: &str| json!({"id": id, "type": "pre", "subject": subject});
    rig.ask("create", &new("a", "beamline.ext.a")).await.ok();
    run(
        &rig.sql,
        "ALTER TABLE extensions RENAME CONSTRAINT extensions_subject_key TO one_of_each;
         ALTER TABLE extensions ADD CONSTRAINT extensions_subject_check
             CHECK (subject NOT LIKE '%.bad')",
    )
    .await;
    let taken = rig.ask("create", &new("b", "beamline.ext.a")).await;
    assert_eq!(taken.error(), (409, "already_exists".to_owned()));
    let refused = rig.ask("create", &new("b", "beamline.ext.bad")).await;
    assert_eq!(refused.error(), (400, "invalid_request".to_owned()));
}

/// A trigger that leaves a row out answers the server's statement with success.
#[tokio::test]
async fn what_a_trigger_keeps_is_not_called_changed() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let new = json!({"id": "a", "type": "pre", "subject": "beamline.ext.a"});
    rig.ask("create", &new).await.ok();
    let instance = json!({"id": "a", "instance_id": "i", "subject": "beamline.ext.i"});
    rig.ask("put_instance", &instance).await.ok();
    let next = json!({"id": "a", "version": "v0", "subject": "beamline.ext.a0"});
    rig.ask("put_version", &next).await.ok();
    run(
        &rig.sql,
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
         CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON extensions
             FOR EACH ROW EXECUTE FUNCTION keep();
         CREATE TRIGGER keep BEFORE INSERT ON extension_versions
             FOR EACH ROW EXECUTE FUNCTION keep();
         CREATE TRIGGER keep BEFORE INSERT OR DELETE ON extension_instances
             FOR EACH ROW EXECUTE FUNCTION keep()",
    )
    .await;
    for (verb, body) in [
        ("delete", json!({"id": "a"})),
        ("delete", json!({"id": "a", "dry_run": true})),
        ("delete_instance", json!({"id": "a", "instance_id": "i"})),
        (
            "put_version",
            json!({"id": "a", "version": "v2", "subject": "beamline.ext.b"}),
        ),
        (
            "put_instance",
            json!({"id": "a", "instance_id": "j", "subject": "beamline.ext.j"}),
        ),
        ("disable", json!({"id": "a"})),
        ("update", json!({"id": "a", "timeout_ms": 77})),
        ("update", json!({"id": "a", "config": {"mode": "new"}})),
        (
            "update",
            json!({"id": "a", "timeout_ms": 77, "dry_run": true}),
        ),
        (
            "update_version",
            json!({"id": "a", "version": "v0", "priority": 7}),
        ),
        (
            "put_instance",
            json!({"id": "a", "instance_id": "i", "subject": "beamline.ext.other"}),
        ),
    ] {
        let kept = rig.ask(verb, &body).await;
        assert_eq!(kept.error(), (400, "invalid_request".to_owned()), "{verb}");
        assert_eq!(kept.details()["field"], "id", "{verb}");
    }
    // What changes nothing is kept by nobody.
    let same = json!({"id": "a", "timeout_ms": 5000, "config": {}});
    rig.ask("update", &same).await.ok();
    // The triggers refuse it, without a field: a version cannot change where its extension does not.
    let promote = json!({"id": "a", "version": "v0"});
    let kept = rig.ask("promote", &promote).await;
    assert_eq!(kept.error(), (400, "invalid_request".to_owned()));
    for put_back in [
        "",
        "CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.enabled := OLD.enabled; RETURN NEW; END$$",
    ] {
        run(&rig.sql, put_back).await;
        for many in [json!({"ids": ["a"]}), json!({"selector": {"type": "pre"}})] {
            let kept = rig.ask("disable", &many).await;
            assert_eq!(kept.error(), (400, "invalid_request".to_owned()), "{many}");
        }
    }
    rig.lookup("a").await.ok();
}

/// A restore of rows alone leaves the audit's sequence behind them.
#[tokio::test]
async fn a_number_that_the_audit_has_already_is_not_the_requests_fault() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let new = |id: &str| {
        let subject = format!("beamline.ext.{id}");
        json!({"id": id, "type": "pre", "subject": subject})
    };
    rig.ask("create", &new("a")).await.ok();
    let behind = "SELECT setval('extension_audit_log_id_seq', 1, false)";
    run(&rig.sql, behind).await;
    let refused = rig.ask("create", &new("b")).await;
    assert_eq!(refused.error(), (500, "internal".to_owned()));
    super::wait_logged(&daemon, &["cannot write: ", "extension_audit_log_pkey"]).await;
}

/// As a restore that was ended leaves them: the change would have no revision, and be served by nobody.
#[tokio::test]
async fn a_change_that_no_trigger_would_record_is_refused() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let new = json!({"id": "a", "type": "pre", "subject": "beamline.ext.a"});
    rig.ask("create", &new).await.ok();
    let off = "ALTER TABLE extensions DISABLE TRIGGER USER";
    run(&rig.sql, off).await;
    let change = json!({"id": "a", "timeout_ms": 77});
    let refused = rig.ask("update", &change).await;
    assert_eq!(refused.error(), (500, "internal".to_owned()));
    let words = [" of extensions is disabled: run `beamline-registry migrate`"];
    super::wait_logged(&daemon, &words).await;
    let automatic = "SELECT registry_auto_disable('a', NULL, '{}', 100, 'one')";
    rig.sql.batch_execute(automatic).await.unwrap_err();
    let kept = "SELECT timeout_ms || ' ' || auto_disabled FROM extensions WHERE id = 'a'";
    assert_eq!(value(&rig.sql, kept).await, "5000 false");
    let migrate = Daemon::builder()
        .database(&rig.database.url())
        .arg("migrate");
    let (code, output, errors) = migrate.run().await;
    assert_eq!(code, 0, "{output}{errors}");
    assert_eq!(rig.ask("update", &change).await.ok()["timeout_ms"], 77);
}
