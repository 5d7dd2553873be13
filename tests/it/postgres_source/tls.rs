//! Every `sslmode`, against a server with a certificate for `localhost` and one without TLS.

use std::path::{Path, PathBuf};

use beamline_registry::adapters::postgres::migrate::migrate;
use beamline_registry::service::source::{Database, Want};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_postgres::Client;

use super::{migrated, run, source};
use crate::harness::{DEADLINE, Postgres, TestDatabase, eventually};

/// Authorities: the one that signed the server's certificate, and a stranger.
struct Authorities {
    _folder: TempDir,
    ours: PathBuf,
    other: PathBuf,
}

fn authority(file: &Path) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    let name = file.display().to_string();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(file, authority.pem()).unwrap();
    authority
}

/// Turns TLS on. The files are written by the server itself, whose user must own them.
async fn enable_tls(client: &Client) -> Authorities {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (
        folder.path().join("ours.pem"),
        folder.path().join("other.pem"),
    );
    let issuer = authority(&ours);
    authority(&other);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    for (name, pem) in [
        ("server.key", key.serialize_pem()),
        ("server.crt", certificate.pem()),
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
    Authorities {
        _folder: folder,
        ours,
        other,
    }
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
    let authorities = enable_tls(&client).await;
    let (ours, other) = (authorities.ours.display(), authorities.other.display());
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
