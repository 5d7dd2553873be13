//! Every fault, named as its user wrote it.

use std::ffi::OsString;

use nkeys::KeyPair;

use super::*;

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
        (
            &[("SOURCE", "database"), ("DB_ENABLED", "false")],
            "SOURCE is `database`, but DB_ENABLED is false",
        ),
        (
            &[("DB_PORT", "tcp://10.0.0.1:5432")],
            "this looks like a Kubernetes service link",
        ),
        (&[("DB_ENABLED", "true")], "DB_ENABLED is true, but neither"),
        (
            &[("DB_ENABLED", "maybe")],
            "DB_ENABLED must be true or false",
        ),
        (&[("DB_URL", "x")], "DB_URL must begin with postgres://"),
        (
            &[("DB_URL", "postgres://a"), ("DB_HOST", "b")],
            "DB_HOST is set, and DB_URL has one too",
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
        (&[("DB_HOST", "a,b:6432")], "DB_HOST must be names"),
        (
            &[("DB_HOST", "postgres://u:hunter2@a/b")],
            "DB_HOST must be names, IP addresses or folders of sockets; ports go to DB_PORT",
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
            &[(
                "DB_URL",
                "postgres://a?sslmode=verify-ca&sslrootcert=readable",
            )],
            "DB_URL names readable, which has no certificate",
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
        (
            &[("NATS_URL", "nats://a:b@c/d")],
            "must end after host and port",
        ),
        (
            &[("NATS_URL", "nats://a,nats://b:c@d"), ("NATS_TOKEN", "t")],
            "NATS_URL holds a login beside another one",
        ),
        (&[("NATS_USER", "a")], "NATS_USER needs NATS_PASSWORD"),
        (&[("NATS_PASSWORD", "a")], "NATS_PASSWORD needs NATS_USER"),
        (
            &[("NATS_TLS_CA", "key.pem")],
            "NATS_TLS_CA names key.pem, which has no certificate",
        ),
        (
            &[("NATS_TLS_CERT", "readable"), ("NATS_TLS_KEY", "key.pem")],
            "NATS_TLS_CERT names readable, which has no certificate",
        ),
        (
            &[("NATS_TLS_CERT", "ca.pem"), ("NATS_TLS_KEY", "ca.pem")],
            "NATS_TLS_KEY names ca.pem, which has no private key",
        ),
        (
            &[("NATS_CREDS", "readable")],
            "NATS_CREDS names readable, which holds no user JWT",
        ),
        (
            &[("NATS_TLS_CERT", "ca.pem")],
            "NATS_TLS_CERT needs NATS_TLS_KEY",
        ),
        (
            &[("NATS_TLS_KEY", "key.pem")],
            "NATS_TLS_KEY needs NATS_TLS_CERT",
        ),
        (
            &[("NATS_CREDS", "me.creds"), ("NATS_TOKEN", "t")],
            "NATS_TOKEN is set beside NATS_CREDS",
        ),
        (
            &[("NATS_NKEY", "hunter2")],
            "NATS_NKEY must be the seed of a user nkey",
        ),
        (
            &[("NATS_NKEY", "SUhunter2")],
            "NATS_NKEY must be the seed of a user nkey",
        ),
        (
            &[("NATS_INBOX_PREFIX", "_INBOX.*")],
            "NATS_INBOX_PREFIX must be a subject, but has a wildcard",
        ),
        (
            &[("NATS_INBOX_PREFIX", "$JS.API")],
            "NATS_INBOX_PREFIX must not begin with `$`",
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
            &[("SUBJECT_PREFIX", "beamline")],
            "ALLOWED_SUBJECTS has beamline.ext.>, beamline.provider.>, where SUBJECT_PREFIX",
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
            "overlaps the registry's own subjects",
        ),
        (
            &[("HTTP_ADDR", "localhost")],
            "HTTP_ADDR must be an IP address and a port",
        ),
        (
            &[("HTTP_HOSTS", "registry.example,http://registry:9640")],
            "HTTP_HOSTS must be names of hosts without a port",
        ),
        (&[("HTTP_HOSTS", "*.example")], "HTTP_HOSTS must be names"),
        (&[("HTTP_HOSTS", ".")], "HTTP_HOSTS must be names"),
        (
            &[("HTTP_TOKENS_FILE", "gone")],
            "HTTP_TOKENS_FILE names gone",
        ),
        (
            &[("HTTP_TOKENS_FILE", "readable")],
            "HTTP_TOKENS_FILE names readable, where line 1 must have a token, a role",
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
            &[("LOG", "async_nats=debug, Warning")],
            "`Warning` is not a level; these are: off, error, warn, info",
        ),
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
fn a_seed_is_read_to_its_checksum() {
    let seed = |key: KeyPair| key.seed().unwrap();
    let good = seed(KeyPair::new_user());
    let line = format!("{good}\n");
    assert!(load_env(&[("NATS_NKEY", line.as_str())]).is_ok());
    let (kept, last) = good.split_at(good.len() - 1);
    let typo = format!("{kept}{}", if last == "A" { "B" } else { "A" });
    let short = kept.to_owned();
    for bad in [typo, short, seed(KeyPair::new_account())] {
        let faults = load_env(&[("NATS_NKEY", bad.as_str())]).unwrap_err();
        let faults = faults.to_string();
        assert!(faults.contains("the seed of a user nkey"), "{faults}");
        assert!(!faults.contains(&bad), "it is a secret");
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
            "source = { mode = 'auto' }",
            "c.toml:source must be a text, a number, a boolean or a list of them",
        ),
        (
            "db_host = ['a', ['b', 1979-05-27]]",
            "c.toml:db_host must be a text",
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
            ("EXTENSION_REGISTRY_SOURCE", "database"),
            ("EXTENSION_REGISTRY_DB_PORT", "x"),
            ("EXTENSION_REGISTRY_NATS_USER", "u"),
        ],
        &[(
            "c.toml",
            "unknown = 1\nhttp_addr = 'x'\nsync_interval_seconds = 'soon'",
        )],
    )
    .unwrap_err();
    let mut names: Vec<&str> = faults.0.iter().map(|fault| &*fault.origin.name).collect();
    names.sort_unstable();
    let expected = [
        "--max-retries",
        "EXTENSION_REGISTRY_DB_PORT",
        "EXTENSION_REGISTRY_NATS_USER",
        "EXTENSION_REGISTRY_SOURCE",
        "c.toml:http_addr",
        "c.toml:sync_interval_seconds",
        "c.toml:unknown",
    ];
    assert_eq!(names, expected);
}

/// A value that is read as its default because it is faulty breaks no rule by that.
#[test]
fn a_faulty_value_causes_no_second_fault() {
    for env in [
        [
            ("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "20m"),
            ("CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS", "soon"),
        ],
        [
            ("CIRCUIT_BREAKER_SLOW_CALL_MS", "slow"),
            ("CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD", "0.1"),
        ],
        [("SOURCE", "database"), ("DB_URL", "x")],
        [("NATS_USER", "a"), ("NATS_PASSWORD_FILE", "gone")],
        [("DB_HOST", "a,b"), ("DB_PORT", "1,x")],
    ] {
        let faults = load_env(&env).unwrap_err();
        assert_eq!(faults.0.len(), 1, "{faults}");
    }
}

/// Files are edited under a running daemon, which goes on with what it has read.
#[test]
fn a_probe_reads_where_to_ask_and_nothing_else() {
    let file = "http_addr = '127.0.0.1:1'\nunknown = 1\nhttp_tokens_file = 'gone'\n\
        nats_token_file = 'gone'\nnats_creds = 'gone'\nnats_context = 'gone'\n\
        db_url = 'postgres://a?sslrootcert=gone'";
    let surroundings = Surroundings {
        env: [("EXTENSION_REGISTRY_CONFIG".into(), "c.toml".into())].into(),
        read_file: &|path| match path == Path::new("c.toml") {
            true => Ok(file.as_bytes().to_vec()),
            false => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        },
        host_name: String::new(),
        memory_limit: None,
        terminal: false,
        reads_everything: false,
    };
    let (settings, ..) = Settings::load(BTreeMap::new(), &surroundings).unwrap();
    assert_eq!(settings.http.addr, Some("127.0.0.1:1".parse().unwrap()));
    let flags = |addr: &str| BTreeMap::from([("HTTP_ADDR".to_owned(), addr.to_owned())]);
    let faults = Settings::load(flags("nowhere"), &surroundings).unwrap_err();
    assert_eq!(faults.0.len(), 1, "{faults}");
    let surroundings = Surroundings {
        env: [("EXTENSION_REGISTRY_CONFIG".into(), "gone.toml".into())].into(),
        ..surroundings
    };
    assert!(Settings::load(flags("127.0.0.1:1"), &surroundings).is_ok());
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_a_fault_and_hides_no_lower_layer() {
    use std::os::unix::ffi::OsStringExt;

    let bad = OsString::from_vec(vec![b'q', 0xff]);
    let surroundings = Surroundings {
        env: [("EXTENSION_REGISTRY_QUEUE_GROUP".into(), bad)].into(),
        read_file: &|_| Err(io::Error::from(io::ErrorKind::NotFound).into()),
        host_name: String::new(),
        memory_limit: Some(256 << 20),
        terminal: false,
        reads_everything: true,
    };
    let faults = Settings::load(BTreeMap::new(), &surroundings).unwrap_err();
    let text = faults.to_string();
    assert_eq!(text, "EXTENSION_REGISTRY_QUEUE_GROUP is not UTF-8");
}
