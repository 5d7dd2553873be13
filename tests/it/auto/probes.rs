//! Who is probed, with what, and what an answer leads to.

use super::*;

/// Takes all extensions out of service as the machine does.
const ALL_OUT: &str = "UPDATE extensions SET auto_disabled = true";

/// `served` and `refusing` answer; `by_people` is disabled by people, too; `silent` and `asked` are
/// providers, of which only `asked` says what it may be asked.
async fn extensions(rig: &Rig) {
    let provider = "INSERT INTO extensions (id, type, subject, metadata) VALUES";
    run(
        &rig.sql,
        &format!(
            r#"{provider} ('silent', 'provider', 'beamline.ext.silent', '{{"owner": "ml"}}');
               {provider} ('asked', 'provider', 'beamline.ext.asked', '{{"probe": {{"ping": 1}}}}')"#
        ),
    )
    .await;
    add(rig, &["served", "refusing"], &[]).await;
    add(rig, &["by_people"], &[("enabled", "false")]).await;
}

#[tokio::test]
async fn who_may_be_asked_and_answers_is_taken_back_and_nobody_else() {
    let rig = Rig::start().await;
    extensions(&rig).await;
    let url = rig.nats.url();
    let enabling = |name| sidecar(&rig, name).setting("AUTO_ENABLE_ON_CIRCUIT_CLOSE", true);
    let _pods = tokio::join!(ready(enabling("pod-1")), ready(enabling("pod-2")));
    let (served, refusing, by_people, silent, asked) = tokio::join!(
        Player::start(&url, "served"),
        Player::start(&url, "refusing"),
        Player::start(&url, "by_people"),
        Player::start(&url, "silent"),
        Player::start(&url, "asked"),
    );
    refusing.fail(422);

    // Twice: the second time those who must not be asked have had their chance for certain.
    for round in 1..=2 {
        run(&rig.sql, ALL_OUT).await;
        for id in ["served", "refusing", "asked"] {
            eventually("it is back", DEADLINE, async || {
                automatic(&rig, id).await == ["auto_enabled"; 2][..round].join(" ")
            })
            .await;
            wait_reason(&rig, "pod-2", id, None).await;
        }
    }
    for (player, id) in [(by_people, "by_people"), (silent, "silent")] {
        assert_eq!(player.received.lock().unwrap().len(), 0, "{id}");
        assert_eq!(automatic(&rig, id).await, "");
    }
    wait_reason(&rig, "pod-1", "by_people", Some("disabled")).await;
    wait_reason(&rig, "pod-1", "silent", Some("auto_disabled")).await;

    let empty = json!({
        "trace_id": null, "tenant_id": null, "payload": {}, "metadata": {}, "config": {}
    });
    for (player, id, body) in [
        (&served, "served", &empty),
        (&refusing, "refusing", &empty),
        (&asked, "asked", &json!({"ping": 1})),
    ] {
        let probes = player.probes();
        assert_eq!(probes.len(), player.received.lock().unwrap().len());
        for probe in probes {
            let sent: Value = serde_json::from_slice(&probe.payload).unwrap();
            assert_eq!(sent, *body, "{id}");
            let headers = probe.headers.unwrap();
            let header = |name| headers.get(name).unwrap().as_str();
            assert_eq!(header("Beamline-Probe"), "1");
            assert_eq!(header("Beamline-Extension-Id"), id);
        }
    }
}

#[tokio::test]
async fn who_is_dead_is_asked_again_and_again_until_it_answers() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let builder = sidecar(&rig, "pod-1").setting("AUTO_ENABLE_ON_CIRCUIT_CLOSE", true);
    let _daemon = ready(builder).await;
    let player = Player::start(&rig.nats.url(), "a").await;
    player.fail(500);
    run(&rig.sql, ALL_OUT).await;
    eventually("it is asked", DEADLINE, async || player.probes().len() >= 3).await;
    wait_reason(&rig, "pod-1", "a", Some("auto_disabled")).await;
    player.recover();
    wait_reason(&rig, "pod-1", "a", None).await;
}

#[tokio::test]
async fn a_live_one_waits_for_people_where_the_machine_must_not_enable() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let daemon = ready(sidecar(&rig, "pod-1")).await;
    let player = Player::start(&rig.nats.url(), "a").await;
    run(&rig.sql, ALL_OUT).await;
    let alive = "extension responds again; an operator must enable it";
    eventually("it is logged", DEADLINE, async || {
        logged(&daemon, alive, "a") > 0
    })
    .await;
    // The one before the last is answered and over.
    let wanted = player.probes().len() + 2;
    eventually("it is asked again", DEADLINE, async || {
        player.probes().len() >= wanted
    })
    .await;
    wait_reason(&rig, "pod-1", "a", Some("auto_disabled")).await;
    assert_eq!(automatic(&rig, "a").await, "");
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    assert_eq!(logged(&daemon, alive, "a"), 1, "logged once");
}

#[tokio::test]
async fn the_lease_is_given_back_at_the_end() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let daemon = ready(sidecar(&rig, "pod-1")).await;
    run(&rig.sql, ALL_OUT).await;
    let holder = "SELECT string_agg(holder, ' ') FROM probe_lease";
    eventually("the lease is taken", DEADLINE, async || {
        value(&rig.sql, holder).await == "pod-1"
    })
    .await;
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    assert_eq!(value(&rig.sql, holder).await, "");
}
