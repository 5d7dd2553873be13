//! A database password that is renewed in its file is used for every new connection, of the pool
//! and of the listener.

use serde_json::json;
use tokio_postgres::Client as Sql;

use super::ruled::Ruled;
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, eventually};
use crate::schema::run;

const ROLE: &str = "beamline_registry";

/// Everybody but the superuser needs a password from now on.
async fn ask_for_passwords(superuser: &Sql) {
    run(
        superuser,
        "COPY (SELECT unnest(ARRAY['host all postgres all trust', 'host all all all scram-sha-256']))
         TO PROGRAM 'cat > pg_hba.conf'; SELECT pg_reload_conf()",
    )
    .await;
}

#[tokio::test]
async fn a_password_in_a_file_or_in_the_file_of_a_url_is_renewed() {
    let (nats, ruled) = tokio::join!(NatsServer::start(), Ruled::start());
    let superuser = ruled.database.connect().await;
    ask_for_passwords(&superuser).await;
    let (addr, name) = (ruled.database.addr(), ruled.database.name());
    let (host, port) = addr.split_once(':').unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (password_file, url_file) = (folder.path().join("password"), folder.path().join("url"));
    let write = |word: &str| {
        let url = format!("postgres://{ROLE}:{word}@{addr}/{name}?sslmode=disable");
        std::fs::write(&password_file, format!("{word}\n")).unwrap();
        std::fs::write(&url_file, format!("{url}\n")).unwrap();
    };

    let daemon = || {
        Daemon::builder()
            .nats(&nats.url())
            .setting("SOURCE", "database")
            .setting("SYNC_INTERVAL_SECONDS", 1)
    };
    write(&format!("pw-{ROLE}"));
    let by_password = daemon()
        .setting("INSTANCE_ID", "by-password")
        .setting("DB_HOST", host)
        .setting("DB_PORT", port)
        .setting("DB_NAME", name)
        .setting("DB_USER", ROLE)
        .setting("DB_SSLMODE", "disable")
        .setting("DB_PASSWORD_FILE", password_file.display());
    let by_url = daemon()
        .setting("INSTANCE_ID", "by-url")
        .setting("DB_URL_FILE", url_file.display());
    let daemons = [by_password.spawn().await, by_url.spawn().await];
    let client = Client::connect(&nats.url()).await;
    for (daemon, id) in daemons.iter().zip(["by-password", "by-url"]) {
        daemon.wait_ready().await;
        wait_listening(&client, id).await;
    }

    run(
        &superuser,
        "ALTER ROLE beamline_registry PASSWORD 'lupine';
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE usename = 'beamline_registry'",
    )
    .await;
    for daemon in &daemons {
        daemon
            .wait_log("the old password is refused", |entry| {
                let text = entry.to_string();
                text.contains("password authentication failed")
                    .then_some(())
            })
            .await;
    }
    write("lupine");
    run(&superuser, "UPDATE extensions SET timeout_ms = 4321").await;
    for (daemon, id) in daemons.iter().zip(["by-password", "by-url"]) {
        eventually("the pool has connected", DEADLINE, async || {
            let subject = format!("beamline.registry.local.{id}.lookup");
            let reply = client.request(&subject, "normalize_text").await;
            reply.ok()["timeout_ms"] == 4321
        })
        .await;
        wait_listening(&client, id).await;
        for line in daemon.log() {
            let told = line.contains("lupine") || line.contains(&format!("pw-{ROLE}"));
            assert!(!told, "{line}");
        }
    }
}

async fn wait_listening(client: &Client, id: &str) {
    eventually("the listener listens", DEADLINE, async || {
        let subject = format!("beamline.registry.local.{id}.stats");
        let stats = client.request_json(&subject, &json!({})).await.ok();
        let state = stats["listener"]["state"].clone();
        if state == "listening" {
            Ok(())
        } else {
            Err(state)
        }
    })
    .await;
}
