use serde_json::json;

use super::{run, said, with_input};
use crate::harness::{Answer, Behaviour, Daemon, Extension, NatsServer};
use crate::site::Site;

async fn played(behaviour: Behaviour) -> (Site, Daemon, Extension, String) {
    let fixtures = json!([{
        "id": "x", "type": "pre", "subject": "beamline.ext.x", "timeout_ms": 10_000, "retry": 0,
        "config": {"a": 1, "b": 2}
    }]);
    let (site, daemon) = Site::serving(&fixtures).await;
    let url = site.nats.url();
    let extension = Extension::at(&url, "beamline.ext.x", behaviour).await;
    (site, daemon, extension, url)
}

#[tokio::test]
async fn the_answer_is_printed_byte_for_byte() {
    let body = " {\"n\": 1.0,\t\"naïve\": true}  ";
    let (_site, _daemon, extension, url) = played(Behaviour::reply(body)).await;
    assert_eq!(said(&url, "invoke x").await, body);
    assert_eq!(extension.last().json()["payload"], json!({}));

    let line = "invoke x --payload - --metadata m=1 --context tenant_id=acme --override b=3 -v";
    let ran = with_input(&url, line, "{\"text\": \"hi\"}\n").await;
    assert_eq!((ran.code, ran.out.as_str()), (0, body), "{}", ran.err);
    for header in [
        "Beamline-Extension-Id: x",
        "Beamline-Version: v1",
        "Beamline-Attempts: 1",
    ] {
        assert!(ran.err.lines().any(|line| line == header), "{}", ran.err);
    }
    let request = extension.last().json();
    assert_eq!(request["payload"], json!({"text": "hi"}));
    assert_eq!(request["metadata"], json!({"m": 1}));
    assert_eq!(request["tenant_id"], "acme");
    assert_eq!(request["config"], json!({"a": 1, "b": 3}));
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let (_site, _daemon, extension, url) = played(Behaviour::Echo).await;
    let told = said(&url, "invoke x --payload {\"t\":1} --dry-run").await;
    assert!(
        told.starts_with("x: v1 serves at beamline.ext.x (default)"),
        "{told}"
    );
    assert!(told.contains("Beamline-Extension-Id: x"), "{told}");
    assert!(told.contains(r#""payload":{"t":1}"#), "{told}");
    let document = said(&url, "invoke x --dry-run --json").await;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["dry_run"], true);
    assert_eq!(extension.count(), 0);
}

#[tokio::test]
async fn an_unknown_id_gets_the_one_that_was_meant() {
    let (site, _daemon) = Site::served().await;
    let url = site.nats.url();
    for line in [
        "invoke plan",
        "invoke plan --stream",
        "invoke plan --dry-run",
    ] {
        let ran = run(&url, line).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{line}");
        assert!(ran.err.contains("did you mean `plain`?"), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_stream_is_printed_as_it_comes() {
    let (_site, _daemon, extension, url) = played(Behaviour::stream(12, Answer::end())).await;
    assert_eq!(said(&url, "invoke x --stream").await, "01234567891011");
    extension.behave(Behaviour::stream(2, Answer::error(503)));
    let ran = run(&url, "invoke x --stream").await;
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.starts_with("01"), "{}", ran.out);
    assert!(ran.err.starts_with("error: "), "{}", ran.err);
}

/// A connection that breaks for a moment loses what came meanwhile.
#[tokio::test]
async fn a_stream_with_a_piece_missing_is_no_answer() {
    let nats = NatsServer::start().await;
    let invoke = "beamline.registry.invoke";
    let registry = Extension::at(&nats.url(), invoke, Behaviour::silent()).await;
    for lost in 1..=3 {
        let all = [Answer::chunk(0), Answer::chunk(1), Answer::end()];
        let numbered = (1..).zip(all);
        let sent = numbered.filter(|(number, _)| *number != lost);
        let sent = sent.map(|(number, piece)| piece.header("Beamline-Seq", &number.to_string()));
        let sent = sent.chain([Answer::end().header("Beamline-Seq", "4")]);
        registry.behave(Behaviour::Answers(sent.collect()));
        let ran = run(&nats.url(), "invoke x --stream").await;
        assert_eq!(ran.code, 1, "{lost}: {}", ran.err);
        let why = format!("error: piece {lost} of the answer was lost on its way here\n");
        assert_eq!(ran.err, why);
    }
}

#[tokio::test]
async fn errors_are_told_from_answers() {
    let (_site, _daemon, extension, url) = played(Behaviour::error(422)).await;
    let ran = run(&url, "invoke x").await;
    assert_eq!((ran.code, ran.out.as_str()), (1, r#"{"failed":422}"#));
    assert_eq!(
        ran.err,
        "error: the extension answered an error: 422 played\n"
    );

    extension.behave(Behaviour::silent());
    let ran = run(&url, "invoke x --timeout 100ms").await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("[deadline_exceeded]"), "{}", ran.err);
    extension.leave().await;
    let ran = run(&url, "invoke x --json").await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(
        ran.err
            .starts_with(r#"{"error":{"code":"extension_unavailable""#),
        "{}",
        ran.err
    );
}
