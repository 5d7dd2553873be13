//! Whole numbers, however they are written.

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::{faults, played, refused};
use crate::rig::Rig;
use crate::site::{Site, extensions, subject};

/// CASES.md C3: each field of a read, an object around it, and the range that its rule names.
const FIELDS: [(&str, &str, &str, &str); 12] = [
    (
        "lookup",
        "min_revision",
        r#""id":"plain""#,
        "0 to 18446744073709551615",
    ),
    ("lookup", "wait_ms", r#""id":"plain""#, "0 to 10000"),
    (
        "explain",
        "min_revision",
        r#""id":"plain""#,
        "0 to 18446744073709551615",
    ),
    ("get", "wait_ms", r#""id":"plain""#, "0 to 10000"),
    ("list", "limit", r#""type":"pre""#, "1 to 1000"),
    ("lookup_by_type", "limit", r#""type":"pre""#, "1 to 1000"),
    ("health", "limit", r#""a":1"#, "1 to 1000"),
    ("circuits", "limit", r#""a":1"#, "1 to 1000"),
    ("stats", "wait_ms", r#""a":1"#, "0 to 10000"),
    (
        "ping",
        "min_revision",
        r#""a":1"#,
        "0 to 18446744073709551615",
    ),
    (
        "invoke",
        "timeout_ms",
        r#""id":"plain","payload":{},"dry_run":true"#,
        "0 to 18446744073709551615",
    ),
    (
        "invoke",
        "deadline_ms",
        r#""id":"plain","payload":{},"dry_run":true"#,
        "0 to 18446744073709551615",
    ),
];

#[tokio::test]
async fn requests_may_write_whole_numbers_as_they_like() {
    let (site, _daemon) = Site::served().await;
    for (verb, field, around, range) in FIELDS {
        // Fixtures have revision 0.
        let taken: &[&str] = match field {
            "min_revision" => &["0.0", "0e5", "-0", "0e-999999999999", "null"],
            _ => &["500", "500.0", "5e2", "5E+2", "50000e-2", "null"],
        };
        for number in taken {
            let body = format!(r#"{{"{field}":{number},{around}}}"#);
            site.send(verb, body).await.ok();
        }
        for number in [
            "1.5",
            "-1",
            "1e999999999",
            "1e400",
            "1e-3",
            "\"500\"",
            "true",
            "[5]",
            "{}",
            "18446744073709551616",
        ] {
            let body = format!(r#"{{"{field}":{number},{around}}}"#);
            let (named, message) = refused(&site.send(verb, body).await);
            assert_eq!(named, field, "{verb} {number}");
            assert_eq!(
                message,
                format!("`{field}` must be a whole number from {range}")
            );
        }
    }
}

#[tokio::test]
async fn a_deadline_in_a_header_is_read_likewise() {
    let (site, _daemon, extension) = played().await;
    let call = async |deadline: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Deadline-Ms", deadline);
        let body = r#"{"id":"plain","payload":{}}"#;
        let client = &site.client;
        client
            .request_with_headers(&subject("invoke"), headers, body)
            .await
    };
    for deadline in ["15000", "15000.0", "15e3"] {
        call(deadline).await.ok();
        let left = extension
            .last()
            .headers
            .get("Beamline-Deadline-Ms")
            .unwrap()
            .as_str()
            .to_owned();
        assert!(left.parse::<u64>().unwrap() <= 15_000, "{deadline}: {left}");
    }
    for deadline in ["1.5", "-1", "soon", "1e999999999", ""] {
        let (field, message) = refused(&call(deadline).await);
        assert_eq!(field, "Beamline-Deadline-Ms");
        assert!(
            message.ends_with("must be a whole number from 0 to 18446744073709551615"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_url_may_write_them_likewise() {
    let (_site, daemon) = Site::served().await;
    for path in [
        "/admin/extensions?limit=10.0",
        "/admin/extensions?limit=1e1&min_revision=0.0&wait_ms=1e2",
        "/admin/circuits?limit=5e2",
        "/admin/stats?wait_ms=1.0",
    ] {
        assert_eq!(daemon.get(path).await.status, 200, "{path}");
    }
    for (path, rule) in [
        (
            "/admin/extensions?limit=1.5",
            "`limit` must be a whole number from 1 to 1000",
        ),
        (
            "/admin/extensions?limit=",
            "`limit` must be a whole number from 1 to 1000",
        ),
        (
            "/admin/stats?wait_ms=1e5",
            "`wait_ms` must be a whole number from 0 to 10000",
        ),
        (
            "/admin/circuits?min_revision=-1",
            "`min_revision` must be a whole number from 0 to 18446744073709551615",
        ),
    ] {
        let page = daemon.get(path).await;
        assert_eq!(page.status, 400, "{path}");
        assert!(page.body.contains(rule), "{path}: {}", page.body);
    }
}

#[tokio::test]
async fn writes_read_them_likewise_and_name_the_bounds() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let send = async |verb: &str, body: &str| {
        let client = &rig.client;
        client.request(&subject(verb), body.to_owned()).await
    };
    let created =
        r#"{"id":"x","type":"pre","subject":"beamline.ext.x","timeout_ms":5e2,"retry":2.0}"#;
    let record = send("create", created).await.ok();
    assert_eq!(
        (&record["timeout_ms"], &record["retry"]),
        (&json!(500), &json!(2))
    );
    let revision = record["revision"].as_u64().unwrap();
    let update = format!(r#"{{"id":"x","timeout_ms":7e2,"if_revision":{revision}.0}}"#);
    assert_eq!(send("update", &update).await.ok()["timeout_ms"], 700);
    let version =
        r#"{"id":"x","version":"v2","subject":"beamline.ext.x2","priority":-1e1,"timeout_ms":1e3}"#;
    let record = send("put_version", version).await.ok();
    assert_eq!(record["versions"][0]["priority"], -10);
    let instance = r#"{"id":"x","instance_id":"a","subject":"beamline.ext.xa","weight":5e1}"#;
    assert_eq!(
        send("put_instance", instance).await.ok()["instances"][0]["weight"],
        50
    );
    for (verb, body, field, range) in [
        (
            "update",
            r#"{"id":"x","timeout_ms":#}"#,
            "timeout_ms",
            "1 to 120000",
        ),
        ("update", r#"{"id":"x","retry":#}"#, "retry", "0 to 10"),
        (
            "update",
            r#"{"id":"x","if_revision":#}"#,
            "if_revision",
            "0 to 18446744073709551615",
        ),
        (
            "delete",
            r#"{"id":"x","if_revision":#}"#,
            "if_revision",
            "0 to 18446744073709551615",
        ),
        (
            "put_version",
            r#"{"id":"x","version":"v2","subject":"beamline.ext.x2","priority":#}"#,
            "priority",
            "-2147483648 to 2147483647",
        ),
        (
            "put_version",
            r#"{"id":"x","version":"v2","subject":"beamline.ext.x2","timeout_ms":#}"#,
            "timeout_ms",
            "1 to 120000",
        ),
        (
            "put_instance",
            r#"{"id":"x","instance_id":"a","subject":"beamline.ext.xa","weight":#}"#,
            "weight",
            "0 to 100",
        ),
        (
            "circuit",
            r#"{"id":"x","action":"open","ttl_seconds":#}"#,
            "ttl_seconds",
            "1 to 2592000",
        ),
        ("audit", r#"{"limit":#}"#, "limit", "1 to 1000"),
        (
            "audit",
            r#"{"before":#}"#,
            "before",
            "0 to 18446744073709551615",
        ),
    ] {
        for number in ["1.5", "1e30", "-1e30", "\"5\"", "1e999999999"] {
            let (named, message) = refused(&send(verb, &body.replace('#', number)).await);
            assert_eq!(named, field, "{verb} {number}");
            assert_eq!(
                message,
                format!("`{field}` must be a whole number from {range}")
            );
        }
    }
    let ordered = send("circuit", r#"{"id":"x","action":"open","ttl_seconds":6e1}"#)
        .await
        .ok();
    assert_eq!(ordered["state"], "open", "{ordered}");
    send("audit", r#"{"limit":1.0,"before":1e6}"#).await.ok();
}

#[tokio::test]
async fn files_may_write_them_likewise() {
    let site = Site::with(&extensions()).await;
    site.write_text(
        r#"{
            "good": {"type": "pre", "subject": "beamline.ext.good", "timeout_ms": 5e2, "retry": 2.0,
                "versions": [{"version": "v2", "subject": "beamline.ext.good2", "priority": 1e1,
                              "timeout_ms": 7.0e1, "enabled": false}],
                "instances": [{"instance_id": "a", "subject": "beamline.ext.gooda", "weight": 30.0}]},
            "half": {"type": "pre", "subject": "beamline.ext.half", "timeout_ms": 500.5},
            "text": {"type": "pre", "subject": "beamline.ext.text", "retry": "1"},
            "huge": {"type": "pre", "subject": "beamline.ext.huge", "timeout_ms": 1e999999999}
        }"#,
    );
    let _daemon = site.start(site.daemon()).await;
    let good: Value = site.send("get", "good").await.ok();
    assert_eq!(
        (&good["timeout_ms"], &good["retry"]),
        (&json!(500), &json!(2))
    );
    assert_eq!(good["versions"][0]["priority"], 10);
    assert_eq!(good["versions"][0]["timeout_ms"], 70);
    assert_eq!(good["instances"][0]["weight"], 30);
    let faults = faults(&site.send("stats", "").await.ok());
    for (id, rule) in [
        (
            "half",
            "`timeout_ms` must be a whole number from 1 to 120000",
        ),
        ("text", "`retry` must be a whole number from 0 to 10"),
        (
            "huge",
            "`timeout_ms` must be a whole number from 1 to 120000",
        ),
    ] {
        let fault = faults
            .iter()
            .find(|(origin, _)| origin.ends_with(&format!("#{id}")));
        let (_, reason) = fault.unwrap_or_else(|| panic!("{id}: {faults:?}"));
        assert!(reason.ends_with(rule), "{reason}");
    }
    assert_eq!(faults.len(), 3, "{faults:?}");
}
