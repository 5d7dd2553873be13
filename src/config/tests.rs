//! The configuration as a whole: layers, faults, secrets and the files that ship.

use std::io;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio_postgres::config::TargetSessionAttrs;

use super::*;

type Loaded = (Settings, Vec<Warning>, Effective);

/// Loads from flags by key, environment names and files, each given as pairs.
fn load(
    flags: &[(&str, &str)],
    env: &[(&str, &str)],
    files: &[(&str, &str)],
) -> Result<Loaded, Faults> {
    let surroundings = Surroundings {
        env: env
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        read_file: &|path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| text.as_bytes().to_vec())
                .ok_or(io::ErrorKind::NotFound.into())
        },
        host_name: "pod-1.local".to_owned(),
        terminal: false,
    };
    let flags = flags
        .iter()
        .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    Settings::load(flags.collect(), &surroundings)
}

/// Loads from an environment whose names are given without prefix.
fn load_env(env: &[(&str, &str)]) -> Result<Loaded, Faults> {
    let names: Vec<String> = env
        .iter()
        .map(|(key, _)| format!("EXTENSION_REGISTRY_{key}"))
        .collect();
    let env: Vec<(&str, &str)> = names
        .iter()
        .map(String::as_str)
        .zip(env.iter().map(|(_, value)| *value))
        .collect();
    load(&[], &env, &[("readable", "SECRET\n")])
}

fn entry<'a>(effective: &'a Effective, key: &str) -> &'a Entry {
    let name = format!("EXTENSION_REGISTRY_{key}");
    effective.0.iter().find(|entry| entry.name == name).unwrap()
}

#[test]
fn nothing_set_gives_the_defaults_of_the_contract() {
    let (settings, warnings, effective) = load(&[], &[], &[]).unwrap();
    assert_eq!(settings.source.mode, SourceMode::Auto);
    assert_eq!(settings.source.sync_interval, Duration::from_secs(60));
    assert!(settings.database.is_none());
    assert_eq!(settings.subjects.prefix.as_str(), "beamline.registry");
    assert_eq!(
        settings.subjects.reply_prefixes,
        ["_INBOX.", "_INBOX_", "_R_.", "_GR_."]
    );
    assert!(settings.identity.instance_id.starts_with("pod-1-local-"));
    assert_eq!(settings.http.addr, Some("127.0.0.1:9640".parse().unwrap()));
    assert_eq!(settings.breaker.max_timeout, Duration::from_secs(600));
    assert_eq!(settings.breaker.slow_calls, None);
    assert_eq!(settings.limits.max_timeout, Duration::from_secs(120));
    assert_eq!(settings.limits.max_payload_bytes, 1_048_576);
    assert_eq!(settings.logging.format, LogFormat::Json);
    assert_eq!(warnings, []);
    assert_eq!(effective.0.len(), variables::ALL.len());
    assert!(
        effective
            .0
            .iter()
            .all(|entry| entry.origin == Origin::Default)
    );
    let instance_id = entry(&effective, "INSTANCE_ID").value.clone();
    assert_eq!(instance_id, Some(settings.identity.instance_id));
}

#[test]
fn flags_override_environment_overrides_file_overrides_fallback_overrides_default() {
    let flag: &[(&str, &str)] = &[("NATS_URL", "nats://flag")];
    let env = ("EXTENSION_REGISTRY_NATS_URL", "nats://env");
    let config = ("EXTENSION_REGISTRY_CONFIG", "c.toml");
    let fallback = ("NATS_URL", "nats://fallback");
    let files: &[(&str, &str)] = &[("c.toml", "nats_url = 'nats://file'")];
    for (flags, env, host, origin) in [
        (flag, vec![env, config, fallback], "flag", "flag --nats-url"),
        (
            &[],
            vec![env, config, fallback],
            "env",
            "environment EXTENSION_REGISTRY_NATS_URL",
        ),
        (&[], vec![config, fallback], "file", "file c.toml:nats_url"),
        (&[], vec![fallback], "fallback", "environment NATS_URL"),
        (&[], vec![], "127.0.0.1", "default"),
        (
            &[],
            vec![("EXTENSION_REGISTRY_NATS_URL", "")],
            "127.0.0.1",
            "default",
        ),
    ] {
        let (settings, _, effective) = load(flags, &env, files).unwrap();
        assert_eq!(settings.nats.servers.0[0].host(), host);
        assert_eq!(entry(&effective, "NATS_URL").origin.to_string(), origin);
    }
}

#[test]
fn a_secret_may_come_from_a_file_named_in_any_layer() {
    let files = &[("s", "hunter2\n"), ("c.toml", "nats_token_file = 's'")];
    for (flags, env) in [
        (vec![("NATS_TOKEN_FILE", "s")], vec![]),
        (vec![], vec![("EXTENSION_REGISTRY_NATS_TOKEN_FILE", "s")]),
        (vec![("CONFIG", "c.toml")], vec![]),
        // The higher layer's file wins over the lower layer's value.
        (
            vec![("NATS_TOKEN_FILE", "s")],
            vec![("EXTENSION_REGISTRY_NATS_TOKEN", "low")],
        ),
    ] {
        let (settings, _, effective) = load(&flags, &env, files).unwrap();
        let NatsAuth::Token(token) = &settings.nats.auth else {
            panic!("{:?}", settings.nats.auth)
        };
        assert_eq!(token.expose_secret(), "hunter2");
        assert_eq!(
            entry(&effective, "NATS_TOKEN").value.as_deref(),
            Some("***")
        );
    }
}

#[test]
fn secrets_show_nowhere() {
    let (settings, _, effective) = load_env(&[
        ("DB_URL", "postgres://u:hunter2@db.local/b"),
        ("DB_LISTEN_URL", "postgres://u:hunter2@db2.local/b"),
        ("NATS_URL", "nats://u:hunter2@nats.local"),
        ("NATS_TOKEN", "hunter2"),
    ])
    .unwrap();
    for text in [format!("{settings:?}"), format!("{effective:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains("db.local") && text.contains("nats.local"),
            "{text}"
        );
    }
}

#[test]
fn every_fault_names_its_rule() {
    for (env, rule) in [
        (&[("SOURCE", "x")][..], "SOURCE must be one of"),
        (
            &[("SOURCE", "database")],
            "SOURCE is `database`, but neither DB_URL",
        ),
        (
            &[
                ("SOURCE", "database"),
                ("DB_ENABLED", "false"),
                ("DB_HOST", "a"),
            ],
            "SOURCE is `database`, but DB_ENABLED is false",
        ),
        (&[("DB_ENABLED", "true")], "DB_ENABLED is true, but neither"),
        (
            &[("DB_ENABLED", "maybe")],
            "DB_ENABLED must be true or false",
        ),
        (&[("DB_URL", "x")], "DB_URL must begin with postgres://"),
        (
            &[("DB_URL", "postgres://a"), ("DB_HOST", "b")],
            "DB_HOST is set beside DB_URL",
        ),
        (
            &[("DB_URL", "postgres://u:p@a"), ("DB_PASSWORD", "q")],
            "DB_PASSWORD is set, and DB_URL has one too",
        ),
        (
            &[("DB_LISTEN_URL", "postgres://a")],
            "DB_LISTEN_URL needs DB_URL or DB_HOST",
        ),
        (
            &[("DB_HOST", "a,b,c"), ("DB_PORT", "1,2")],
            "DB_PORT must be one port, or as many",
        ),
        (
            &[("DB_PORT", "0")],
            "DB_PORT must be a number between 1 and 65535",
        ),
        (&[("DB_SSLMODE", "x")], "DB_SSLMODE must be one of"),
        (
            &[("DB_SSL_ROOT_CERT", "gone")],
            "DB_SSL_ROOT_CERT names gone, which cannot be read",
        ),
        (
            &[("DB_URL", "postgres://a?sslrootcert=gone")],
            "DB_URL names gone, which cannot be read",
        ),
        (
            &[("DB_PASSWORD_FILE", "gone")],
            "DB_PASSWORD_FILE names gone, which cannot be read",
        ),
        (
            &[("DB_PASSWORD", "a"), ("DB_PASSWORD_FILE", "readable")],
            "DB_PASSWORD_FILE is set beside DB_PASSWORD",
        ),
        (
            &[("DB_POOL_SIZE", "0")],
            "DB_POOL_SIZE must be a number between 1 and 1000",
        ),
        (
            &[("SYNC_INTERVAL_SECONDS", "0")],
            "SYNC_INTERVAL_SECONDS must be a duration between",
        ),
        (
            &[("CACHE_TYPE", "redis")],
            "CACHE_TYPE must be one of `ets`, `mnesia`",
        ),
        (
            &[("NATS_URL", "http://a")],
            "NATS_URL must be nats:// or tls:// addresses",
        ),
        (
            &[("NATS_URL", "nats://a,,nats://b")],
            "NATS_URL must not have an empty item",
        ),
        (&[("NATS_USER", "a")], "NATS_USER needs NATS_PASSWORD"),
        (&[("NATS_PASSWORD", "a")], "NATS_PASSWORD needs NATS_USER"),
        (
            &[("NATS_TLS_CERT", "readable")],
            "NATS_TLS_CERT needs NATS_TLS_KEY",
        ),
        (
            &[("NATS_TLS_KEY", "readable")],
            "NATS_TLS_KEY needs NATS_TLS_CERT",
        ),
        (
            &[("NATS_CREDS", "readable"), ("NATS_TOKEN", "t")],
            "NATS_TOKEN is set beside NATS_CREDS",
        ),
        (
            &[("NATS_NKEY", "hunter2")],
            "NATS_NKEY must be the seed of a user nkey",
        ),
        (
            &[("SUBJECT_PREFIX", "a.>")],
            "SUBJECT_PREFIX must be a subject, but has a wildcard",
        ),
        (
            &[("SUBJECT_PREFIX", "$SYS")],
            "SUBJECT_PREFIX must not begin with `$`",
        ),
        (
            &[("QUEUE_GROUP", "a b")],
            "QUEUE_GROUP must be a queue group name",
        ),
        (
            &[("INSTANCE_ID", "a.b")],
            "INSTANCE_ID must be one NATS token",
        ),
        (&[("REPLY_PREFIXES", "$JS.")], "REPLY_PREFIXES has `$JS.`"),
        (
            &[("REPLY_PREFIXES", "beamline.")],
            "meets the registry's own subjects",
        ),
        (
            &[("HTTP_ADDR", "localhost")],
            "HTTP_ADDR must be an IP address and a port",
        ),
        (
            &[("HTTP_TOKENS_FILE", "gone")],
            "HTTP_TOKENS_FILE names gone",
        ),
        (
            &[("ADMIN_ENABLED", "2")],
            "ADMIN_ENABLED must be true or false",
        ),
        (&[("ALLOWED_SUBJECTS", "a..b")], "`a..b` has an empty token"),
        (
            &[("CIRCUIT_BREAKER_ERROR_RATE_THRESHOLD", "1.5")],
            "CIRCUIT_BREAKER_ERROR_RATE_THRESHOLD must be a number between 0 and 1",
        ),
        (
            &[("CIRCUIT_BREAKER_ERROR_RATE_THRESHOLD", "0")],
            "must be more than 0",
        ),
        (
            &[("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "20m")],
            "CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS must be at least \
             CIRCUIT_BREAKER_TIMEOUT_SECONDS, 20m",
        ),
        (
            &[("CIRCUIT_BREAKER_SLOW_CALL_MS", "100")],
            "CIRCUIT_BREAKER_SLOW_CALL_MS needs CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD",
        ),
        (
            &[("CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD", "0.1")],
            "CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD needs CIRCUIT_BREAKER_SLOW_CALL_MS",
        ),
        (
            &[("AUTO_DISABLE_MAX_PERCENT", "101")],
            "must be a number between 0 and 100",
        ),
        (
            &[("HEALTH_BASED_ROUTING_MIN_SUCCESS_RATE", "80")],
            "must be a number between 0 and 1",
        ),
        (
            &[("MAX_TIMEOUT_MS", "0")],
            "MAX_TIMEOUT_MS must be a duration between 1ms and 1h",
        ),
        (
            &[("MAX_PAYLOAD_BYTES", "1GB")],
            "MAX_PAYLOAD_BYTES must be a number between",
        ),
        (&[("LOG", "=,=")], "LOG must be a tracing filter"),
        (
            &[("LOG_FORMAT", "xml")],
            "LOG_FORMAT must be one of `json`, `pretty`",
        ),
        (
            &[("CONFIG", "gone")],
            "CONFIG names gone, which cannot be read",
        ),
    ] {
        let faults = load_env(env).unwrap_err();
        assert_eq!(faults.0.len(), 1, "{env:?}: {faults}");
        let text = faults.to_string();
        assert!(text.contains(rule), "{env:?}: {text}");
        assert!(text.starts_with("EXTENSION_REGISTRY_"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn faults_of_the_file_are_named_by_file_and_key() {
    for (text, fault) in [
        (
            "sync_interval = 5",
            "c.toml:sync_interval is not a known key; the nearest is sync_interval_seconds",
        ),
        (
            "SOURCE = 'auto'",
            "c.toml:SOURCE is not a known key; the nearest is source",
        ),
        (
            "source = ['auto']",
            "c.toml:source must be a text, a number or a boolean",
        ),
        (
            "max_retries = -1",
            "c.toml:max_retries must be a number between 0 and 100",
        ),
        (
            "[nats]\nurl = 'x'",
            "c.toml:nats is not a known key; the nearest is nats_url",
        ),
        (
            "x = 1\nnats_token = hunter2",
            "--config names c.toml, which is not TOML: line 2: ",
        ),
    ] {
        let faults = load(&[("CONFIG", "c.toml")], &[], &[("c.toml", text)]).unwrap_err();
        let message = faults.to_string();
        assert!(message.starts_with(fault), "{text}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn all_faults_are_found_at_once() {
    let faults = load(
        &[("CONFIG", "c.toml"), ("MAX_RETRIES", "many")],
        &[
            ("EXTENSION_REGISTRY_SOURCE", "x"),
            ("EXTENSION_REGISTRY_NATS_USER", "u"),
        ],
        &[(
            "c.toml",
            "unknown = 1\nhttp_addr = 'x'\nsync_interval_seconds = 'soon'",
        )],
    )
    .unwrap_err();
    let mut keys: Vec<&str> = faults.0.iter().map(|fault| fault.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "HTTP_ADDR",
        "MAX_RETRIES",
        "NATS_USER",
        "SOURCE",
        "SYNC_INTERVAL_SECONDS",
        "UNKNOWN",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn unknown_environment_names_and_idle_variables_are_warnings() {
    let (_, warnings, _) = load_env(&[
        ("SERVICE_PORT", "tcp://10.0.0.1:80"),
        ("SYNC_INTERVAL", "5"),
        ("CACHE_TYPE", "mnesia"),
    ])
    .unwrap();
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].starts_with("EXTENSION_REGISTRY_SERVICE_PORT is not known"));
    assert!(warnings[1].ends_with("the nearest name is EXTENSION_REGISTRY_SYNC_INTERVAL_SECONDS"));
    assert!(warnings[2].starts_with("environment EXTENSION_REGISTRY_CACHE_TYPE has no effect"));
}

#[test]
fn database_addresses_become_driver_configurations() {
    let (settings, ..) = load_env(&[
        (
            "DB_URL",
            "postgres://a:1,b:2?sslmode=verify-full&sslrootcert=readable",
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
    assert_eq!(database.pool.ssl_mode, SslMode::VerifyFull);
    assert_eq!(
        database.pool.ssl_root_cert.as_deref(),
        Some(Path::new("readable"))
    );
    let listen = database.listen.config("x");
    assert_eq!(
        (listen.get_user(), listen.get_dbname()),
        (Some("me"), Some("other"))
    );
    assert_eq!(listen.get_target_session_attrs(), TargetSessionAttrs::Any);
    assert_eq!(database.listen.ssl_mode, SslMode::Prefer);

    let (settings, ..) = load_env(&[
        ("DB_URL", "postgres://a?sslmode=verify-full"),
        ("DB_SSLMODE", "disable"),
    ])
    .unwrap();
    assert_eq!(settings.database.unwrap().pool.ssl_mode, SslMode::Disable);

    let (settings, ..) = load_env(&[("DB_HOST", "a,b"), ("DB_ENABLED", "false")]).unwrap();
    assert!(settings.database.is_none());
}

#[test]
fn the_shipped_files_load() {
    let dev = include_str!("../../deploy/config/dev.toml");
    let (settings, ..) = load(&[("CONFIG", "dev.toml")], &[], &[("dev.toml", dev)]).unwrap();
    assert_eq!(settings.source.mode, SourceMode::Fixtures);

    let secrets = "/run/secrets/beamline-registry";
    let names = ["db_password", "db_ca.pem", "nats_ca.pem", "nats.creds"];
    let paths = names.map(|name| format!("{secrets}/{name}"));
    let prod = include_str!("../../deploy/config/prod.toml");
    let mut files = vec![("prod.toml", prod)];
    files.extend(paths.iter().map(|path| (path.as_str(), "secret")));
    let (settings, warnings, _) = load(&[("CONFIG", "prod.toml")], &[], &files).unwrap();
    assert_eq!(settings.source.mode, SourceMode::Database);
    assert_eq!(
        settings.database.unwrap().pool.ssl_mode,
        SslMode::VerifyFull
    );
    assert_eq!(warnings, []);
}
