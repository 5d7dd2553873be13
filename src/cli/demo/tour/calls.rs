//! Calls that work: one of each type, one in pieces, one that is only rehearsed.

use super::visit::Visit;

pub(super) async fn answers(visit: &mut Visit) -> Result<(), String> {
    let screen = visit.screen;
    screen
        .chapter("The registry calls an extension for a router, which need not know where it is.");
    screen.note("The reply is the extension's own, byte for byte; headers say who gave it.");
    let hello = r#"{"payload":{"text":"  Hello THERE  "},"context":{"tenant_id":"globex"}}"#;
    visit.show("invoke.normalize_text", hello).await?;
    screen.chapter("Tenant acme is answered by v2.");
    visit
        .show("invoke.normalize_text", &hello.replace("globex", "acme"))
        .await?;
    screen.chapter("A validator accepts or rejects; both are answers, not errors.");
    for said in [
        "What is the weather like?",
        "My card is 4111 1111 1111 1111.",
    ] {
        let request = format!(r#"{{"payload":{{"text":"{said}"}}}}"#);
        visit.show("invoke.pii_guard", &request).await?;
    }
    screen.chapter("A post extension rewrites a reply.");
    let letter = r#"{"payload":{"text":"Write to ann@example.org or call +1 555 010 9999."}}"#;
    visit.show("invoke.mask_sensitive_data", letter).await?;
    screen.chapter("A provider answers by itself.");
    let prompt = r#"{"payload":{"prompt":"What is NATS?"}}"#;
    visit.show("invoke.mock_provider", prompt).await
}

pub(super) async fn stream(visit: &mut Visit) -> Result<(), String> {
    let screen = visit.screen;
    screen.chapter("An answer in pieces, passed on as they come; the last message is empty.");
    let prompt = r#"{"payload":{"prompt":"What is NATS?"}}"#;
    visit.show_stream("invoke.story_teller", prompt).await
}

pub(super) async fn rehearsal(visit: &mut Visit) -> Result<(), String> {
    let screen = visit.screen;
    screen.chapter("What would be sent? A dry run explains the choice and sends nothing.");
    let request = r#"{"payload":{"text":"Hi"},"context":{"tenant_id":"acme","trace_id":"t-1"},"config":{"lowercase":true},"dry_run":true}"#;
    visit.show("invoke.normalize_text", request).await
}
