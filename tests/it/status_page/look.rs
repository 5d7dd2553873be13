//! How it looks: on a phone, in the dark, to eyes that need contrast.

use serde_json::json;

use super::{call, open, served};
use crate::harness::{Behaviour, Browser};

/// Text whose contrast to what lies behind it is below what WCAG asks for (level AA: 4.5).
const FAINT: &str = "
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = parse(colour).map((part) => {
            const share = part / 255;
            return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const colour = getComputedStyle(node).backgroundColor;
            if ((parse(colour)[3] ?? 1) > 0.5) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const faint = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const node = texts.currentNode.parentElement;
        if (!texts.currentNode.textContent.trim() || !node.checkVisibility()) continue;
        if (node.closest('svg, option, noscript')) continue;
        const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) faint.push(`${texts.currentNode.textContent.trim()}: ${contrast.toFixed(2)}`);
    }
    return faint;";

/// Whatever is wider than the screen.
const WIDE: &str = "
    const width = document.documentElement.clientWidth;
    const wide = [...document.querySelectorAll('body *')].filter((node) =>
        node.checkVisibility() && !node.closest('.scroll, .unseen, .skip, svg')
        && node.getBoundingClientRect().right > width + 0.5);
    const page = document.documentElement.scrollWidth;
    return wide.map((node) => `${node.tagName} ${node.className}`).concat(page > width ? [`page ${page}`] : []);";

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn nothing_is_wider_than_a_phone() {
    let (site, daemon, _guard) = served(Behaviour::error(500)).await;
    call(&site, "guard", 4).await;
    let browser = Browser::start(375, 812).await;
    open(&browser, &daemon).await;
    assert_eq!(browser.run("return innerWidth").await, 375);
    assert_eq!(browser.run(WIDE).await, json!([]));
    browser.picture("phone").await;
    browser
        .run("document.querySelector('[data-id=guard]').click()")
        .await;
    browser
        .wait(
            "the details",
            "return document.querySelector('.record table')",
        )
        .await;
    assert_eq!(browser.run(WIDE).await, json!([]));
    browser.picture("phone-details").await;
}

#[tokio::test]
#[ignore = "needs Chromium: just browser-test"]
async fn text_is_legible_by_day_and_by_night() {
    let (site, daemon, _guard) = served(Behaviour::error(500)).await;
    call(&site, "guard", 4).await;
    let browser = Browser::start(1280, 800).await;
    open(&browser, &daemon).await;
    browser
        .wait(
            "the open circuit",
            "return document.querySelector('tr[data-state=open]')",
        )
        .await;
    // Colours change at once for this test, and not over half a second.
    browser
        .run("for (const running of document.getAnimations()) running.finish()")
        .await;
    let ground = "return getComputedStyle(document.body).backgroundColor";
    let day = browser.run(ground).await;
    assert_eq!(browser.run(FAINT).await, json!([]), "by day");
    browser.prefer("dark").await;
    browser
        .run("for (const running of document.getAnimations()) running.finish()")
        .await;
    let night = browser.run(ground).await;
    assert_ne!(day, night);
    assert_eq!(browser.run(FAINT).await, json!([]), "by night");
    browser.picture("dark").await;
}
