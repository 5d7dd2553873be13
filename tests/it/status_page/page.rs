//! What a reader sees and does.

use serde_json::json;

use super::{SHOWN, call, live, open, served};
use crate::harness::browser::key;
use crate::harness::ports::free_port;
use crate::harness::{Answer, Behaviour, Browser, DEADLINE, Extension, eventually};
use crate::rig::{Rig, insert};
use crate::site::{Site, subject};

/// A state of the row of `guard`.
const GUARD: &str = "return document.querySelector('tr:has([data-id=guard])')?.dataset.state";

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn a_circuit_that_opens_is_seen_without_a_reload() {
    let (site, daemon, guard) = served(Behaviour::reply("{}")).await;
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    assert_eq!(browser.run(GUARD).await, "no_data");
    // Notes when the row changes, and would be gone after a reload.
    browser
        .run(
            "const body = document.querySelector('tbody');
             new MutationObserver(() => {
                 if (document.querySelector('tr:has([data-id=guard])').dataset.state === 'open') {
                     window.seen ??= Date.now();
                 }
             }).observe(body, { subtree: true, childList: true, attributes: true });",
        )
        .await;
    call(&site, "guard", 2).await;
    guard.behave(Behaviour::error(500));
    call(&site, "guard", 3).await;
    let seen = browser.wait("the open circuit", "return window.seen").await;
    let circuits = site.send("circuits", "").await.ok();
    let opened = circuits["circuits"][0]["opened_at"].as_str().unwrap();
    let opened = humantime::parse_rfc3339(opened).unwrap();
    let opened = opened.duration_since(std::time::UNIX_EPOCH).unwrap();
    let later = seen.as_f64().unwrap() - opened.as_secs_f64() * 1e3;
    eprintln!("an open circuit was seen after {later:.0} ms");

    // It is the first row now, an event tells of it, and it is said to those who do not see.
    browser
        .wait(
            "the row on top",
            "return document.querySelector('tbody .name').textContent === 'guard'",
        )
        .await;
    let event = browser
        .run("return document.querySelector('#events li').textContent")
        .await;
    let event = event.as_str().unwrap();
    assert!(event.contains("guard circuit opened"), "{event}");
    let said = browser
        .run("return document.getElementById('alert').textContent")
        .await;
    assert!(said.as_str().unwrap().contains("guard"), "{said}");
    // The calls arrive in the chart with the next interval.
    browser
        .wait(
            "bars of failed calls",
            "return document.querySelector('tr:has([data-id=guard]) .failed').getAttribute('d')",
        )
        .await;
    browser.picture("circuit-open").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn it_is_filtered_sorted_and_opened_by_keyboard() {
    let (_site, daemon, _guard) = served(Behaviour::Echo).await;
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    let shown = async |what: &str, wanted: &[&str]| {
        eventually(what, DEADLINE, async || {
            let shown = browser.run(SHOWN).await;
            if shown == json!(wanted) {
                Ok(())
            } else {
                Err(shown)
            }
        })
        .await;
    };
    let long = "x".repeat(128);
    shown("by state", &["guard", "normalize", &long, "off"]).await;

    browser.press("/valid").await;
    shown("one type", &["guard"]).await;
    browser.press("zzz").await;
    shown("nothing", &[]).await;
    browser
        .wait(
            "it says so",
            "return !document.getElementById('empty').hidden",
        )
        .await;
    browser.press(&"\u{e003}".repeat("validzzz".len())).await;
    shown("all again", &["guard", "normalize", &long, "off"]).await;

    // What is shown is in the address, and so is what it shows when it is opened there.
    browser.press("beamline.ext.guard").await;
    shown("by subject", &["guard"]).await;
    let address = "return location.search";
    assert_eq!(browser.run(address).await, "?q=beamline.ext.guard");
    browser.run("location.reload()").await;
    live(&browser).await;
    shown("the same again", &["guard"]).await;
    browser.press("/").await;
    browser
        .press(&"\u{e003}".repeat("beamline.ext.guard".len()))
        .await;
    shown("and all", &["guard", "normalize", &long, "off"]).await;
    assert_eq!(browser.run(address).await, "");

    // From the filter to the first head, and from there to the second.
    browser.press(key::TAB).await;
    browser.press(key::ENTER).await;
    let sorted = "return [...document.querySelectorAll('th[aria-sort]')].map((head) => \
                  `${head.dataset.sort} ${head.ariaSort}`).join()";
    assert_eq!(browser.run(sorted).await, "id ascending");
    browser.press(key::ENTER).await;
    assert_eq!(browser.run(sorted).await, "id descending");
    shown(
        "by id, the last first",
        &[&long, "off", "normalize", "guard"],
    )
    .await;

    // Arrow keys go from row to row; Enter opens, Escape closes and leads back.
    browser
        .run("document.querySelector('tbody .name').focus()")
        .await;
    browser.press(&key::DOWN.repeat(3)).await;
    browser.press(key::ENTER).await;
    let details = "return document.querySelector('#details[open] .record')?.textContent";
    let text = eventually("the details", DEADLINE, async || {
        let text = browser.run(details).await;
        let complete = text.as_str().is_some_and(|text| text.contains("Instances"));
        if complete { Ok(text) } else { Err(text) }
    })
    .await;
    for wanted in [
        "10 % by tenant_id",
        "beamline.ext.guard.v2",
        "blue",
        "70",
        "beamline-registry explain guard",
    ] {
        assert!(text.as_str().unwrap().contains(wanted), "{wanted}: {text}");
    }
    browser.picture("details").await;
    browser.press(key::ESCAPE).await;
    let closed = "return !document.querySelector('dialog[open]') && \
                  document.activeElement.dataset.id === 'guard'";
    browser.wait("back at the row", closed).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn how_long_it_is_up_does_not_depend_on_the_readers_clock() {
    let (_site, daemon, _guard) = served(Behaviour::reply("{}")).await;
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    browser
        .run(
            "Date.now = () => 0;
             for (const fact of document.querySelectorAll('#facts dd')) fact.textContent = '';",
        )
        .await;
    let up = "return [...document.querySelectorAll('#facts div')].some((fact) => \
              /^Up for[1-9]/.test(fact.textContent))";
    browser.wait("it is up for a second or more", up).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn the_other_sidecars_are_listed() {
    let rig = Rig::start().await;
    let mut daemons = Vec::new();
    for pod in ["pod-1", "pod-2"] {
        let daemon = rig.daemon().setting("INSTANCE_ID", pod);
        let daemon = daemon.setting("HEALTH_FLUSH_INTERVAL_SECONDS", "0.2");
        daemons.push(daemon.spawn().await);
    }
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemons[1]).await;
    browser
        .wait(
            "both sidecars",
            "const list = document.getElementById('sidecars');
             return !list.hidden && list.textContent.replace(/\\s+/g, ' ').includes(
                 '2 sidecars share this database') && list.textContent.includes('pod-2 this page')",
        )
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn changes_in_the_database_arrive_and_the_details_tell_who_made_them() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    let create = r#"{"id":"translate","type":"post","subject":"beamline.ext.translate.v1",
        "actor":"ada","config":{"seed":18446744073709551617}}"#;
    rig.client.request(&subject("create"), create).await.ok();
    browser
        .wait(
            "the new row",
            "return document.querySelector('[data-id=translate]')",
        )
        .await;
    rig.ask("disable", &json!({"id": "translate", "actor": "grace"}))
        .await
        .ok();
    browser
        .wait(
            "the disabled row",
            "return document.querySelector('tr[data-state=disabled]')",
        )
        .await;
    let events = browser
        .run("return document.querySelector('#events ol').textContent")
        .await;
    let events = events.as_str().unwrap();
    for wanted in ["translate was created", "translate was disabled"] {
        assert!(events.contains(wanted), "{wanted}: {events}");
    }
    let facts = browser
        .run("return document.getElementById('facts').textContent")
        .await;
    for wanted in ["Databaseup", "Listenerlistening", "NATSup", "Revision2"] {
        assert!(
            facts.as_str().unwrap().contains(wanted),
            "{wanted}: {facts}"
        );
    }

    browser
        .run("document.querySelector('[data-id=translate]').click()")
        .await;
    browser
        .wait(
            "who disabled it",
            "const text = document.querySelector('#details .record')?.textContent;
             return text?.includes('disabled') && text.includes('grace') && text.includes('ada')",
        )
        .await;
    browser
        .wait(
            "its config as it is written",
            "return document.querySelector('#details pre')?.textContent.includes(
                 '\"seed\": 18446744073709551617')",
        )
        .await;
    browser.picture("audit").await;
    rig.ask("delete", &json!({"id": "translate"})).await.ok();
    browser
        .wait(
            "no row",
            "return !document.querySelector('[data-id=translate]')",
        )
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn several_changes_of_one_revision_are_one_event_with_ids_and_who() {
    let rig = Rig::start().await;
    let ids: Vec<String> = (0..12).map(|n| format!("x{n:02}")).collect();
    let rows: Vec<String> = ids.iter().map(|id| insert(id)).collect();
    rig.sql.batch_execute(&rows.join(";")).await.unwrap();
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    let off = json!({"ids": ids, "actor": "grace"});
    let revision = rig.ask("disable", &off).await.ok()["revision"].clone();
    browser
        .wait(
            "the disabled rows, and the event",
            "return document.querySelectorAll('tr[data-state=disabled]').length === 12 && \
             document.querySelector('#events').textContent.includes('12 updated')",
        )
        .await;
    let events = "return [...document.querySelectorAll('#events li')].map((it) => it.textContent)";
    let events = browser.run(events).await;
    let about = |words: &str| {
        let events = events.as_array().unwrap().iter();
        let found = events.filter(|event| event.as_str().unwrap().contains(words));
        found
            .map(|event| event.as_str().unwrap())
            .collect::<Vec<_>>()
    };
    let told = about(&format!("revision {revision}: 12 updated (x00, "));
    assert_eq!(told.len(), 1, "{events}");
    assert!(told[0].ends_with(" by grace"), "{events}");
    assert_eq!(about("was disabled"), [""; 0], "{events}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn the_details_name_who_answers_for_it_and_which_instance_rests() {
    let busy = Answer::error(429).header("Beamline-Retry-After-Ms", "60000");
    let mut fixtures = super::fixtures();
    fixtures[1]["owner"] = json!("team-search");
    let (site, daemon) = Site::serving(&fixtures).await;
    let _guard = Extension::at(&site.nats.url(), "beamline.ext.guard.v1", busy.into()).await;
    call(&site, "guard", 1).await;
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    browser
        .run("document.querySelector('[data-id=guard]').click()")
        .await;
    browser
        .wait(
            "the instance that rests, and the owner",
            "const text = (place) => document.querySelector(`#details ${place}`)?.textContent ?? '';
             return text('[aria-label=Instances]').includes('resting until') && \
                 text('.record').includes('team-search')",
        )
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// Without a version, a reset is of the current one.
#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn the_command_to_copy_resets_the_version_whose_circuit_is_forced() {
    let (site, daemon, _guard) = served(Behaviour::Echo).await;
    let hold_it = json!({"id": "guard", "version": "v2", "action": "close"});
    site.ask("circuit", &hold_it).await.ok();
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    browser
        .run("document.querySelector('[data-id=guard]').click()")
        .await;
    browser
        .wait(
            "that version is forced, and the command is for no other",
            "const text = (place) => document.querySelector(`#details ${place}`)?.textContent ?? '';
             const helps = text('.helps');
             return helps.split('circuit guard reset').length === 2 && \
                 helps.includes('circuit guard reset --version v2') && \
                 text('[aria-label=Versions]').includes('not called, forced')",
        )
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn it_stays_live_over_a_restart_of_the_daemon() {
    let site = Site::with(&super::fixtures()).await;
    let at = format!("127.0.0.1:{}", free_port());
    let daemon = site.start(site.daemon().setting("HTTP_ADDR", &at)).await;
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    browser.run("window.same = true").await;
    daemon.sigterm();
    daemon.wait_exit(DEADLINE).await;
    browser
        .wait(
            "it says that it is away",
            "return document.body.classList.contains('away') && \
             document.getElementById('link').textContent.startsWith('as of')",
        )
        .await;
    browser.picture("away").await;
    let fewer = json!([crate::site::extension("pre", "only")]);
    site.write_fixtures(&fewer);
    let _daemon = site.start(site.daemon().setting("HTTP_ADDR", &at)).await;
    live(&browser).await;
    eventually("the rows of the new daemon", DEADLINE, async || {
        let shown = browser.run(SHOWN).await;
        if shown == json!(["only"]) {
            Ok(())
        } else {
            Err(shown)
        }
    })
    .await;
    assert_eq!(browser.run("return window.same").await, true);
    let events = "return document.querySelector('#events ol').textContent.includes('restarted')";
    assert_eq!(browser.run(events).await, true);
}

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn with_tokens_it_asks_for_one_and_keeps_it_for_this_tab() {
    const TOKEN: &str = "a-token-for-somebody-who-only-reads";
    let site = Site::with(&super::fixtures()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{TOKEN} reader\n")).unwrap();
    let daemon = site
        .daemon()
        .setting("HTTP_TOKENS_FILE", file.path().display());
    let daemon = site.start(daemon).await;
    let browser = Browser::start(1280, 800).await;
    let url = format!("http://{}/", daemon.http_addr().await);
    browser.open(&url).await;
    let asked = "return document.querySelector('#token[open]') && \
                 document.activeElement.id === 'secret'";
    browser.wait("it asks for a token", asked).await;
    assert_eq!(browser.run(SHOWN).await, json!([]), "nothing without one");
    browser.press("another-token-that-nobody-knows").await;
    browser.press(key::ENTER).await;
    let refused = "return document.getElementById('refused').textContent.includes('refused')";
    browser.wait("it is refused", refused).await;
    browser.picture("token").await;
    browser.press(TOKEN).await;
    browser.press(key::ENTER).await;
    live(&browser).await;
    browser
        .run("document.querySelector('[data-id=guard]').click()")
        .await;
    browser
        .wait(
            "the details",
            "return document.querySelector('.record table')",
        )
        .await;
    // After a reload it is still there.
    browser.open(&url).await;
    live(&browser).await;
}
