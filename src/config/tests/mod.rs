//! The configuration as a whole: layers, secrets and the files that ship.

mod database;
mod faults;

use std::io;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;

type Loaded = (Settings, Vec<String>, Vec<Entry>);

/// The certificate of an authority, and its key.
static AUTHORITY: LazyLock<String> = LazyLock::new(|| MADE.cert.pem());
static KEY: LazyLock<String> = LazyLock::new(|| MADE.signing_key.serialize_pem());
static MADE: LazyLock<rcgen::CertifiedKey<rcgen::KeyPair>> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(vec!["authority".to_owned()]).unwrap());

/// What a user logs in with.
static CREDENTIALS: LazyLock<String> = LazyLock::new(|| {
    let seed = nkeys::KeyPair::new_user().seed().unwrap();
    let jwt = "-----BEGIN NATS USER JWT-----\neyJ0.x.y\n------END NATS USER JWT------";
    format!("{jwt}\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n")
});

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
                .ok_or(io::Error::from(io::ErrorKind::NotFound).into())
        },
        host_name: "pod-1.local".to_owned(),
        memory_limit: Some(256 << 20),
        terminal: false,
        reads_everything: true,
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
    let files = [
        ("readable", "SECRET\n"),
        ("ca.pem", AUTHORITY.as_str()),
        ("key.pem", KEY.as_str()),
        ("me.creds", CREDENTIALS.as_str()),
    ];
    load(&[], &env, &files)
}

fn entry<'a>(effective: &'a [Entry], key: &str) -> &'a Entry {
    let name = format!("EXTENSION_REGISTRY_{key}");
    effective.iter().find(|entry| entry.name == name).unwrap()
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
    assert_eq!(settings.breaker.max_open_time, Duration::from_secs(600));
    assert_eq!(settings.breaker.slow_calls, None);
    assert_eq!(settings.limits.max_timeout, Duration::from_secs(120));
    assert_eq!(settings.limits.max_payload_bytes, 1_048_576);
    assert_eq!(settings.logging.format, LogFormat::Json);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(effective.len(), variables::ALL.len());
    assert!(
        effective
            .iter()
            .all(|entry| entry.origin.to_string() == "default")
    );
    let instance_id = entry(&effective, "INSTANCE_ID").value.clone();
    assert_eq!(instance_id, Some(settings.identity.instance_id));
}

#[test]
fn calls_may_hold_a_quarter_of_the_memory_within_the_bounds_of_the_setting() {
    for (memory_limit, bytes) in [
        (None, 256 << 20),
        (Some(256 << 20), 64 << 20),
        (Some(8 << 40), 1 << 40),
        (Some(3), 1),
    ] {
        let surroundings = Surroundings {
            env: BTreeMap::new(),
            read_file: &|_| Err(io::Error::from(io::ErrorKind::NotFound).into()),
            host_name: String::new(),
            memory_limit,
            terminal: false,
            reads_everything: true,
        };
        let (settings, ..) = Settings::load(BTreeMap::new(), &surroundings).unwrap();
        let found = settings.limits.max_in_flight_bytes;
        assert_eq!(found, bytes, "{memory_limit:?}");
    }
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
        assert_eq!(settings.nats.servers[0].host, host);
        assert_eq!(entry(&effective, "NATS_URL").origin.to_string(), origin);
    }
}

/// CASES.md E4.
#[test]
fn every_file_may_begin_with_a_byte_order_mark() {
    let files = &[
        ("s", "\u{feff}hunter2\r\n"),
        ("t", "\u{feff}a-reading-token-01 reader\n"),
        (
            "c.toml",
            "\u{feff}nats_token_file = 's'\nhttp_tokens_file = 't'",
        ),
    ];
    let (settings, _, _) = load(&[("CONFIG", "c.toml")], &[], files).unwrap();
    let NatsAuth::Token(token) = &settings.nats.auth else {
        panic!("{:?}", settings.nats.auth)
    };
    assert_eq!(token.first().expose_secret(), "hunter2");
    let tokens = settings.tokens.unwrap().table;
    assert!(tokens.find("a-reading-token-01").is_some());
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
        assert_eq!(token.first().expose_secret(), "hunter2");
        assert_eq!(
            entry(&effective, "NATS_TOKEN").value.as_deref(),
            Some("***")
        );
    }
}

#[test]
fn secrets_show_nowhere() {
    for nats in [
        &[("NATS_URL", "nats://u:hunter2@nats.local")][..],
        &[("NATS_URL", "nats.local"), ("NATS_TOKEN", "hunter2")],
    ] {
        let database = [
            ("DB_URL", "postgres://u:hunter2@db.local/b"),
            ("DB_LISTEN_URL", "postgres://u:hunter2@db2.local/b"),
        ];
        let (settings, _, effective) = load_env(&[&database, nats].concat()).unwrap();
        for text in [format!("{settings:?}"), format!("{effective:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
            assert!(
                text.contains("db.local") && text.contains("nats.local"),
                "{text}"
            );
        }
    }
}

#[test]
fn unknown_environment_names_and_idle_variables_are_warnings() {
    let (_, warnings, _) = load_env(&[
        ("SERVICE_PORT", "tcp://10.0.0.1:80"),
        ("SYNC_INTERVAL", "5"),
        ("CACHE_TYPE", "mnesia"),
        ("DB_USER", "me"),
        ("DB_PASSWORD", "hunter2"),
        ("MAX_IN_FLIGHT_BYTES", "1000"),
    ])
    .unwrap();
    assert_eq!(warnings.len(), 5, "{warnings:?}");
    assert!(warnings[0].starts_with("EXTENSION_REGISTRY_SERVICE_PORT is not known"));
    assert!(warnings[1].ends_with("the nearest name is EXTENSION_REGISTRY_SYNC_INTERVAL_SECONDS"));
    assert!(warnings[2].starts_with("environment EXTENSION_REGISTRY_CACHE_TYPE has no effect"));
    assert!(warnings[3].starts_with("EXTENSION_REGISTRY_MAX_IN_FLIGHT_BYTES is less than"));
    assert!(warnings[4].ends_with("_DB_PASSWORD: no effect, as neither DB_URL nor DB_HOST is set"));
}

#[test]
fn the_shipped_files_load() {
    let dev = include_str!("../../../deploy/config/dev.toml");
    let (settings, ..) = load(&[("CONFIG", "dev.toml")], &[], &[("dev.toml", dev)]).unwrap();
    assert_eq!(settings.source.mode, SourceMode::Fixtures);

    let secrets = "/run/secrets/beamline-registry";
    let names = ["db_password", "db_ca.pem", "nats_ca.pem", "nats_password"];
    let paths = names.map(|name| format!("{secrets}/{name}"));
    let prod = include_str!("../../../deploy/config/prod.toml");
    let mut files = vec![("prod.toml", prod)];
    files.extend(paths.iter().map(|path| match path.ends_with("ca.pem") {
        true => (path.as_str(), AUTHORITY.as_str()),
        false => (path.as_str(), "secret"),
    }));
    let (settings, warnings, _) = load(&[("CONFIG", "prod.toml")], &[], &files).unwrap();
    assert_eq!(settings.source.mode, SourceMode::Database);
    let database = settings.database.unwrap().pool;
    assert_eq!(database.ssl_mode(), SslMode::VerifyFull);
    let user = database.config("test").get_user().map(str::to_owned);
    assert_eq!(user.as_deref(), Some("beamline_registry"));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn what_differs_from_the_defaults_is_told_without_secrets_and_addresses() {
    let (settings, ..) = load_env(&[
        ("SYNC_INTERVAL_SECONDS", "1m"),
        ("MAX_IN_FLIGHT", "9"),
        ("DB_HOST", "db"),
        ("DB_PORT", "6432"),
        ("DB_NAME", "registry"),
        ("DB_USER", "somebody"),
        ("DB_PASSWORD", "hunter2"),
        ("DB_POOL_SIZE", "7"),
        ("NATS_USER", "somebody"),
        ("NATS_PASSWORD", "hunter2"),
        ("HTTP_ADDR", "127.0.0.1:1"),
        ("LOG", "debug"),
    ])
    .unwrap();
    let changed = Vec::from_iter(settings.distinct.changed);
    let expected = [
        ("DB_POOL_SIZE", "7"),
        ("LOG", "debug"),
        ("MAX_IN_FLIGHT", "9"),
    ];
    assert_eq!(
        changed,
        expected.map(|(name, value)| (name, value.to_owned()))
    );
}

#[test]
fn the_fingerprint_covers_what_a_fleet_should_have_alike() {
    let fingerprint = |env: &[(&str, &str)]| load_env(env).unwrap().0.distinct.fingerprint;
    let plain = fingerprint(&[]);
    assert_eq!(plain.len(), 12);
    for own in [
        ("INSTANCE_ID", "other"),
        ("NATS_URL", "nats://other:1"),
        ("DB_URL", "postgres://db/x"),
        ("HTTP_ADDR", "off"),
        ("LOG", "debug"),
        ("SYNC_INTERVAL_SECONDS", "1m"),
    ] {
        assert_eq!(fingerprint(&[own]), plain, "{own:?}");
    }
    let mut seen = vec![plain];
    for shared in [
        ("SYNC_INTERVAL_SECONDS", "61"),
        ("SUBJECT_PREFIX", "other.prefix"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "6"),
        ("ENVIRONMENT", "staging"),
    ] {
        let other = fingerprint(&[shared]);
        assert!(!seen.contains(&other), "{shared:?}");
        seen.push(other);
    }
}

/// The context `prod` of a user whose files are in `/home/me`.
fn with_context(
    context: &str,
    env: &[(&str, &str)],
    files: &[(&str, &str)],
) -> Result<Loaded, Faults> {
    let mut env = env.to_vec();
    env.extend([
        ("EXTENSION_REGISTRY_NATS_CONTEXT", "prod"),
        ("HOME", "/home/me"),
    ]);
    let mut files = files.to_vec();
    files.push(("/home/me/.config/nats/context/prod.json", context));
    load(&[], &env, &files)
}

#[test]
fn a_context_of_the_nats_command_line_stands_below_all_other_settings() {
    let context = r#"{"url":"nats://a:1,nats://b:2","user":"u","password":"p","ca":"~/ca.pem",
        "inbox_prefix":"_INBOX.me","color_scheme":"blue","token":"unused"}"#;
    let files = [("/home/me/ca.pem", AUTHORITY.as_str())];
    let (settings, _, effective) = with_context(context, &[], &files).unwrap();
    let servers: Vec<_> = settings
        .nats
        .servers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(servers, ["a:1", "b:2"]);
    assert!(matches!(&settings.nats.auth, NatsAuth::User { name, .. } if name == "u"));
    assert_eq!(
        settings.nats.tls_ca.as_deref(),
        Some(Path::new("/home/me/ca.pem"))
    );
    assert_eq!(settings.nats.inbox_prefix.as_str(), "_INBOX.me");
    assert_eq!(
        entry(&effective, "NATS_URL").origin.to_string(),
        "context prod:nats_url"
    );

    let env = [
        ("EXTENSION_REGISTRY_NATS_URL", "nats://c:3"),
        ("NATS_URL", "nats://d:4"),
    ];
    let (settings, ..) = with_context(context, &env, &files).unwrap();
    assert_eq!(settings.nats.servers.first().unwrap().to_string(), "c:3");
    assert!(matches!(settings.nats.auth, NatsAuth::User { .. }));
    let (settings, ..) = with_context(context, &env[1..], &files).unwrap();
    assert_eq!(settings.nats.servers.first().unwrap().to_string(), "a:1");
}

#[test]
fn a_login_replaces_the_whole_login_of_a_context() {
    let token = [("EXTENSION_REGISTRY_NATS_TOKEN", "t")];
    for context in [
        r#"{"url":"nats://a","user":"u","password":"p"}"#,
        r#"{"url":"nats://u:p@a"}"#,
        r#"{"url":"nats://a","creds":"/nowhere"}"#,
        r#"{"url":"nats://a","creds":"nsc://op/account/user","nkey":"$HOME/x","user_jwt":"eyJ"}"#,
    ] {
        let (settings, ..) = with_context(context, &token, &[]).unwrap();
        assert!(
            matches!(settings.nats.auth, NatsAuth::Token(_)),
            "{context}"
        );
        assert!(
            settings
                .nats
                .servers
                .iter()
                .all(|server| server.login.is_none())
        );
    }
    let url = [("EXTENSION_REGISTRY_NATS_URL", "nats://x:y@c")];
    let (settings, ..) = with_context(r#"{"user":"u","password":"p"}"#, &url, &[]).unwrap();
    assert!(matches!(settings.nats.auth, NatsAuth::None));
}

#[test]
fn what_a_context_would_have_executed_is_a_fault() {
    for (context, rule) in [
        (
            r#"{"nsc":"nsc://op/account/user"}"#,
            "`nsc` is not supported here",
        ),
        (
            r#"{"creds":"nsc://op/account/user"}"#,
            "`creds` is not a plain path",
        ),
        (r#"{"creds":"$HOME/x"}"#, "`creds` is not a plain path"),
        (r#"{"user_jwt":"eyJ"}"#, "`user_jwt` is not supported here"),
        (r#"{"token":"hunter2","#, "not a context: line 1"),
        (r#"{"url":"ws://a"}"#, "must begin with nats:// or tls://"),
    ] {
        let faults = with_context(context, &[], &[]).unwrap_err().to_string();
        assert!(
            faults.contains(rule) && !faults.contains("hunter2"),
            "{faults}"
        );
    }
    let faults = load_env(&[("NATS_CONTEXT", "../x")])
        .unwrap_err()
        .to_string();
    assert!(faults.contains("one file name"), "{faults}");
}
