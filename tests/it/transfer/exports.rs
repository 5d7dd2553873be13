//! Which files an export writes, and where it refuses to.

use serde_json::json;

use super::{Place, failed, files, ok};
use crate::rig::shipped_fixtures;
use crate::schema::run;

#[tokio::test]
async fn one_readable_file_per_extension_with_definitions_only() {
    let place = Place::new().await;
    run(
        &place.sql,
        r#"INSERT INTO extensions (id, type, subject, auto_disabled, config, retry)
           VALUES ('Upper', 'pre', 'beamline.ext.1', true, '{"b": 1.50, "a": [{"ä": null}]}', 0),
                  ('upper', 'pre', 'beamline.ext.2', false, NULL, 200);
           INSERT INTO extension_instances (extension_id, instance_id, subject, health_status)
           VALUES ('upper', 'i', 'beamline.ext.i', 'down');
           INSERT INTO extension_health (extension_id, failure_count) VALUES ('upper', 5)"#,
    )
    .await;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("out");
    let out = ok(place.export(&folder, &[]).await);
    assert!(out.starts_with("exported 2 extensions to "), "{out}");
    let written = files(&folder);
    let names: Vec<_> = written.keys().map(String::as_str).collect();
    assert_eq!(names, ["Upper.json", "upper~2.json"]);
    assert_eq!(
        written["Upper.json"],
        r#"{
  "id": "Upper",
  "type": "pre",
  "subject": "beamline.ext.1",
  "timeout_ms": 5000,
  "retry": 0,
  "enabled": true,
  "version": "v1",
  "config": {
    "a": [
      {
        "ä": null
      }
    ],
    "b": 1.50
  }
}
"#
    );
    // Beyond this deployment's limits, and exact all the same.
    assert!(written["upper~2.json"].contains("\"retry\": 200,"));
    assert!(!written["upper~2.json"].contains("down"));
}

#[tokio::test]
async fn rows_in_quarantine_are_named_and_nothing_is_exported() {
    let place = Place::new().await;
    run(
        &place.sql,
        "INSERT INTO extensions (id, type, subject)
         VALUES ('good', 'pre', 'beamline.ext.good'), ('bad', 'pre', 'no subject');
         INSERT INTO extension_versions (id, version, subject) VALUES ('good', 'v9', '')",
    )
    .await;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("out");
    let errors = failed(place.export(&folder, &[]).await);
    for part in [
        "extensions/bad: `subject` ",
        "extension_versions/good/v9: `subject` ",
        "2 rows are in quarantine: an export would lose them",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_folder_that_is_not_empty_is_refused() {
    let place = Place::new().await;
    ok(place.import(&shipped_fixtures(), &[]).await);
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("out");
    ok(place.export(&folder, &[]).await);
    let before = files(&folder);
    assert_eq!(before.len(), 6);
    run(&place.sql, "DELETE FROM extensions WHERE id = 'pii_guard'").await;
    let errors = failed(place.export(&folder, &[]).await);
    let would = "is not empty; --force would replace 5 files of an earlier export and remove 1: \
                 pii_guard.json; nothing was exported";
    assert!(errors.contains(would), "{errors}");
    assert_eq!(files(&folder), before);

    std::fs::write(folder.join("notes.txt"), "mine").unwrap();
    let out = ok(place.export(&folder, &["--force"]).await);
    let removed = "removed 1 files of an earlier export: pii_guard.json\n";
    assert!(out.ends_with(removed), "{out}");
    let after = files(&folder);
    assert_eq!(after.len(), 6, "{:?}", after.keys());
    assert!(!after.contains_key("pii_guard.json") && after.contains_key("notes.txt"));
    std::fs::write(folder.join("more.json"), "[]").unwrap();
    let errors = failed(place.export(&folder, &["--force"]).await);
    assert!(
        errors.contains("would be read with it, 1: more.json; nothing was exported"),
        "{errors}"
    );
}

#[tokio::test]
async fn no_name_reaches_the_terminal_as_a_command() {
    let place = Place::new().await;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a\u{1b}[2J");
    let out = ok(place.export(&folder, &[]).await);
    assert!(out.ends_with("/a\\u{1b}[2J\n"), "{out}");
    let by_sql = "INSERT INTO extensions (id, type, subject)
                  VALUES (E'odd\\u001b[2J', 'pre', 'beamline.ext.taken')";
    run(&place.sql, by_sql).await;
    let taken = json!({"id": "a", "type": "pre", "subject": "beamline.ext.taken"});
    std::fs::write(folder.join("a.json"), taken.to_string()).unwrap();
    let errors = failed(place.import(&folder, &[]).await);
    assert!(errors.contains("is taken by odd\u{fffd}[2J\n"), "{errors}");
}
