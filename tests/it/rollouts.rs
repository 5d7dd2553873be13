//! `rollout.halt`: a version that fails gives up its share, once in the fleet, and is never blamed for
//! what is not its own. [`figures`]: how sure that is, and how soon (ignored; run in release).

use serde_json::{Value, json};

use crate::auto::{Player, ready};
use crate::events_seen::EventsSeen;
use crate::harness::daemon::Builder;
use crate::harness::{Behaviour, DEADLINE, Daemon, Extension, FaultProxy, Reply, eventually};
use crate::rig::Rig;
use crate::schema::{run, value};

mod figures;

const CANARY: &str = "beamline.ext.x.v2";

/// `x` with a canary for half of the tenants that is halted after ten calls.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    run(
        &rig.sql,
        "INSERT INTO extensions (id, type, subject, retry, timeout_ms)
         VALUES ('x', 'pre', 'beamline.ext.x', 0, 10000)",
    )
    .await;
    let rollout = r#"{"by":"tenant_id","percent":50,"halt":{"min_requests":10}}"#;
    let sql = format!(
        "INSERT INTO extension_versions (id, version, subject, rollout)
         VALUES ('x', 'v2', '{CANARY}', '{rollout}')"
    );
    run(&rig.sql, &sql).await;
    rig
}

/// A sidecar whose circuits do not get in the way.
fn sidecar(builder: Builder, name: &str) -> Builder {
    builder
        .setting("INSTANCE_ID", name)
        .setting("CIRCUIT_BREAKER_ENABLED", false)
        .setting("HEALTH_BASED_ROUTING_ENABLED", false)
        .setting("HEALTH_FLUSH_INTERVAL_SECONDS", "200ms")
}

async fn call(rig: &Rig, pod: &str, tenant: usize) -> Reply {
    let context = json!({ "tenant_id": format!("t{tenant}") });
    let body = json!({"id": "x", "payload": {}, "context": context});
    let subject = format!("beamline.registry.local.{pod}.invoke");
    rig.client.request_json(&subject, &body).await
}

async fn share(rig: &Rig) -> Value {
    let record = rig.ask("get", &json!({"id": "x"})).await.ok();
    record["versions"][0]["rollout"]["percent"].clone()
}

async fn halts(rig: &Rig) -> String {
    let sql = "SELECT count(*) FROM extension_audit_log WHERE action = 'rollout_halted'";
    value(&rig.sql, sql).await
}

/// Waits until attempts of all sidecars were compared once more: those of a fresh call have come in.
async fn compared(rig: &Rig, pods: &[&str]) {
    let told = "SELECT count(DISTINCT batch) FROM rollout_attempts";
    for pod in pods {
        let before: u32 = value(&rig.sql, told).await.parse().unwrap();
        call(rig, pod, 0).await;
        eventually("its attempts are in", DEADLINE, async || {
            let now: u32 = value(&rig.sql, told).await.parse().unwrap();
            if now > before { Ok(()) } else { Err(now) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_version_that_fails_gives_up_its_share_once_in_the_fleet() {
    let rig = rig().await;
    let events = EventsSeen::start(&rig.nats).await;
    let pods: Vec<_> = (1..=10).map(|n| format!("pod-{n}")).collect();
    let mut daemons: Vec<Daemon> = Vec::new();
    for pod in &pods {
        daemons.push(ready(sidecar(rig.daemon(), pod)).await);
    }
    let url = rig.nats.url();
    let _current = Player::start(&url, "x").await;
    let third = |number, _: &_| match number % 3 {
        0 => Behaviour::error(500),
        _ => Behaviour::Echo,
    };
    let canary = Extension::at(&url, CANARY, Behaviour::each(third)).await;
    let mut calls = 0;
    eventually("it has no share any more", DEADLINE, async || {
        for pod in &pods {
            for _ in 0..5 {
                calls += 1;
                call(&rig, pod, calls).await;
            }
        }
        let share = share(&rig).await;
        if share == 0 { Ok(()) } else { Err(share) }
    })
    .await;
    let told = events.wait("x", &["rollout_halted"], 1).await;
    let data = &told[0].1["data"];
    assert_eq!(
        (&data["changed"], &data["changed_by"]),
        (&json!(["versions"]), &json!("auto"))
    );
    let figures = &data["reason"];
    assert_eq!(
        (&figures["version"], &figures["current_failures"]),
        (&json!("v2"), &json!(0))
    );
    assert!(figures["requests"].as_u64().unwrap() >= 10, "{figures}");
    assert!(
        figures["least_failure_rate"].as_f64().unwrap() > 0.1,
        "{figures}"
    );

    let audit = rig
        .ask("audit", &json!({"id": "x", "by": "auto"}))
        .await
        .ok();
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["action"], "rollout_halted");
    let rollouts = ["old", "new"].map(|side| &entries[0]["changes"][side]["versions"]["v2"]);
    assert_eq!(
        rollouts.map(|it| it["rollout"]["percent"].clone()),
        [json!(50), json!(0)]
    );
    // Whoever might have halted it a second time has compared since.
    for n in 0..60 {
        call(&rig, "pod-1", n).await;
    }
    let names: Vec<_> = pods.iter().map(String::as_str).collect();
    run(&rig.sql, "UPDATE extensions SET timeout_ms = 9999").await;
    events.wait("x", &["extension_updated"], 2).await;
    compared(&rig, &names).await;
    assert_eq!(halts(&rig).await, "1");
    assert_eq!(events.of_kind("rollout_halted").len(), 1);
    assert_eq!(share(&rig).await, 0, "never raised");

    // What failed before an operator gave it a share again does not count against it.
    let again = json!({"id": "x", "version": "v2", "percent": 50});
    rig.ask("as.alice.rollout", &again).await.ok();
    canary.behave(Behaviour::Echo);
    for n in 0..40 {
        call(&rig, "pod-2", n).await;
    }
    compared(&rig, &names).await;
    assert_eq!(
        (share(&rig).await, halts(&rig).await),
        (json!(50), "1".to_owned())
    );
}

#[tokio::test]
async fn what_is_as_good_as_the_current_version_or_only_our_own_fault_is_not_halted() {
    let rig = rig().await;
    let proxy = FaultProxy::start(&rig.nats.addr()).await;
    let near = ready(sidecar(rig.daemon(), "pod-1")).await;
    let far = rig.daemon().nats(&format!("nats://{}", proxy.addr()));
    let far = ready(sidecar(far, "pod-2")).await;
    let url = rig.nats.url();
    // Both fail a third of their calls.
    let third = |number, _: &_| match number % 3 {
        0 => Behaviour::error(500),
        _ => Behaviour::Echo,
    };
    let _current = Extension::at(&url, "beamline.ext.x", Behaviour::each(third)).await;
    let _canary = Extension::at(&url, CANARY, Behaviour::each(third)).await;
    for n in 0..60 {
        call(&rig, "pod-1", n).await;
        call(&rig, "pod-2", n).await;
    }
    compared(&rig, &["pod-1", "pod-2"]).await;
    assert_eq!(
        (share(&rig).await, halts(&rig).await),
        (json!(50), "0".to_owned())
    );

    proxy.cut().await;
    far.wait_line("it knows", |line| {
        line.contains("nats disconnected").then_some(())
    })
    .await;
    compared(&rig, &["pod-1"]).await;
    proxy.heal().await;
    far.wait_ready().await;
    assert_eq!(
        (share(&rig).await, halts(&rig).await),
        (json!(50), "0".to_owned())
    );
    drop((near, far));
}

#[tokio::test]
async fn a_report_says_nothing_of_attempts_and_a_version_without_halt_keeps_its_share() {
    let rig = rig().await;
    let _daemon = ready(sidecar(rig.daemon(), "pod-1")).await;
    let url = rig.nats.url();
    let _current = Player::start(&url, "x").await;
    for _ in 0..50 {
        let failed = json!({"id": "x", "version": "v2", "outcome": "failure"});
        rig.ask("report", &failed).await.ok();
    }
    compared(&rig, &["pod-1"]).await;
    assert_eq!(
        (share(&rig).await, halts(&rig).await),
        (json!(50), "0".to_owned())
    );
    let update = json!({
        "id": "x", "version": "v2", "rollout": {"by": "tenant_id", "percent": 50}
    });
    rig.ask("as.alice.update_version", &update).await.ok();
    let _canary = Extension::at(&url, CANARY, Behaviour::error(500)).await;
    for n in 0..40 {
        call(&rig, "pod-1", n).await;
    }
    assert_eq!(
        (share(&rig).await, halts(&rig).await),
        (json!(50), "0".to_owned())
    );
}
