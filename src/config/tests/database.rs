//! From addresses and parts to what the driver is given.

use tokio_postgres::config::{Host, TargetSessionAttrs};

use super::*;

#[test]
fn database_addresses_become_driver_configurations() {
    let (settings, _, effective) = load_env(&[
        (
            "DB_URL",
            "postgres://a:1,b:2?sslmode=verify-full&sslrootcert=ca.pem",
        ),
        (
            "DB_LISTEN_URL",
            "postgres://me@c/other?target_session_attrs=any",
        ),
        ("DB_PASSWORD_FILE", "readable"),
    ])
    .unwrap();
    let database = settings.database.unwrap();
    let pool = database.pool.config("beamline-registry/x/pool");
    assert_eq!(pool.get_ports(), [1, 2]);
    assert_eq!(
        (pool.get_user(), pool.get_dbname()),
        (Some("beamline"), Some("beamline"))
    );
    assert_eq!(pool.get_password(), Some(&b"SECRET"[..]));
    assert_eq!(
        pool.get_application_name(),
        Some("beamline-registry/x/pool")
    );
    assert_eq!(
        pool.get_target_session_attrs(),
        TargetSessionAttrs::ReadWrite
    );
    assert!(pool.get_tcp_user_timeout().is_some() && pool.get_connect_timeout().is_some());
    assert_eq!(database.pool.ssl_mode(), SslMode::VerifyFull);
    assert_eq!(
        database.pool.ssl_root_cert.as_deref(),
        Some(Path::new("ca.pem"))
    );
    let shown = entry(&effective, "DB_SSLMODE").value.as_deref();
    assert_eq!(shown, Some("(in DB_URL)"));
    let listen = database.listen.config("x");
    assert_eq!(
        (listen.get_user(), listen.get_dbname()),
        (Some("me"), Some("other"))
    );
    assert_eq!(listen.get_target_session_attrs(), TargetSessionAttrs::Any);
    assert_eq!(database.listen.ssl_mode(), SslMode::Prefer);

    let (settings, ..) = load_env(&[
        ("DB_URL", "postgres://a?sslmode=verify-full"),
        ("DB_SSLMODE", "disable"),
    ])
    .unwrap();
    assert_eq!(settings.database.unwrap().pool.ssl_mode(), SslMode::Disable);

    let (settings, ..) = load_env(&[("DB_HOST", "a,b"), ("DB_ENABLED", "false")]).unwrap();
    assert!(settings.database.is_none());
}

#[test]
fn a_host_is_a_name_an_address_or_a_folder() {
    let hosts = "db.local, 10.0.0.1, ::1, [fe80::1%eth0], /run/postgres ql";
    let (settings, ..) = load_env(&[("DB_HOST", hosts), ("DB_PORT", "5433")]).unwrap();
    let pool = settings.database.unwrap().pool.config("x");
    let tcp = |name: &str| Host::Tcp(name.to_owned());
    let expected = [
        tcp("db.local"),
        tcp("10.0.0.1"),
        tcp("::1"),
        tcp("fe80::1%eth0"),
        Host::Unix("/run/postgres ql".into()),
    ];
    assert_eq!(pool.get_hosts(), expected);
}

/// The file of authorities is looked into only where a connection needs it.
#[test]
fn authorities_are_read_where_the_server_is_checked() {
    let beside = |mode, file| {
        load_env(&[
            ("DB_HOST", "a"),
            ("DB_LISTEN_URL", "postgres://b"),
            ("DB_SSLMODE", mode),
            ("DB_SSL_ROOT_CERT", file),
        ])
    };
    for (mode, warned) in [("disable", 0), ("prefer", 1)] {
        let (_, warnings, _) = beside(mode, "readable").unwrap();
        assert_eq!(warnings.len(), warned, "{warnings:?}");
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        assert!(beside(mode, "ca.pem").is_ok(), "{mode}");
        let faults = beside(mode, "readable").unwrap_err().to_string();
        assert_eq!(
            faults,
            "EXTENSION_REGISTRY_DB_SSL_ROOT_CERT names readable, which has no certificate"
        );
    }
}
