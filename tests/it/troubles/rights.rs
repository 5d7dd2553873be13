//! Each right of the daemon's account taken away in turn, as the database itself lists them.

use futures_util::future::join_all;
use serde_json::json;

use super::{Stage, logged};
use crate::harness::{DEADLINE, eventually};
use crate::schema::run;

/// What is revoked and granted again, and what the server says of it. A right on single columns is
/// listed for each of them, one on a whole table once. What everybody may run cannot be taken away.
const RIGHTS: &str = "
    SELECT format('%s ON %I', privilege_type, table_name), table_name::text
    FROM information_schema.role_table_grants WHERE grantee = 'beamline_registry'
    UNION ALL
    SELECT format('%s (%I) ON %I', privilege_type, column_name, table_name), table_name::text
    FROM information_schema.column_privileges c WHERE grantee = 'beamline_registry'
      AND NOT EXISTS (SELECT FROM information_schema.role_table_grants t
          WHERE t.grantee = c.grantee AND t.table_name = c.table_name
            AND t.privilege_type = c.privilege_type)
    UNION ALL
    SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure), p.proname::text
    FROM pg_proc p, aclexplode(p.proacl) a
    WHERE p.pronamespace = 'public'::regnamespace
      AND a.grantee = 'beamline_registry'::regrole
      AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) o WHERE o.grantee = 0)
    UNION ALL SELECT 'USAGE ON SCHEMA public', 'public'
    ORDER BY 1";

/// Side by side, as each right takes about a second.
const PARTS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_taken_away_in_turn_is_named_and_nothing_is_lost() {
    let noticed = join_all((0..PARTS).map(each_right)).await;
    let noticed: usize = noticed.into_iter().sum();
    // How many depends on what had its turn; none would mean that nothing was looked at.
    assert!(noticed >= 20, "only {noticed} were noticed");
}

/// Each right of one part, and how many of them were missed.
async fn each_right(part: usize) -> usize {
    let stage = Stage::start().await;
    let daemon = stage.daemon("beamline_registry").await;
    eventually("all works", DEADLINE, async || stage.works().await).await;
    let rights = stage.superuser.query(RIGHTS, &[]).await.unwrap();
    assert!(rights.len() > 60, "{}", rights.len());
    let mut noticed = 0;
    for row in rights.iter().skip(part).step_by(PARTS) {
        let (right, of): (String, String) = (row.get(0), row.get(1));
        // What repeats is logged seldom: of one table, perhaps when another right was missing.
        let named = || logged(&daemon, &["permission denied for", &of]);
        let known = named();
        let revoke = format!("REVOKE {right} FROM beamline_registry");
        run(&stage.superuser, &revoke).await;
        let before = stage.flushes().await;
        let worked = stage.works().await;
        // A part that runs by itself has its turn, or says why it has none.
        let what = format!("a turn, or why there is none, without {right}");
        eventually(&what, DEADLINE, async || {
            named() || stage.flushes().await >= before + 2
        })
        .await;
        if worked.is_err() {
            let what = format!("{right} is named: {worked:?}");
            eventually(&what, DEADLINE, async || named()).await;
        }
        noticed += usize::from(worked.is_err() || (named() && !known));
        stage.serves().await;
        assert_ne!(stage.database_state().await["state"], "away", "{right}");

        let grant = format!("GRANT {right} TO beamline_registry");
        run(&stage.superuser, &grant).await;
        let flushes = stage.flushes().await;
        eventually(&format!("all works with {right}"), DEADLINE, async || {
            stage.works().await?;
            let now = stage.flushes().await;
            if now > flushes {
                Ok(())
            } else {
                Err("no flush".to_owned())
            }
        })
        .await;
    }
    noticed
}

/// CASES.md D11: what an operator must grant is in the log, the caller learns nothing.
#[tokio::test]
async fn a_change_without_the_right_is_internal_and_the_log_says_what_to_grant() {
    let stage = Stage::start().await;
    let daemon = stage.daemon("beamline_registry").await;
    let revoke = "REVOKE INSERT ON extension_definitions FROM beamline_registry";
    run(&stage.superuser, revoke).await;
    let new = json!({"id": "x", "type": "pre", "subject": "beamline.ext.x"});
    let reply = stage.ask("create", &new).await;
    assert_eq!(reply.error(), (500, "internal".to_owned()));
    assert_eq!(reply.json()["error"]["message"], "internal error");
    super::wait_logged(
        &daemon,
        &[
            "cannot write: ",
            "permission denied for view extension_definitions",
            "Run deploy/postgres/grants.sql",
        ],
    )
    .await;
    assert_eq!(stage.database_state().await["state"], "up");

    let revoke = "REVOKE SELECT ON extension_audit_log FROM beamline_registry";
    run(&stage.superuser, revoke).await;
    let reply = stage.ask("audit", &json!({})).await;
    assert_eq!(reply.error(), (500, "internal".to_owned()));
    let words = ["cannot read the audit: ", "extension_audit_log"];
    super::wait_logged(&daemon, &words).await;
    let check = stage
        .builder(&stage.ruled.url("beamline_registry"))
        .arg("check");
    let (code, found, _) = check.run().await;
    assert_eq!(code, 1, "{found}");
    assert!(
        found.contains("permission denied for table extension_audit_log"),
        "{found}"
    );
}
