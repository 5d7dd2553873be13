//! Who may do what: every route with every token.

use std::collections::BTreeSet;

use super::{ADMIN, ALICE, Api, OPERATOR, READER, error, send};
use crate::harness::http::{self, HttpReply};
use crate::site::Site;

/// Every route of administration, with what it needs at least: 0 a reader, 1 an operator, 2 an
/// administrator. None of these requests changes anything.
const ROUTES: [(&str, &str, u8); 13] = [
    ("GET", "/admin/extensions", 0),
    ("GET", "/admin/extensions/health", 0),
    ("GET", "/admin/extensions/{id}", 0),
    ("GET", "/admin/extensions/{id}/health", 0),
    ("GET", "/admin/circuits", 0),
    ("GET", "/admin/stats", 0),
    ("GET", "/admin/audit", 2),
    ("POST", "/admin/reload", 1),
    ("POST", "/admin/extensions/{id}/enable", 1),
    ("POST", "/admin/extensions/{id}/disable", 1),
    ("POST", "/admin/extensions", 2),
    ("PATCH", "/admin/extensions/{id}", 2),
    ("DELETE", "/admin/extensions/{id}", 2),
];

async fn ask(addr: &str, method: &str, path: &str, token: Option<&str>) -> HttpReply {
    let path = path.replace("{id}", "nobody");
    let headers = token.map(|token| ("Authorization", format!("Bearer {token}")));
    send(addr, &format!("{method} {path}"), headers.as_slice(), b"").await
}

/// 401, 403, or 200 for anything that came further.
async fn verdict(addr: &str, route: (&str, &str, u8), token: Option<&str>) -> u16 {
    let reply = ask(addr, route.0, route.1, token).await;
    match reply.status {
        401 => {
            assert_eq!(error(&reply).1, "unauthorized");
            assert!(
                reply
                    .header("www-authenticate")
                    .unwrap()
                    .starts_with("Bearer ")
            );
            401
        }
        403 => {
            assert_eq!(error(&reply).1, "forbidden");
            403
        }
        status => {
            assert!(status < 500, "{route:?}: {reply:?}");
            200
        }
    }
}

#[tokio::test]
async fn each_role_may_do_what_it_may_and_nothing_else() {
    let api = Api::start().await;
    for route in ROUTES {
        for (token, expected) in [
            (None, 401),
            (Some("unknown-token-000"), 401),
            (Some(""), 401),
            (Some(READER), if route.2 == 0 { 200 } else { 403 }),
            (Some(OPERATOR), if route.2 <= 1 { 200 } else { 403 }),
            (Some(ADMIN), 200),
            (Some(ALICE), 200),
        ] {
            let verdict = verdict(&api.addr, route, token).await;
            assert_eq!(verdict, expected, "{route:?} {token:?}");
        }
    }
    let log = api.daemon.log().concat();
    for token in [READER, OPERATOR, ADMIN, ALICE, "unknown-token-000"] {
        assert!(!log.contains(token), "a token is in the log");
    }
    for scheme in ["Basic", "bearer", "BEARER"] {
        let headers = [("Authorization", format!("{scheme} {READER}"))];
        let status = send(&api.addr, "GET /admin/stats", &headers, b"")
            .await
            .status;
        assert_eq!(
            status,
            if scheme == "Basic" { 401 } else { 200 },
            "{scheme}"
        );
    }
    for path in [
        "/livez",
        "/readyz",
        "/startupz",
        "/metrics",
        "/openapi.json",
    ] {
        assert_eq!(
            api.daemon.get(path).await.status,
            200,
            "{path} needs no token"
        );
    }
}

#[tokio::test]
async fn these_are_all_routes() {
    let api = Api::start().await;
    let document = api.daemon.get("/openapi.json").await.json();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let admin = described
        .iter()
        .filter(|(_, path)| path.starts_with("/admin/"));
    let admin: BTreeSet<_> = admin.cloned().collect();
    let known = ROUTES.map(|(method, path, _)| (method.to_owned(), path.to_owned()));
    assert_eq!(admin, BTreeSet::from(known));

    // What is described is there, and what is not is not.
    for path in described
        .iter()
        .map(|(_, path)| path)
        .collect::<BTreeSet<_>>()
    {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let reply = ask(&api.addr, method, path, Some(ADMIN)).await;
            let there = described.contains(&(method.to_owned(), path.clone()));
            assert_eq!(reply.status != 405, there, "{method} {path}: {reply:?}");
            if !there {
                assert_eq!(error(&reply).1, "method_not_allowed");
            }
            assert!(
                !reply.body.contains(r#""code":"not_found""#),
                "{method} {path}"
            );
        }
    }
    let nowhere = ask(&api.addr, "GET", "/admin/nothing", Some(ADMIN)).await;
    assert_eq!(error(&nowhere), (404, "not_found".into()));
}

#[tokio::test]
async fn without_a_file_everybody_reads_but_the_audit_and_nobody_writes() {
    let (site, local) = Site::served().await;
    let open = site.daemon().setting("HTTP_ADDR", "0.0.0.0:0");
    let open = site
        .start(open.setting("HTTP_HOSTS", "registry.example"))
        .await;
    for (daemon, is_local) in [(&local, true), (&open, false)] {
        let addr = daemon.http_addr().await;
        for route in ROUTES {
            let reads = route.0 == "GET" && (is_local || route.1 != "/admin/audit");
            for token in [None, Some(ADMIN)] {
                let expected = if reads { 200 } else { 403 };
                assert_eq!(verdict(&addr, route, token).await, expected, "{route:?}");
            }
        }
        for (name, answered) in [("registry.example:80", !is_local), ("evil.example", false)] {
            let request = format!("GET /metrics HTTP/1.1\r\nHost: {name}\r\n\r\n");
            let reply = http::request(&addr, &request).await.unwrap();
            assert_eq!(reply.status, if answered { 200 } else { 421 }, "{name}");
        }
    }
}

#[tokio::test]
async fn changes_can_be_switched_off_and_held_to_names() {
    let off = Api::with(|daemon| daemon.setting("ADMIN_ENABLED", false)).await;
    let named = Api::with(|daemon| daemon.setting("REQUIRE_ACTOR_SUBJECT", true)).await;
    for route in ROUTES {
        let reads = route.0 == "GET";
        // A reload changes nothing, so nobody has to be named for it.
        let nameless = reads || route.1 == "/admin/reload";
        for (api, token, expected) in [
            (&off, None, 401),
            (&off, Some(ALICE), if reads { 200 } else { 403 }),
            (&named, Some(ADMIN), if nameless { 200 } else { 403 }),
            (&named, Some(ALICE), 200),
        ] {
            let verdict = verdict(&api.addr, route, token).await;
            assert_eq!(verdict, expected, "{route:?} {token:?}");
        }
    }
}
