//! The ways to name an extension, and what is none.

use serde_json::json;

use crate::site::Site;

#[tokio::test]
async fn an_id_can_be_given_in_every_way() {
    let (site, daemon) = Site::served().await;
    let stats = site.send("stats", "").await.ok();
    let local = format!("local.{}", stats["instance_id"].as_str().unwrap());
    let expected = site.send("lookup", "plain").await.payload;
    for (verb, payload) in [
        ("lookup", "  plain\r\n"),
        ("lookup", r#"{"id":"plain"}"#),
        ("lookup", " {\"id\" : \"plain\"}\n"),
        (
            "lookup",
            r#"{"id":"pl\u0061in","version":null,"context":null,"ids":null}"#,
        ),
        (
            "lookup",
            r#"{"id":"plain","context":{},"a field of the future":[1]}"#,
        ),
        ("lookup.plain", ""),
        ("lookup.plain", " \n"),
        ("lookup.plain", "{}"),
        ("lookup.plain", "plain"),
        ("lookup.plain", r#"{"id":"plain"}"#),
    ] {
        for form in ["", "as.alice.", &format!("{local}.")] {
            let reply = site.send(&format!("{form}{verb}"), payload).await;
            assert_eq!(reply.payload, expected, "{form}{verb} {payload}");
        }
    }
    site.client.assert_one_reply_each().await;
    assert_eq!(daemon.exit_code(), None);
}

#[tokio::test]
async fn what_is_no_lookup_is_refused_and_named() {
    let (site, _daemon) = Site::served().await;
    for (verb, payload, field) in [
        ("lookup", "", Some("id")),
        ("lookup", "{}", Some("id")),
        ("lookup", r#"{"id":null}"#, Some("id")),
        ("lookup", r#"{"id":""}"#, Some("id")),
        ("lookup", r#"{"id":7}"#, Some("id")),
        ("lookup", r#"{"id":"no spaces"}"#, Some("id")),
        ("lookup", "no spaces", Some("id")),
        ("lookup", "\"plain\"", Some("id")),
        ("lookup", "[\"plain\"]", Some("id")),
        ("lookup.plain", "routed", Some("id")),
        ("lookup.plain", r#"{"id":"routed"}"#, Some("id")),
        ("lookup.pl\u{e4}in", "", Some("id")),
        (
            "lookup",
            r#"{"id":"plain","version":"v 1"}"#,
            Some("version"),
        ),
        ("lookup", r#"{"id":"plain","version":1}"#, Some("version")),
        (
            "lookup",
            r#"{"id":"plain","context":"prod"}"#,
            Some("context"),
        ),
        (
            "lookup",
            r#"{"id":"plain","min_revision":-1}"#,
            Some("min_revision"),
        ),
        (
            "lookup",
            r#"{"id":"plain","min_revision":1,"wait_ms":"1s"}"#,
            Some("wait_ms"),
        ),
        ("lookup", r#"{"id":"plain","ids":["plain"]}"#, Some("ids")),
        (
            "lookup",
            r#"{"ids":["plain"],"version":"v1"}"#,
            Some("version"),
        ),
        ("lookup", r#"{"ids":[]}"#, Some("ids")),
        ("lookup", r#"{"ids":"plain"}"#, Some("ids")),
        ("lookup", r#"{"ids":["plain",1]}"#, Some("ids[1]")),
        ("lookup", r#"{"id":"plain""#, None),
        ("lookup", r#"{"id":"plain"} {}"#, None),
    ] {
        let reply = site.send(verb, payload).await;
        let said = (reply.error(), reply.details()["field"].clone());
        let expected = ((400, "invalid_request".to_owned()), json!(field));
        assert_eq!(said, expected, "{verb} {payload}: {reply:?}");
    }
}
