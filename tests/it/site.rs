//! What the tests of the request side share: a nats-server, a folder of fixtures, and a client.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::daemon::Builder;
use crate::harness::{Client, Daemon, NatsServer, Reply};

/// A place where daemons serve fixtures; each test starts its own daemons there.
pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) nats: NatsServer,
    folder: TempDir,
}

impl Site {
    /// A plain nats-server and a folder with `fixtures` in one file.
    pub(crate) async fn with(fixtures: &Value) -> Self {
        Self::on(NatsServer::start().await, fixtures).await
    }

    /// The same on a nats-server with options of the test's own.
    pub(crate) async fn on(nats: NatsServer, fixtures: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::connect(&nats.url()).await;
        let site = Self {
            client,
            nats,
            folder,
        };
        site.write_fixtures(fixtures);
        site
    }

    /// With a daemon that is ready, on a server that lets it do less: `permissions` of a user, in the
    /// notation of the server's configuration.
    pub(crate) async fn restricted(permissions: &str, fixtures: &Value) -> (Self, Daemon) {
        let config = format!(
            "no_auth_user: anyone
            authorization {{ users: [
                {{ user: anyone, password: secret }}
                {{ user: sidecar, password: secret, permissions: {{ {permissions} }} }}
            ] }}"
        );
        let nats = NatsServer::builder().config(&config).start().await;
        let site = Self::on(nats, fixtures).await;
        let daemon = site.daemon().setting("NATS_USER", "sidecar");
        let daemon = site.start(daemon.setting("NATS_PASSWORD", "secret")).await;
        (site, daemon)
    }

    /// With [`extensions`] and a daemon that is ready.
    pub(crate) async fn served() -> (Self, Daemon) {
        Self::serving(&extensions()).await
    }

    /// With fixtures of the test's own and a daemon that is ready.
    pub(crate) async fn serving(fixtures: &Value) -> (Self, Daemon) {
        let site = Self::with(fixtures).await;
        let daemon = site.start(site.daemon()).await;
        (site, daemon)
    }

    /// A daemon on this server and folder.
    pub(crate) fn daemon(&self) -> Builder {
        Daemon::builder()
            .nats(&self.nats.url())
            .fixtures(self.fixtures())
            .setting("SOURCE", "fixtures")
    }

    /// The same by a name of its own.
    pub(crate) fn named(&self, instance_id: &str) -> Builder {
        self.daemon().setting("INSTANCE_ID", instance_id)
    }

    /// Starts a daemon and waits until it is ready.
    pub(crate) async fn start(&self, builder: Builder) -> Daemon {
        let daemon = builder.spawn().await;
        daemon.wait_ready().await;
        daemon
    }

    /// The folder of the fixtures.
    pub(crate) fn fixtures(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the fixtures in one step, as an editor or a config map does.
    pub(crate) fn write_fixtures(&self, fixtures: &Value) {
        self.write_text(&fixtures.to_string());
    }

    /// The same with a text of the test's own: numbers as they are written there, keys given twice.
    pub(crate) fn write_text(&self, fixtures: &str) {
        let draft = self.fixtures().join("all.json.new");
        std::fs::write(&draft, fixtures).unwrap();
        std::fs::rename(draft, self.fixtures().join("all.json")).unwrap();
    }

    /// A request at `<prefix>.<rest>` with a payload as it is.
    pub(crate) async fn send(&self, rest: &str, payload: impl Into<bytes::Bytes>) -> Reply {
        self.client.request(&subject(rest), payload).await
    }

    /// A request at `<prefix>.<rest>` with a JSON object.
    pub(crate) async fn ask(&self, rest: &str, body: &Value) -> Reply {
        self.client.request_json(&subject(rest), body).await
    }
}

/// `beamline.registry.<rest>`.
pub(crate) fn subject(rest: &str) -> String {
    format!("beamline.registry.{rest}")
}

/// A type, and a subject that makes an extension of it valid.
pub(crate) fn extension(kind: &str, id: &str) -> Value {
    json!({"id": id, "type": kind, "subject": format!("beamline.ext.{id}.v1")})
}

/// One extension for each way to be served or not:
///
/// - `plain`: always,
/// - `routed`: by rules, by a rollout, by default; with instances,
/// - `acme_only`: for one tenant,
/// - `off`: disabled,
/// - `faulty`: quarantined.
pub(crate) fn extensions() -> Value {
    json!([
        {
            "id": "plain", "type": "pre", "subject": "beamline.ext.plain.v1",
            "timeout_ms": 100, "retry": 0,
            "config": {"lowercase": true}, "metadata": {"owner": "text"}
        },
        {
            "id": "routed", "type": "validator", "subject": "beamline.ext.routed.v1",
            "timeout_ms": 200, "retry": 2, "version": "v1",
            "config": {"strict": true}, "fallback": ["plain"],
            "versions": [
                {"version": "v2", "subject": "beamline.ext.routed.v2", "enabled": true,
                 "routing_rules": {"environment": "staging"}},
                {"version": "v3", "subject": "beamline.ext.routed.v3", "enabled": true,
                 "routing_rules": {"environment": "staging", "tenant_id": ["acme", "umbrella"]},
                 "timeout_ms": 7, "retry": 0, "config": {"strict": false}},
                {"version": "v4", "subject": "beamline.ext.routed.v4", "enabled": true,
                 "rollout": {"by": "user_id", "percent": 100}},
                {"version": "v5", "subject": "beamline.ext.routed.v5", "enabled": false}
            ],
            "instances": [
                {"instance_id": "blue", "subject": "beamline.ext.routed.v1.blue", "weight": 30},
                {"instance_id": "green", "subject": "beamline.ext.routed.v1.green", "weight": 70},
                {"instance_id": "idle", "subject": "beamline.ext.routed.v1.idle", "weight": 0},
                {"instance_id": "gone", "subject": "beamline.ext.routed.v1.gone", "enabled": false},
                {"instance_id": "other", "subject": "beamline.ext.routed.v3.other", "version": "v3"}
            ]
        },
        {
            "id": "acme_only", "type": "post", "subject": "beamline.ext.acme_only.v1",
            "routing_rules": {"tenant_id": "acme"}
        },
        {"id": "off", "type": "provider", "subject": "beamline.provider.off.v1", "enabled": false},
        {"id": "faulty", "type": "pre", "subject": "elsewhere.not.allowed"}
    ])
}
