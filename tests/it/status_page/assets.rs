//! The files of the page: what they may do, how they are kept, what they are.

use super::served;
use crate::harness::{Behaviour, http};

#[tokio::test]
async fn the_page_allows_itself_nothing_but_its_own_files_and_is_kept_until_it_changes() {
    let (_site, daemon, _guard) = served(Behaviour::Echo).await;
    let page = daemon.get("/").await;
    assert_eq!(page.status, 200);
    for wanted in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "cache-control: no-cache",
        "referrer-policy: no-referrer",
    ] {
        assert!(page.head.contains(wanted), "{wanted}: {}", page.head);
    }
    for refused in ["<style", "style=", "onclick", "http://", "https://"] {
        assert!(!page.body.contains(refused), "{refused}");
    }
    // Every file that the page names is there, of the type that `nosniff` holds it to.
    let named = page.body.split("\"page/").skip(1);
    let mut files: Vec<_> = named.filter_map(|rest| rest.split('"').next()).collect();
    files.sort_unstable();
    files.dedup();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let reply = daemon.get(&format!("/page/{file}")).await;
        let kind = match file.rsplit('.').next() {
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            _ => "image/svg+xml",
        };
        assert_eq!(reply.status, 200, "{file}");
        assert!(
            reply.head.contains(&format!("content-type: {kind}")),
            "{file}: {}",
            reply.head
        );
        assert!(!reply.body.is_empty(), "{file}");
    }

    let tag = page
        .head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "));
    let addr = daemon.http_addr().await;
    let again = format!(
        "GET / HTTP/1.1\r\nHost: {addr}\r\nIf-None-Match: {}\r\nConnection: close\r\n\r\n",
        tag.unwrap()
    );
    let again = http::request(&addr, &again).await.unwrap();
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let missing = daemon.get("/page/nothing.js").await;
    assert_eq!(
        (missing.status, missing.json()["error"]["code"].clone()),
        (404, "not_found".into())
    );
}
