//! A thousand extensions, and what the page weighs.

use serde_json::{Value, json};

use super::open;
use crate::harness::Browser;
use crate::site::{Site, extension};

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn a_thousand_extensions_are_a_page_like_any_other() {
    let kinds = ["pre", "validator", "post", "provider"];
    let fixtures: Vec<Value> = (0..1000)
        .map(|n| extension(kinds[n % 4], &format!("extension_{n:04}")))
        .collect();
    let (_site, daemon) = Site::serving(&json!(fixtures)).await;
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    // Only what somebody scrolls to is made; all of it is counted and can be found.
    let made = browser
        .run("return document.querySelectorAll('tbody tr').length")
        .await;
    assert!((1..500).contains(&made.as_u64().unwrap()), "{made}");
    assert_eq!(
        browser
            .run("return document.querySelector('#states b').textContent")
            .await,
        "1,000"
    );
    let loaded = browser
        .run(
            "const row = performance.getEntriesByType('paint').at(-1).startTime;
             return Math.round(Math.max(row, performance.getEntriesByType('navigation')[0].loadEventEnd))",
        )
        .await;
    // Each letter is one change of the filter, with the rows it leads to on screen.
    let typed = browser
        .run(
            "const filter = document.getElementById('filter');
             const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
             return (async () => {
                 const spans = [];
                 for (const text of ['e', 'ex', '0', '09', '099', '0999', '', 'provider', '']) {
                     const begin = performance.now();
                     filter.value = text;
                     filter.dispatchEvent(new Event('input'));
                     await frame();
                     document.body.getBoundingClientRect();
                     spans.push(Math.round(performance.now() - begin));
                 }
                 return spans;
             })()",
        )
        .await;
    eprintln!(
        "1,000 extensions: painted after {loaded} ms; a letter in the filter takes {typed} ms"
    );
    browser
        .run(
            "const filter = document.getElementById('filter');
             filter.value = '0999';
             filter.dispatchEvent(new Event('input'))",
        )
        .await;
    browser
        .wait(
            "the one that was looked for",
            "const rows = document.querySelectorAll('tbody .name');
             return rows.length === 1 && rows[0].textContent === 'extension_0999'",
        )
        .await;
    browser
        .run("document.getElementById('filter').value = ''")
        .await;

    // All files of the page, and nothing from anywhere else.
    let loaded = browser
        .run(
            "const all = performance.getEntriesByType('resource').filter((it) => !it.name.endsWith('/live'));
             const page = performance.getEntriesByType('navigation');
             return {
                 bytes: [...all, ...page].reduce((sum, it) => sum + it.decodedBodySize, 0),
                 files: all.length + 1,
                 elsewhere: all.map((it) => it.name).filter((name) => new URL(name).origin !== location.origin),
             }",
        )
        .await;
    eprintln!(
        "the page weighs {} bytes in {} files",
        loaded["bytes"], loaded["files"]
    );
    assert!(
        (10_000..100_000).contains(&loaded["bytes"].as_u64().unwrap()),
        "{loaded}"
    );
    assert_eq!(loaded["elsewhere"], json!([]));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
