//! Every verb, in every form, by every role: answered, or refused by the server.

use std::collections::BTreeSet;

use beamline_registry::adapters::nats::verb::{Role, Verb};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::guarded::{self, User};
use crate::docs::file;
use crate::harness::{
    Answer, Behaviour, Client, DEADLINE, Daemon, Extension, NatsServer, eventually,
};
use crate::rig::shipped_fixtures;

/// The users that ship, with their roles.
const ROLES: [(&str, Role); 4] = [
    ("dashboard", Role::Reader),
    ("router", Role::Invoker),
    ("oscar", Role::Operator),
    ("alice", Role::Admin),
];

/// The page says what the users of each role may send.
#[test]
fn the_page_names_the_verbs_of_each_role() {
    let page = std::fs::read_to_string(file("docs/access.md")).unwrap();
    let known = Verb::ALL.map(Verb::as_str);
    for (name, role) in [
        ("reader", Role::Reader),
        ("invoker", Role::Invoker),
        ("operator", Role::Operator),
    ] {
        let begin = format!("| {name}, ");
        let row = page.lines().find(|line| line.starts_with(&begin)).unwrap();
        let (_, may) = row.split_once(" | ").unwrap();
        let named = may.split('`').skip(1).step_by(2);
        let named: BTreeSet<_> = named.filter(|word| known.contains(word)).collect();
        let verbs = Verb::ALL.into_iter().filter(|verb| verb.role() == role);
        let verbs = BTreeSet::from_iter(verbs.map(Verb::as_str));
        assert_eq!(named, verbs, "{name}");
    }
}

const EXTENSION: &str = "normalize_text";
const SUBJECT: &str = "beamline.ext.pre.normalize_text.v1";

/// A daemon that serves one of the shipped extensions, and that extension, which answers. It does
/// not insist on the actor in the subject itself, so that only NATS decides.
struct Stage {
    extension: Extension,
    /// Whom the extension logged in as.
    played: User,
    server: NatsServer,
    _daemon: Daemon,
    _fixtures: TempDir,
}

/// The shipped one, with time enough for a busy machine.
fn fixtures() -> TempDir {
    let shipped = shipped_fixtures().join(format!("{EXTENSION}.json"));
    let mut record: Value = serde_json::from_slice(&std::fs::read(shipped).unwrap()).unwrap();
    record["timeout_ms"] = json!(20_000);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.json"), record.to_string()).unwrap();
    folder
}

impl Stage {
    async fn start() -> Self {
        let (server, fixtures) = (guarded::server().await, fixtures());
        let daemon = guarded::daemon(&server)
            .fixtures(fixtures.path())
            .setting("SOURCE", "fixtures")
            .setting("INSTANCE_ID", "one")
            .spawn()
            .await;
        let played = User::login(&server, EXTENSION).await;
        let requests = played.nats.queue_subscribe(SUBJECT, EXTENSION.to_owned());
        let requests = requests.await.unwrap();
        let extension = Extension::over(played.nats.clone(), requests, Behaviour::Echo);
        daemon.wait_ready().await;
        let router = User::login(&server, "router").await.client().await;
        eventually("the extension answers", DEADLINE, async || {
            let invoke = "beamline.registry.invoke";
            let reply = router.request_json(invoke, &body("invoke")).await;
            reply.header("Nats-Service-Error-Code").is_none()
        })
        .await;
        Self {
            extension,
            played,
            server,
            _daemon: daemon,
            _fixtures: fixtures,
        }
    }
}

/// A request that is complete, so that only the role decides.
fn body(verb: &str) -> Value {
    match verb {
        "lookup_by_type" => json!({"type": "pre"}),
        "list" | "stats" | "ping" | "reload" | "circuits" | "audit" => json!({}),
        "invoke" => json!({"id": EXTENSION, "payload": {}}),
        "report" => json!({"id": EXTENSION, "outcome": "success"}),
        "cancel" => json!({"call": "nobodys"}),
        "circuit" => json!({"id": EXTENSION, "action": "close"}),
        "create" => json!({"id": "new", "type": "pre", "subject": "beamline.ext.new"}),
        "update" => json!({"id": EXTENSION, "retry": 1}),
        "put_version" => {
            json!({"id": EXTENSION, "version": "v2", "subject": "beamline.ext.new"})
        }
        "rollout" => json!({"id": EXTENSION, "version": "v2", "percent": 10}),
        "promote" | "delete_version" | "update_version" => {
            json!({"id": EXTENSION, "version": "v2"})
        }
        "put_instance" => {
            json!({"id": EXTENSION, "instance_id": "a", "subject": "beamline.ext.new"})
        }
        "delete_instance" => json!({"id": EXTENSION, "instance_id": "a"}),
        _ => json!({"id": EXTENSION}),
    }
}

/// Files cannot be written, and keep no audit: a write that got this far is answered 409.
fn expected_code(verb: Verb) -> Option<&'static str> {
    (verb.writes() || verb == Verb::Audit).then_some("409")
}

/// One way to send a verb, and whether the role allows it.
struct Attempt {
    subject: String,
    allowed: bool,
}

fn attempts(user: &str, role: Role, verb: Verb) -> Vec<Attempt> {
    let name = verb.as_str();
    let has = verb.role() <= role;
    let reads = has && !verb.mutates();
    let changes = has && (verb.mutates() || role == Role::Admin);
    // A reload changes no definition, so its sender need not be known: it may go to every sidecar.
    let reloads = has && verb == Verb::Reload;
    let anywhere = verb.answers_any();
    let forms = [
        (name.to_owned(), reads && anywhere),
        (format!("local.one.{name}"), reads || reloads),
        (
            format!("all.{name}"),
            (reads || reloads) && verb.answers_all(),
        ),
        (
            format!("as.{user}.{name}"),
            changes && !["dashboard", "router"].contains(&user),
        ),
        (format!("as.somebody_else.{name}"), false),
    ];
    let mut attempts = Vec::new();
    for (form, allowed) in forms {
        if !anywhere && form.starts_with(&format!("as.{user}.")) {
            // Nobody listens there, whoever may send it.
            continue;
        }
        let subject = format!("beamline.registry.{form}");
        if verb.takes_id() {
            let subject = format!("{subject}.{EXTENSION}");
            attempts.push(Attempt { subject, allowed });
        }
        attempts.push(Attempt { subject, allowed });
    }
    attempts
}

#[tokio::test]
async fn each_role_may_send_its_verbs_and_the_server_refuses_the_rest() {
    let stage = Stage::start().await;
    for (name, role) in ROLES {
        let user = User::login(&stage.server, name).await;
        let client = user.client().await;
        for verb in Verb::ALL {
            for attempt in attempts(name, role, verb) {
                check(&user, &client, verb, &attempt).await;
            }
        }
        let discovery = Attempt {
            subject: "$SRV.PING.beamline-registry".to_owned(),
            allowed: ["oscar", "alice"].contains(&name),
        };
        check(&user, &client, Verb::Ping, &discovery).await;

        let before = user.refusals();
        let _events = user.nats.subscribe("beamline.registry.events.>").await;
        client.request("beamline.registry.ping", "").await.ok();
        assert_eq!(user.refusals(), before, "{name} may hear events");
    }
}

async fn check(user: &User, client: &Client, verb: Verb, attempt: &Attempt) {
    let Attempt { subject, allowed } = attempt;
    if *allowed && verb == Verb::Cancel && subject.contains(".all.") {
        // Nobody has the call, so nobody answers.
        let body = body(verb.as_str()).to_string();
        let publishing = user.nats.publish(subject.clone(), body.into());
        publishing.await.unwrap();
        client.request("beamline.registry.ping", "").await.ok();
        assert!(!user.may_not_publish(subject), "{subject}");
    } else if *allowed {
        let reply = client.request_json(subject, &body(verb.as_str())).await;
        assert!(!reply.is_no_responders(), "{subject}");
        let code = reply.header("Nats-Service-Error-Code");
        assert_eq!(code, expected_code(verb), "{subject}: {reply:?}");
        assert!(!user.may_not_publish(subject), "{subject}");
    } else {
        let (subject, body) = (subject.clone(), body(verb.as_str()).to_string());
        let publishing = user.nats.publish(subject.clone(), body.into());
        publishing.await.unwrap();
        eventually(&format!("refusal of {subject}"), DEADLINE, async || {
            user.may_not_publish(&subject)
        })
        .await;
    }
}

#[tokio::test]
async fn nobody_reads_along_or_speaks_for_others() {
    let stage = Stage::start().await;
    for (name, _) in ROLES {
        let user = User::login(&stage.server, name).await;
        for subject in [
            ">",
            "_INBOX.>",
            "_INBOX.registry.>",
            "beamline.>",
            "beamline.registry.lookup",
            "beamline.registry.as.*.create",
            "beamline.registry.cancelled.*",
            "beamline.ext.pre.normalize_text.v1",
            "$SYS.>",
            "$SRV.PING",
        ] {
            let _kept = user.nats.subscribe(subject).await.unwrap();
            let what = format!("{name} may not hear {subject}");
            eventually(&what, DEADLINE, async || user.may_not_subscribe(subject)).await;
        }
        for subject in [
            "_INBOX.registry.x",
            "beamline.registry.events.circuit_opened.x",
            "beamline.registry.cancelled.normalize_text",
            "beamline.registry.create.x",
            "beamline.ext.pre.normalize_text.v1",
            "$JS.API.STREAM.DELETE.x",
            "$SYS.REQ.SERVER.PING",
        ] {
            user.nats.publish(subject, "{}".into()).await.unwrap();
            let what = format!("{name} may not send {subject}");
            eventually(&what, DEADLINE, async || user.may_not_publish(subject)).await;
        }
    }
    let anonymous = async_nats::connect(stage.server.url()).await;
    assert!(anonymous.is_err(), "a stranger gets in");
}

#[tokio::test]
async fn an_extension_may_answer_and_nothing_else() {
    let stage = Stage::start().await;
    let user = &stage.played;
    assert_eq!(user.refusals(), Vec::<String>::new());
    // Known to the server with the first refusal of what follows it.
    let cancelled = "beamline.registry.cancelled.normalize_text";
    let mut hears = user.nats.subscribe(cancelled).await.unwrap();
    for subject in [
        "_INBOX.router.x",
        "beamline.registry.lookup",
        "beamline.provider.mock.v1",
        "$JS.API.INFO",
    ] {
        user.nats.publish(subject, "".into()).await.unwrap();
        let what = format!("may not send {subject}");
        eventually(&what, DEADLINE, async || user.may_not_publish(subject)).await;
    }
    let before = user.refusals().len();
    stage.extension.behave(Behaviour::silent());
    let router = User::login(&stage.server, "router").await.client().await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Beamline-Call-Id", "c0ffee");
    let (invoke, call) = ("beamline.registry.invoke", body("invoke").to_string());
    let calling = router.request_with_headers(invoke, headers, call);
    let calls = stage.extension.count() + 1;
    // Of a call that never reached it, an extension does not hear either.
    let cancelling = async {
        stage.extension.wait_count(calls).await;
        let (cancel, call) = ("beamline.registry.all.cancel", json!({"call": "c0ffee"}));
        router.request_json(cancel, &call).await.ok();
    };
    tokio::join!(calling, cancelling);
    let heard = tokio::time::timeout(DEADLINE, hears.next()).await;
    let heard = heard.expect("a cancel").unwrap();
    assert_eq!(heard.subject.as_str(), cancelled);
    assert_eq!(
        user.refusals().len(),
        before,
        "it may hear of its own calls"
    );
    for subject in [
        SUBJECT,
        "beamline.provider.mock.v1",
        "beamline.registry.cancelled.mock_provider",
        "_INBOX.>",
    ] {
        let _kept = user.nats.subscribe(subject).await.unwrap();
        let what = format!("may not hear {subject}");
        eventually(&what, DEADLINE, async || user.may_not_subscribe(subject)).await;
    }

    let before = user.refusals().len();
    let twice = [Answer::new("{}"), Answer::new("{}")];
    stage.extension.behave(Behaviour::Answers(twice.into()));
    let router = User::login(&stage.server, "router").await.client().await;
    let invoke = "beamline.registry.invoke";
    router.request_json(invoke, &body("invoke")).await.ok();
    eventually("may not answer twice", DEADLINE, async || {
        user.refusals().len() > before
    })
    .await;
}
