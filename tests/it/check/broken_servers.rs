//! NATS, files and the host.

use serde_json::json;
use tokio::net::TcpListener;

use super::{Found, sound};
use crate::harness::certificates::Authority;
use crate::harness::{Daemon, NatsServer};
use crate::site::Site;

#[tokio::test]
async fn servers_and_logins() {
    let site = Site::with(&sound()).await;
    let nobody = site.daemon().nats("nats://127.0.0.1:1");
    let found = Found::by(nobody).await;
    found.names("NATS", "connects to 127.0.0.1:1");
    let causes = found.document.to_string().matches("refused").count();
    assert_eq!(causes, 1, "{:#}", found.document);
    let second = format!("{},nats://127.0.0.1:1", site.nats.url());
    Found::by(site.daemon().nats(&second))
        .await
        .names("NATS", "connects to 127.0.0.1:1");
    let secured = site.nats.url().replace("nats://", "tls://");
    Found::by(site.daemon().nats(&secured))
        .await
        .names("NATS", "if the server has no TLS");

    let users = r#"authorization { users: [ { user: "a", password: "right" } ] }"#;
    let guarded = NatsServer::builder().config(users).start().await;
    let login = |password: &str| {
        let daemon = site.daemon().nats(&guarded.url());
        daemon
            .setting("NATS_USER", "a")
            .setting("NATS_PASSWORD", password)
    };
    Found::by(login("right")).await.is_sound();
    Found::by(login("wrong"))
        .await
        .names("NATS", "authorization violation");
    Found::by(site.daemon().nats(&guarded.url()))
        .await
        .names("NATS", "authorization violation");
}

#[tokio::test]
async fn certificates() {
    let site = Site::with(&sound()).await;
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ours_pem, other_pem) = (file("ours", &ours.pem()), file("other", &other.pem()));
    let certificate = ours.server(&["localhost"]);
    let tls = "tls { cert_file: \"@FILES@/crt\", key_file: \"@FILES@/key\" }";
    let server = NatsServer::builder().config(tls);
    let server = server
        .file("crt", &certificate.pem)
        .file("key", &certificate.key);
    let server = server.start().await;
    let named = server.url().replace("127.0.0.1", "localhost");
    let daemon = |url: &str, ca: &str| site.daemon().nats(url).setting("NATS_TLS_CA", ca);
    Found::by(daemon(&named, &ours_pem)).await.is_sound();
    // CASES.md E4: to the commands and to the daemon, which have readers of their own.
    let marked = file("marked", &format!("\u{feff}{}", ours.pem()));
    Found::by(daemon(&named, &marked)).await.is_sound();
    daemon(&named, &marked).spawn().await.wait_ready().await;
    Found::by(daemon(&named, &other_pem))
        .await
        .names("NATS", "set the CA that signed");
    Found::by(daemon(&server.url(), &ours_pem))
        .await
        .names("NATS", "set the CA that signed");
}

/// Each right of the daemon's user taken away in turn.
#[tokio::test]
async fn rights_to_subjects() {
    let site = Site::with(&sound()).await;
    let everything = r#"publish: ["_INBOX.>", "beamline.>"], subscribe: [">"]"#;
    let cases = [
        (everything, None),
        (
            r#"publish: ["_INBOX.>", "beamline.>"], subscribe: { allow: ">", deny: "beamline.registry.get" }"#,
            Some("may subscribe to beamline.registry.get in group beamline-registry"),
        ),
        (
            r#"publish: ["_INBOX.>", "beamline.>"], subscribe: { allow: ">", deny: "$SRV.PING" }"#,
            Some("may subscribe to $SRV.PING"),
        ),
        (
            r#"publish: ["_INBOX.>", "beamline.>"], subscribe: ["beamline.>", "$SRV.>"]"#,
            Some("set EXTENSION_REGISTRY_NATS_INBOX_PREFIX"),
        ),
        // Enough for one reply, and not for those of the daemon's calls.
        (
            r#"publish: ["_INBOX.>", "beamline.>"], subscribe: ["beamline.>", "$SRV.>", "_INBOX.*"]"#,
            Some("set EXTENSION_REGISTRY_NATS_INBOX_PREFIX"),
        ),
        (
            r#"publish: ["_INBOX.>", "beamline.ext.>", "beamline.provider.>", "beamline.registry.cancelled.*"], subscribe: [">"]"#,
            Some("may publish at beamline.registry.events.>"),
        ),
        (
            r#"publish: ["_INBOX.>", "beamline.ext.>", "beamline.registry.>"], subscribe: [">"]"#,
            Some("may publish at beamline.provider.>"),
        ),
    ];
    for (permissions, words) in cases {
        let users = format!(
            r#"authorization {{ users: [ {{ user: "a", password: "b", permissions: {{ {permissions} }} }} ] }}"#
        );
        let server = NatsServer::builder().config(&users).start().await;
        let daemon = site.daemon().nats(&server.url());
        let found = Found::by(
            daemon
                .setting("NATS_USER", "a")
                .setting("NATS_PASSWORD", "b"),
        )
        .await;
        match words {
            Some(words) => found.names("NATS", words),
            None => found.is_sound(),
        }
    }
}

/// Each subject by itself is taken; all of one connection are too many.
#[tokio::test]
async fn a_server_that_takes_too_few_subscriptions() {
    let site = Site::with(&sound()).await;
    let few = NatsServer::builder().config("max_subscriptions: 20");
    let few = few.start().await;
    let found = Found::by(site.daemon().nats(&few.url())).await;
    found.names("NATS", "maximum subscriptions exceeded");
    found.advises(
        "raise max_subscriptions of the server, or the limit of the daemon's account or user",
    );
}

/// Of the default places for replies some may be refused; of those that were chosen none.
#[tokio::test]
async fn rights_to_answer() {
    let site = Site::with(&sound()).await;
    let users = r#"authorization { users: [ { user: "a", password: "b", permissions: {
        publish: ["_INBOX.>", "beamline.>"] } } ] }"#;
    let server = NatsServer::builder().config(users).start().await;
    let daemon = site.daemon().nats(&server.url());
    let daemon = daemon
        .setting("NATS_USER", "a")
        .setting("NATS_PASSWORD", "b");
    Found::by(daemon.clone()).await.is_sound();
    Found::by(daemon.setting("REPLY_PREFIXES", "_INBOX.,answers."))
        .await
        .names("NATS", "may answer at answers.>");
}

/// The daemon works without: calls go on, and extensions do not hear that nobody waits any more.
#[tokio::test]
async fn what_is_only_doubtful_fails_nothing() {
    let site = Site::with(&sound()).await;
    let users = r#"authorization { users: [ { user: "a", password: "b", permissions: {
        publish: { allow: ">", deny: "beamline.registry.cancelled.*" } } } ] }"#;
    let server = NatsServer::builder()
        .config(users)
        .max_payload(65_536)
        .start()
        .await;
    let daemon = site.daemon().nats(&server.url());
    let found = Found::by(
        daemon
            .setting("NATS_USER", "a")
            .setting("NATS_PASSWORD", "b"),
    )
    .await;
    assert_eq!(
        (found.code, found.marked("bad").len()),
        (0, 0),
        "{:#}",
        found.document
    );
    let doubtful: Vec<_> = found
        .marked("doubtful")
        .iter()
        .map(|line| line["check"].clone())
        .collect();
    let expected = [
        "takes payloads of 1048576 bytes",
        "may publish at beamline.registry.cancelled.*",
    ];
    assert_eq!(doubtful, expected);

    let misnamed = site.daemon().env("EXTENSION_REGISTRY_NATS_URLS", "x");
    let found = Found::by(misnamed).await;
    let line = found.marked("doubtful")[0].to_string();
    assert!(found.code == 0 && line.contains("NATS_URLS"), "{line}");
}

#[tokio::test]
async fn files_and_the_host() {
    let site = Site::with(&sound()).await;
    let missing = site.daemon().setting("FIXTURES_DIR", "/no/such/folder");
    Found::by(missing).await.names("files", "/no/such/folder");
    for (name, text, words) in [
        ("broken.json", "{".to_owned(), "broken.json is sound"),
        (
            "mark.json",
            "\u{feff}nothing".to_owned(),
            "mark.json is sound",
        ),
        (
            "subject.json",
            json!({"id": "s", "type": "pre", "subject": "elsewhere.x"}).to_string(),
            "subject",
        ),
        (
            "twice.json",
            json!({"id": "normalize_text", "type": "pre", "subject": "beamline.ext.x"}).to_string(),
            "normalize_text",
        ),
        (
            "type.json",
            json!({"id": "t", "type": "nonsense", "subject": "beamline.ext.x"}).to_string(),
            "type",
        ),
    ] {
        let path = site.fixtures().join(name);
        std::fs::write(&path, text).unwrap();
        Found::by(site.daemon()).await.names("files", words);
        std::fs::remove_file(path).unwrap();
    }
    Found::by(site.daemon()).await.is_sound();

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let found = Found::by(site.daemon().setting("HTTP_ADDR", addr)).await;
    found.names("configuration", "something else listens there");
    let elsewhere = site.daemon().setting("HTTP_ADDR", "192.0.2.1:9640");
    Found::by(elsewhere)
        .await
        .names("configuration", "can listen on 192.0.2.1:9640");
}

/// What the configuration itself says is told before anything is tried, all of it at once.
#[tokio::test]
async fn faults_of_the_configuration_come_first() {
    let builder = Daemon::builder().arg("check").setting("SOURCE", "nowhere");
    let (code, out, errors) = builder.setting("MAX_IN_FLIGHT", "-1").run().await;
    assert_eq!((code, out.as_str()), (64, ""), "{errors}");
    assert!(
        errors.contains("SOURCE") && errors.contains("MAX_IN_FLIGHT"),
        "{errors}"
    );
}
