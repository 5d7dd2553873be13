//! The rights to change things.

use serde_json::json;

use super::assert_error;
use crate::site::{Site, extensions};

#[tokio::test]
async fn without_administration_nothing_is_changed() {
    let site = Site::with(&extensions()).await;
    let _daemon = site
        .start(site.daemon().setting("ADMIN_ENABLED", false))
        .await;
    for verb in ["reload", "as.alice.reload", "all.reload"] {
        let reply = site.send(verb, "").await;
        assert_error(&reply, 403, "forbidden", "forbidden", &json!({}));
    }
    for verb in ["lookup", "get", "explain"] {
        site.send(verb, "plain").await.ok();
    }
    for verb in ["list", "stats", "ping", "as.alice.stats"] {
        site.send(verb, "").await.ok();
    }
}

#[tokio::test]
async fn changes_may_need_an_actor_in_the_subject() {
    let site = Site::with(&extensions()).await;
    const INSTANCE: &str = "pod-1";
    let daemon = site.named(INSTANCE);
    let _daemon = site
        .start(daemon.setting("REQUIRE_ACTOR_SUBJECT", true))
        .await;
    for verb in ["disable.plain", "delete.plain"] {
        let reply = site.send(verb, "").await;
        assert_error(&reply, 403, "forbidden", "forbidden", &json!({}));
    }
    let circuit = json!({"id": "plain", "action": "open", "actor": "alice"});
    let reply = site.ask("circuit", &circuit).await;
    assert_eq!(reply.error().0, 403, "a field is no subject");
    site.ask("as.alice.circuit", &circuit).await.ok();
    // CASES.md B10: a reload changes nothing, so nobody has to answer for it.
    let local = format!("local.{INSTANCE}.reload");
    for verb in ["reload", "all.reload", &local, "as.alice.reload"] {
        site.send(verb, "").await.ok();
    }
    site.send("lookup", "plain").await.ok();
}

#[tokio::test]
async fn an_actor_is_one_token_of_harmless_characters() {
    let (site, _daemon) = Site::served().await;
    let longest = "a".repeat(128);
    for actor in ["alice", "a@b", "A_1=+-", &longest] {
        site.send(&format!("as.{actor}.lookup.plain"), "")
            .await
            .ok();
        site.send(&format!("as.{actor}.stats"), "").await.ok();
    }
    let too_long = "a".repeat(129);
    for actor in ["m\u{fc}ller", "a:b", "a'b", "$SYS", "{}", &too_long] {
        for verb in ["lookup.plain", "get.plain", "reload", "ping"] {
            let reply = site.send(&format!("as.{actor}.{verb}"), "").await;
            let details = json!({"field": "actor"});
            assert_error(&reply, 400, "invalid_request", "invalid request", &details);
        }
    }
}
