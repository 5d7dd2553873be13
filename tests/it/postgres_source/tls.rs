//! Every `sslmode`, against servers with a certificate for `localhost`, an expired one, and none.

use beamline_registry::adapters::postgres::migrate::migrate;
use beamline_registry::service::source::{Database, Want};
use tempfile::TempDir;
use tokio_postgres::Client;

use super::{migrated, read_everything, run, source};
use crate::harness::certificates::{Authority, Certificate};
use crate::harness::daemon::{Builder, field, message};
use crate::harness::{DEADLINE, Daemon, NatsServer, Postgres, TestDatabase, eventually};

/// Authorities: the one that signed the server's certificate, and a stranger.
struct Authorities {
    folder: TempDir,
    issuer: Authority,
}

impl Authorities {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = Authority::new("ours");
        std::fs::write(folder.path().join("ours.pem"), issuer.pem()).unwrap();
        let other = Authority::new("other").pem();
        std::fs::write(folder.path().join("other.pem"), other).unwrap();
        Self { folder, issuer }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// Turns TLS on. The files are written by the server itself, whose user must own them.
async fn enable_tls(client: &Client, certificate: &Certificate) {
    for (name, pem) in [
        ("server.key", &certificate.key),
        ("server.crt", &certificate.pem),
    ] {
        // COPY would escape line ends within a value: one row for each line.
        let sql = format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\\n')))
             TO PROGRAM 'umask 077; cat > {name}'",
            pem.trim()
        );
        run(client, &sql).await;
    }
    run(client, "ALTER SYSTEM SET ssl = on").await;
    run(client, "SELECT pg_reload_conf()").await;
    eventually("TLS is on", DEADLINE, async || {
        let row = client.query_one("SHOW ssl", &[]).await.unwrap();
        row.get::<_, &str>(0) == "on"
    })
    .await;
}

/// Reads with `parameters` in the URL; whether the connection was encrypted, or why there was none.
async fn attempt(url: &str, client: &Client, parameters: &str) -> Result<bool, String> {
    let url = url.replace("sslmode=disable", parameters);
    let source = source(&url);
    let read = source.read(&Want::default()).await;
    read.map_err(|error| error.to_string())?;
    let row = client
        .query_one(
            "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
             WHERE datname = current_database()
               AND application_name = 'beamline-registry/test-1/pool'
             ORDER BY backend_start DESC LIMIT 1",
            &[],
        )
        .await
        .unwrap();
    Ok(row.get(0))
}

#[tokio::test]
async fn every_mode_checks_what_it_says() {
    let server = Postgres::private().await;
    let database = TestDatabase::create_on(&server).await;
    let mut client = database.connect().await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let authorities = Authorities::new();
    enable_tls(&client, &authorities.issuer.server(&["localhost"])).await;
    let (ours, other) = (authorities.file("ours.pem"), authorities.file("other.pem"));
    let by_address = database.url();
    let by_name = by_address.replace("127.0.0.1", "localhost");

    for (url, parameters, expected) in [
        (&by_address, "sslmode=disable".to_owned(), Ok(false)),
        (&by_address, "sslmode=prefer".to_owned(), Ok(true)),
        (&by_address, "sslmode=require".to_owned(), Ok(true)),
        (
            &by_address,
            format!("sslmode=require&sslrootcert={ours}"),
            Ok(true),
        ),
        (
            &by_address,
            format!("sslmode=require&sslrootcert={other}"),
            Err("UnknownIssuer"),
        ),
        (
            &by_address,
            format!("sslmode=verify-ca&sslrootcert={ours}"),
            Ok(true),
        ),
        (
            &by_address,
            format!("sslmode=verify-ca&sslrootcert={other}"),
            Err("UnknownIssuer"),
        ),
        (
            &by_name,
            format!("sslmode=verify-full&sslrootcert={ours}"),
            Ok(true),
        ),
        (
            &by_name,
            format!("sslmode=verify-full&sslrootcert={other}"),
            Err("UnknownIssuer"),
        ),
        (
            &by_address,
            format!("sslmode=verify-full&sslrootcert={ours}"),
            Err("not valid for name"),
        ),
    ] {
        let result = attempt(url, &client, &parameters).await;
        match (&result, expected) {
            (Ok(encrypted), Ok(expected)) => assert_eq!(*encrypted, expected, "{parameters}"),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            _ => panic!("{parameters}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_unless_it_may_be() {
    let (database, client, _) = migrated().await;
    assert_eq!(
        attempt(&database.url(), &client, "sslmode=prefer").await,
        Ok(false)
    );
    let refused = attempt(&database.url(), &client, "sslmode=require").await;
    assert!(refused.unwrap_err().contains("server does not support TLS"));
}

#[tokio::test]
async fn an_authority_is_renewed_in_its_file() {
    let server = Postgres::private().await;
    let database = TestDatabase::create_on(&server).await;
    let mut client = database.connect().await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let (authorities, later) = (Authorities::new(), Authority::new("later"));
    enable_tls(&client, &authorities.issuer.server(&["127.0.0.1"])).await;
    let root = authorities.file("ours.pem");
    let url = format!("sslmode=verify-full&sslrootcert={root}");
    let source = source(&database.url().replace("sslmode=disable", &url));
    read_everything(&source).await;

    enable_tls(&client, &later.server(&["127.0.0.1"])).await;
    let refused = "signed it";
    eventually(
        "the server's new certificate is refused",
        DEADLINE,
        async || {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE application_name LIKE 'beamline-registry/%'";
            run(&client, end).await;
            let read = source.read(&Want::default()).await;
            read.is_err_and(|error| error.to_string().contains(refused))
        },
    )
    .await;
    std::fs::write(root, later.pem()).unwrap();
    read_everything(&source).await;
}

/// Server certificates that `verify-full` must refuse, and what the operator reads.
#[tokio::test]
async fn a_certificate_that_is_refused_is_explained_by_check_and_in_the_log() {
    let (server, nats) = tokio::join!(Postgres::private(), NatsServer::start());
    let database = TestDatabase::create_on(&server).await;
    let mut client = database.connect().await;
    migrate(&mut client, DEADLINE).await.unwrap();
    let authorities = Authorities::new();
    let root = authorities.file("ours.pem");
    let url = |host| database.url().replace("127.0.0.1", host);
    let daemon = |url: String, root: &str| {
        Daemon::builder()
            .nats(&nats.url())
            .database(&url.replace("sslmode=disable", "sslmode=verify-full"))
            .setting("DB_SSL_ROOT_CERT", root)
            .setting("SOURCE", "database")
            .setting("SYNC_INTERVAL_SECONDS", 1)
    };

    enable_tls(&client, &authorities.issuer.server(&["localhost"])).await;
    let good = daemon(url("localhost"), &root);
    let (code, output, _) = good.clone().arg("check").run().await;
    assert_eq!(code, 0, "{output}");
    good.spawn().await.wait_ready().await;

    let other = authorities.file("other.pem");
    explained(
        daemon(url("127.0.0.1"), &root),
        "not valid for name \"127.0.0.1\"",
    )
    .await;
    let unknown = "no known authority has signed it (DB_SSL_ROOT_CERT)";
    explained(daemon(url("localhost"), &other), unknown).await;
    enable_tls(&client, &authorities.issuer.expired(&["localhost"])).await;
    eventually(
        "the server shows its new certificate",
        DEADLINE,
        async || {
            let (_, output, _) = daemon(url("localhost"), &root).arg("check").run().await;
            output.contains("certificate expired")
        },
    )
    .await;
    explained(daemon(url("localhost"), &root), "certificate expired").await;
}

async fn explained(builder: Builder, reason: &str) {
    let (code, output, _) = builder.clone().arg("check").run().await;
    let failed = output.split_once("\u{d7} connects for queries\n");
    let (_, problem) = failed.unwrap_or_else(|| panic!("{output}"));
    let problem = problem.lines().next().unwrap();
    assert!(code == 1 && problem.contains(reason), "{problem}");
    let daemon = builder.spawn().await;
    daemon
        .wait_log(reason, |entry| {
            let load = message(entry)?.starts_with("load failed");
            (load && field(entry, "error")?.as_str()?.contains(reason)).then_some(())
        })
        .await;
}
