//! What an import does with what is there.

use serde_json::{Value, json};

use super::{Place, failed, folder, ok, write};
use crate::rig::Rig;
use crate::schema::run;
use crate::site::extension;

/// Three extensions, one with a version and an instance.
fn three() -> Value {
    let mut routed = extension("pre", "routed");
    routed["versions"] = json!([
        {"version": "v2", "subject": "beamline.ext.routed.v2", "enabled": true, "priority": 3}
    ]);
    routed["instances"] = json!([
        {"instance_id": "blue", "subject": "beamline.ext.routed.blue", "weight": 30}
    ]);
    routed["config"] = json!({"b": 1, "a": {"x": [1, 2]}});
    json!([
        routed,
        extension("post", "plain"),
        extension("validator", "other")
    ])
}

/// The lines of the first table, with single spaces.
fn counts(out: &str) -> Vec<String> {
    let lines = out.lines().take_while(|line| !line.is_empty());
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[tokio::test]
async fn absent_ones_are_created_and_identical_ones_skipped() {
    let place = Place::new().await;
    let folder = folder(&three());
    let out = ok(place.import(folder.path(), &[]).await);
    assert_eq!(
        counts(&out)[..4],
        [
            "extensions versions instances",
            "created 3 1 1",
            "identical 0 0 0",
            "replaced 0 0 0"
        ]
    );
    assert!(out.contains("verified 3 extensions in revision 1"), "{out}");
    let made = "SELECT string_agg(concat_ws(' ', extension_id, action, revision), ', ' ORDER BY id)
                FROM extension_audit_log";
    assert_eq!(
        place.value(made).await,
        "other created 1, plain created 1, routed created 1, routed version_put 1, \
         routed instance_put 1"
    );
    let who = "SELECT string_agg(DISTINCT changed_by || ' ' || actor_source, ',')
               FROM extension_audit_log";
    let who = place.value(who).await;
    assert!(
        who.starts_with("import:") && who.ends_with(" database"),
        "{who}"
    );
    assert!(who.len() > "import: database".len(), "{who}");

    let again = ok(place.import(folder.path(), &[]).await);
    assert_eq!(counts(&again)[1..3], ["created 0 0 0", "identical 3 1 1"]);
    assert!(again.contains("nothing to import"), "{again}");
    assert_eq!(
        place.value("SELECT revision FROM registry_revision").await,
        "1"
    );
}

#[tokio::test]
async fn different_ones_stop_it_unless_they_are_to_be_overwritten() {
    let place = Place::new().await;
    let folder = folder(&three());
    ok(place.import(folder.path(), &[]).await);
    run(
        &place.sql,
        "INSERT INTO extensions (id, type, subject) VALUES ('mine', 'pre', 'beamline.ext.mine');
         UPDATE extensions SET retry = 7, auto_disabled = true WHERE id = 'routed';
         INSERT INTO extension_versions (id, version, subject)
         VALUES ('routed', 'v3', 'beamline.ext.routed.v3');
         UPDATE extension_instances SET weight = 99",
    )
    .await;
    let mut changed = three();
    changed[0]["type"] = json!("provider");
    changed[0]["config"]["a"]["x"] = json!([1, 3]);
    changed
        .as_array_mut()
        .unwrap()
        .push(extension("pre", "new"));
    write(folder.path(), &changed);
    let digest = "SELECT registry_digest()";
    let before = place.value(digest).await;

    let (code, out, errors) = place.import(folder.path(), &[]).await;
    assert_eq!(code, 1, "{out}");
    assert_eq!(
        counts(&out)[1..],
        [
            "absent 1 0 0",
            "identical 2 0 0",
            "different 1 1 1",
            "not in the files 1"
        ]
    );
    for line in [
        "routed type pre provider",
        "routed retry 7 1",
        r#"routed config.a {"x":[1,2]} {"x":[1,3]}"#,
        "routed versions/v3 subject beamline.ext.routed.v3, priority 0, enab... -",
        "routed instances/blue/weight 99 30",
    ] {
        let lines: Vec<_> = out
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert!(lines.contains(&line.to_owned()), "{line}: {out}");
    }
    assert!(
        errors.contains("nothing was written: --overwrite"),
        "{errors}"
    );
    assert_eq!(place.value(digest).await, before);

    let out = ok(place
        .import(folder.path(), &["--overwrite", "--dry-run"])
        .await);
    assert_eq!(counts(&out)[1], "to be created 1 0 0");
    assert!(out.contains("dry run: 2 extensions were written"), "{out}");
    assert_eq!(place.value(digest).await, before);

    let out = ok(place.import(folder.path(), &["--overwrite"]).await);
    assert_eq!(
        counts(&out)[1..4],
        ["created 1 0 0", "identical 2 0 0", "replaced 1 1 1"]
    );
    assert!(
        out.contains("1 others in the database stay as they are"),
        "{out}"
    );
    let now = "SELECT concat_ws(' ', type, retry, auto_disabled,
                   (SELECT string_agg(version, ',') FROM extension_versions v WHERE v.id = e.id),
                   (SELECT string_agg(weight::text, ',') FROM extension_instances))
               FROM extensions e WHERE id = 'routed'";
    assert_eq!(place.value(now).await, "provider 1 t v2 30");
    let out = ok(place.import(folder.path(), &["--overwrite"]).await);
    assert_eq!(counts(&out)[1..3], ["created 0 0 0", "identical 4 1 1"]);
}

/// A trigger switches off the row of a version that stops being current; the files have the last
/// word.
#[tokio::test]
async fn another_current_version_leaves_every_version_as_the_files_say() {
    let place = Place::new().await;
    let mut record = extension("pre", "x");
    record["versions"] = json!([
        {"version": "v1", "subject": "beamline.ext.x.old", "enabled": true},
        {"version": "v2", "subject": "beamline.ext.x.new", "enabled": true}
    ]);
    let folder = folder(&record);
    ok(place.import(folder.path(), &[]).await);
    record["version"] = json!("v2");
    write(folder.path(), &record);
    ok(place.import(folder.path(), &["--overwrite"]).await);
    let enabled = "SELECT string_agg(version || ' ' || enabled, ', ' ORDER BY version)
                   FROM extension_versions";
    assert_eq!(place.value(enabled).await, "v1 true, v2 true");
}

#[tokio::test]
async fn subjects_change_hands_within_an_import() {
    let place = Place::new().await;
    let subject = |n: u32| format!("beamline.ext.s{n}");
    let of = |id: &str, n: u32| json!({"id": id, "type": "pre", "subject": subject(n)});
    let folder = folder(&json!([of("a", 1), of("b", 2), of("c", 3), of("d", 4)]));
    ok(place.import(folder.path(), &[]).await);

    // Two swap theirs, a third gets a new one and leaves the old one to a new extension.
    write(
        folder.path(),
        &json!([of("a", 2), of("b", 1), of("c", 5), of("new", 3)]),
    );
    ok(place.import(folder.path(), &["--overwrite"]).await);
    let now = "SELECT string_agg(id || ' ' || right(subject, 1), ', ' ORDER BY id) FROM extensions";
    assert_eq!(place.value(now).await, "a 2, b 1, c 5, d 4, new 3");
    let revision = place.value("SELECT revision FROM registry_revision").await;
    assert_eq!(revision, "2");

    // One that stays keeps its own.
    write(folder.path(), &json!([of("a", 4), of("late", 5)]));
    let errors = failed(place.import(folder.path(), &["--overwrite"]).await);
    assert_eq!(
        errors,
        "a: `subject` beamline.ext.s4 is taken by d\n\
         late: `subject` beamline.ext.s5 is taken by c\n\
         nothing was written\n"
    );
    assert_eq!(place.value(now).await, "a 2, b 1, c 5, d 4, new 3");
}

/// What a daemon does not serve can be replaced from files, and mends it.
#[tokio::test]
async fn what_is_in_quarantine_is_different_and_can_be_replaced() {
    let place = Place::new().await;
    let folder = folder(&three());
    ok(place.import(folder.path(), &[]).await);
    run(
        &place.sql,
        "UPDATE extensions SET subject = 'not allowed' WHERE id = 'plain';
         UPDATE extension_versions SET subject = 'elsewhere.x'",
    )
    .await;
    let (code, out, _) = place.import(folder.path(), &[]).await;
    assert_eq!((code, counts(&out)[3].as_str()), (1, "different 2 1 1"));
    for place in ["extensions/plain ", "extension_versions/routed/v2 "] {
        assert!(out.contains(place), "{out}");
    }
    assert!(out.contains("in quarantine: "), "{out}");
    ok(place.import(folder.path(), &["--overwrite"]).await);
    let out = ok(place.import(folder.path(), &[]).await);
    assert_eq!(counts(&out)[2], "identical 3 1 1");
}

/// CASES.md D14: nulls of a version stay nulls.
#[tokio::test]
async fn a_promotion_and_its_rollback_leave_the_files_identical() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let mut routed = extension("pre", "routed");
    routed["config"] = json!({"mode": "own"});
    routed["versions"] = json!([
        {"version": "v2", "subject": "beamline.ext.routed.v2"},
        {"version": "v3", "subject": "beamline.ext.routed.v3", "timeout_ms": 5000, "retry": 0,
            "config": {}, "metadata": {"a": 1}, "priority": 3},
        {"version": "v4", "subject": "beamline.ext.routed.v4", "enabled": false,
            "routing_rules": {"tenant_id": "acme"}},
    ]);
    routed["instances"] = json!([
        {"instance_id": "blue", "subject": "beamline.ext.routed.blue", "weight": 30}
    ]);
    let folder = folder(&json!([routed]));
    ok(super::import(&rig.database, folder.path(), &[]).await);
    for versions in [&["v2"][..], &["v3"], &["v4"], &["v3", "v2", "v4", "v3"]] {
        for version in versions.iter().chain(&["v1"]) {
            let promote = json!({"id": "routed", "version": version});
            rig.ask("promote", &promote).await.ok();
        }
        let out = ok(super::import(&rig.database, folder.path(), &[]).await);
        assert_eq!(counts(&out)[2], "identical 1 3 1", "{versions:?}: {out}");
    }
}
