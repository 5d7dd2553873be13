//! Calls that fail: a circuit opens, protects, and closes again; a fallback stands in.

use std::time::Duration;

use async_nats::Message;

use super::visit::{Visit, field, header};
use crate::cli::demo::extensions::{Extensions, Mood};

const GUARD: &str = r#"{"payload":{"text":"Hello"}}"#;
const STORY: &str = r#"{"payload":{"prompt":"Why?"}}"#;

/// An extension without fallback.
pub(super) async fn circuit(visit: &mut Visit, extensions: &Extensions) -> Result<(), String> {
    let screen = visit.screen;
    screen.chapter("pii_guard breaks: it takes requests and answers none.");
    screen.note("Two attempts of 200 ms each, as its record says, then an error.");
    extensions.put("pii_guard", Mood::Silent);
    visit.show("invoke.pii_guard", GUARD).await?;

    let fails_fast = |reply: &Message| reason(reply).as_deref() == Some("circuit_open");
    let (reply, took, asked) = visit
        .until(
            "the circuit did not open",
            "invoke.pii_guard",
            GUARD,
            fails_fast,
        )
        .await?;
    screen.note(&format!(
        "After {} more such calls, five attempts in a row have failed.",
        asked - 1
    ));
    visit.hear_of_it().await;
    screen.chapter("Its circuit is open: calls fail at once and say when to come back.");
    visit.tell("invoke.pii_guard", GUARD, &reply, took);
    screen.chapter("Everybody who looks it up can see it.");
    visit.show("lookup", "pii_guard").await?;

    screen.chapter("pii_guard is repaired. Once the open time is over, a call is let through.");
    extensions.put("pii_guard", Mood::Well);
    let (reply, took) = recovered(visit, "invoke.pii_guard", GUARD).await?;
    visit.tell("invoke.pii_guard", GUARD, &reply, took);
    screen.chapter("That trial was a success: the circuit is closed.");
    let closed = |reply: &Message| state(reply).as_deref() == Some("closed");
    let (reply, took, _) = visit
        .until("the circuit did not close", "lookup", "pii_guard", closed)
        .await?;
    visit.tell("lookup", "pii_guard", &reply, took);
    visit.hear_of_it().await;
    Ok(())
}

/// An extension for which another one stands in.
pub(super) async fn fallback(visit: &mut Visit, extensions: &Extensions) -> Result<(), String> {
    let screen = visit.screen;
    screen.chapter("story_teller breaks in another way: it answers errors, which are passed on.");
    extensions.put("story_teller", Mood::Failing);
    visit.show("invoke.story_teller", STORY).await?;
    let stood_in = |reply: &Message| header(reply, "Beamline-Fallback-From").is_some();
    let (reply, took, _) = visit
        .until(
            "no fallback stood in",
            "invoke.story_teller",
            STORY,
            stood_in,
        )
        .await?;
    visit.hear_of_it().await;
    screen.chapter("Its circuit is open, but it names a fallback: mock_provider stands in.");
    visit.tell("invoke.story_teller", STORY, &reply, took);

    screen.chapter("story_teller is repaired, and answers again as soon as it is tried.");
    extensions.put("story_teller", Mood::Well);
    let (reply, took) = recovered(visit, "invoke.story_teller", STORY).await?;
    visit.tell("invoke.story_teller", STORY, &reply, took);
    visit.hear_of_it().await;
    Ok(())
}

/// The first answer that the extension gives itself.
async fn recovered(
    visit: &Visit,
    verb: &str,
    payload: &str,
) -> Result<(Message, Duration), String> {
    let answered = |reply: &Message| {
        header(reply, "Nats-Service-Error-Code").is_none()
            && header(reply, "Beamline-Fallback-From").is_none()
    };
    let (reply, took, _) = visit
        .until("the circuit did not close", verb, payload, answered)
        .await?;
    Ok((reply, took))
}

fn reason(reply: &Message) -> Option<String> {
    field(reply, "/error/details/reason")
}

fn state(reply: &Message) -> Option<String> {
    field(reply, "/circuit_breaker_state")
}
