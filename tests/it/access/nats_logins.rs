//! Each way to log in at NATS: it works; what it says is renewed in a file while the daemon runs,
//! and the daemon comes back with the new one, without having told its log either.

use std::path::Path;

use nkeys::KeyPair;
use tempfile::TempDir;

use super::jwt::Operator;
use crate::harness::certificates::Authority;
use crate::harness::nats::Builder;
use crate::harness::{DEADLINE, Daemon, NatsServer, eventually};
use crate::rig::{metric, shipped_fixtures};

/// One moment of a way to log in: what the server demands, and what the daemon has.
struct Login {
    server: Builder,
    /// File names and their texts.
    files: Vec<(&'static str, String)>,
    /// What must never be logged.
    secrets: Vec<String>,
}

impl Login {
    fn by(config: &str) -> Self {
        Self {
            server: NatsServer::builder().config(config),
            files: Vec::new(),
            secrets: Vec::new(),
        }
    }

    fn with(mut self, file: &'static str, text: &str, secret: &str) -> Self {
        self.files.push((file, text.to_owned()));
        self.secrets.push(secret.to_owned());
        self
    }

    fn write(&self, folder: &Path) {
        for (name, text) in &self.files {
            // In one step, as a mounted secret changes.
            let draft = folder.join("draft");
            std::fs::write(&draft, text).unwrap();
            std::fs::rename(draft, folder.join(name)).unwrap();
        }
    }
}

/// How the daemon is told: settings, of which those in braces are files.
type Settings = &'static [(&'static str, &'static str)];

/// Logs in as `first`; the server then takes `second` only, and so the daemon does.
async fn renew(scheme: &str, settings: Settings, first: Login, second: Login) {
    let folder = tempfile::tempdir().unwrap();
    first.write(folder.path());
    let mut server = first.server.clone().start().await;
    let daemon = daemon(scheme, settings, &server, &folder).await;
    daemon.wait_ready().await;

    server.stop().await;
    wait_link(&daemon, 0.0).await;
    server.configure(second.server.clone());
    server.start_again().await;
    wait_refusal(&server).await;
    second.write(folder.path());
    wait_link(&daemon, 1.0).await;
    assert_silent(&daemon, &[first, second]);
}

async fn daemon(scheme: &str, settings: Settings, server: &NatsServer, folder: &TempDir) -> Daemon {
    let mut builder = Daemon::builder()
        .nats(&format!("{scheme}://{}", server.addr()))
        .fixtures(&shipped_fixtures())
        .setting("SOURCE", "fixtures")
        .setting("LOG", "debug");
    for (name, value) in settings {
        let value = match value.strip_prefix('@') {
            Some(file) => folder.path().join(file).display().to_string(),
            None => (*value).to_owned(),
        };
        builder = builder.setting(name, value);
    }
    builder.spawn().await
}

/// Waits until every connection to NATS is there, or one is not.
async fn wait_link(daemon: &Daemon, up: f64) {
    eventually("the state of the link", DEADLINE, async || {
        metric(daemon, "extension_registry_nats_up").await == Some(up)
    })
    .await;
}

/// The old login is of no use; in a container nobody reads the server's log.
async fn wait_refusal(server: &NatsServer) {
    let Some(process) = server.process() else {
        return;
    };
    let refused = |line: &str| {
        let signs = ["authentication error", "TLS handshake error"];
        signs.iter().any(|sign| line.contains(sign)).then_some(())
    };
    let waited = process.wait_line("a refusal", DEADLINE, refused).await;
    waited.unwrap_or_else(|error| panic!("{error}"));
}

fn assert_silent(daemon: &Daemon, logins: &[Login]) {
    for line in daemon.log() {
        for secret in logins.iter().flat_map(|login| &login.secrets) {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

fn password(word: &str) -> Login {
    let config = format!("authorization {{ users: [{{ user: registry, password: {word} }}] }}");
    Login::by(&config).with("password", &format!("{word}\n"), word)
}

const BY_PASSWORD: Settings = &[
    ("NATS_USER", "registry"),
    ("NATS_PASSWORD_FILE", "@password"),
];

#[tokio::test]
async fn a_password_is_renewed() {
    renew("nats", BY_PASSWORD, password("vulpine"), password("lupine")).await;
}

/// Without a restart of the server either: it disconnects whoever may not be there any more.
#[tokio::test]
async fn a_password_is_renewed_at_a_server_that_reloads() {
    let (first, second) = (password("vulpine"), password("lupine"));
    let folder = tempfile::tempdir().unwrap();
    first.write(folder.path());
    let mut server = first.server.clone().start().await;
    let daemon = daemon("nats", BY_PASSWORD, &server, &folder).await;
    daemon.wait_ready().await;
    server.configure(second.server.clone());
    server.reload();
    wait_link(&daemon, 0.0).await;
    second.write(folder.path());
    wait_link(&daemon, 1.0).await;
    assert_silent(&daemon, &[first, second]);
}

#[tokio::test]
async fn a_token_is_renewed() {
    let login = |word: &str| {
        let config = format!("authorization {{ token: {word} }}");
        Login::by(&config).with("token", word, word)
    };
    let settings = &[("NATS_TOKEN_FILE", "@token")];
    renew("nats", settings, login("vulpine"), login("lupine")).await;
}

#[tokio::test]
async fn an_nkey_is_renewed() {
    let login = || {
        let key = KeyPair::new_user();
        let config = format!(
            "authorization {{ users: [{{ nkey: {} }}] }}",
            key.public_key()
        );
        let seed = key.seed().unwrap();
        Login::by(&config).with("seed", &format!("{seed}\n"), &seed)
    };
    let settings = &[("NATS_NKEY_FILE", "@seed")];
    renew("nats", settings, login(), login()).await;
}

#[tokio::test]
async fn a_credentials_file_is_renewed() {
    let login = || {
        let operator = Operator::new();
        Login::by(&operator.config).with("creds", &operator.creds, &operator.seed)
    };
    renew("nats", &[("NATS_CREDS", "@creds")], login(), login()).await;
}

/// A server with a certificate for this machine.
fn tls(authority: &Authority, more: &str, users: &str) -> Login {
    let certificate = authority.server(&["127.0.0.1"]);
    let config = format!(
        "tls {{ cert_file: \"@FILES@/server.crt\", key_file: \"@FILES@/server.key\" {more} }}\n{users}"
    );
    let mut login = Login::by(&config);
    let server = login.server.file("server.crt", &certificate.pem);
    login.server = server.file("server.key", &certificate.key);
    login.files.push(("ca", authority.pem()));
    login
}

#[tokio::test]
async fn the_authority_that_servers_are_checked_against_is_renewed() {
    let login = |name| tls(&Authority::new(name), "", "");
    let settings = &[("NATS_TLS_CA", "@ca")];
    renew("tls", settings, login("first"), login("second")).await;
}

const BY_CERTIFICATE: Settings = &[
    ("NATS_TLS_CA", "@ca"),
    ("NATS_TLS_CERT", "@client.crt"),
    ("NATS_TLS_KEY", "@client.key"),
];

/// A server that wants a certificate of `authority`, and a client that has one.
fn client_certificate(authority: &Authority, name: &str, verify: &str, users: &str) -> Login {
    let more = format!(", ca_file: \"@FILES@/ca.crt\", {verify}: true");
    let mut login = tls(authority, &more, users);
    login.server = login.server.file("ca.crt", &authority.pem());
    let client = authority.client(name);
    login.files.push(("client.crt", client.pem));
    let line = client.key.lines().nth(1).unwrap().to_owned();
    login.with("client.key", &client.key, &line)
}

#[tokio::test]
async fn a_client_certificate_is_renewed() {
    let login = |name| client_certificate(&Authority::new(name), "registry", "verify", "");
    renew("tls", BY_CERTIFICATE, login("first"), login("second")).await;
}

#[tokio::test]
async fn a_client_certificate_that_names_its_user_is_renewed() {
    let authority = Authority::new("the only one");
    let login = |name: &str| {
        let users = format!("authorization {{ users: [{{ user: \"CN={name}\" }}] }}");
        client_certificate(&authority, name, "verify_and_map", &users)
    };
    renew("tls", BY_CERTIFICATE, login("first"), login("second")).await;
}
