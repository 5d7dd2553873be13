//! The seeds' extensions, played, each with a habit of its own: what pages and golden files show.

use serde_json::{Value, json};

use crate::harness::extension::Received;
use crate::harness::{Answer, Behaviour, Extension};

/// Everyone who plays, as long as the result is kept.
pub(crate) async fn seeds(url: &str) -> Vec<Extension> {
    all_but("", url).await
}

/// The same without the one at `left_out`, whom somebody else plays.
pub(crate) async fn all_but(left_out: &str, url: &str) -> Vec<Extension> {
    let words = [r#"{"delta":"Hel"}"#, r#"{"delta":"lo"}"#];
    let words = words.map(|word| Answer::new(word).header("Beamline-Stream", "chunk"));
    let stream: Vec<_> = words.into_iter().chain([Answer::end()]).collect();
    let cast = [
        // Trims and lowers `payload.text`.
        ("beamline.ext.pre.normalize_text.v1", each(normalized)),
        (
            "beamline.ext.pre.detect_language.v2",
            each(|_| json!({"language": "de"})),
        ),
        // Rejects what has a digit in it.
        ("beamline.ext.validate.pii_guard.v1", each(guarded)),
        // Answers what it was asked: a look at what extensions receive.
        ("beamline.provider.mock.v1", Behaviour::Echo),
        // Answers in pieces.
        (
            "beamline.provider.openai_gpt4.v1",
            Behaviour::Answers(stream.into()),
        ),
        // Never answers.
        ("beamline.provider.anthropic_claude.v1", Behaviour::silent()),
        // Answers what is not JSON.
        ("beamline.ext.post.mask_pii.v1", Behaviour::reply("oops")),
        // Answers an error of its own.
        (
            "beamline.ext.post.translate.v1",
            Behaviour::each(|_, request| refused(&request.json())),
        ),
    ];
    let mut players = Vec::new();
    for (subject, behaviour) in cast.into_iter().filter(|(subject, _)| *subject != left_out) {
        players.push(Extension::at(url, subject, behaviour).await);
    }
    players
}

fn each(answer: impl Fn(&str) -> Value + Send + Sync + 'static) -> Behaviour {
    Behaviour::each(move |_, request: &Received| {
        let request = request.json();
        let text = request["payload"]["text"].as_str().unwrap_or_default();
        Behaviour::reply(answer(text).to_string())
    })
}

fn normalized(text: &str) -> Value {
    json!({"payload": {"text": text.trim().to_lowercase()}})
}

fn guarded(text: &str) -> Value {
    if text.contains(|c: char| c.is_ascii_digit()) {
        json!({"status": "reject", "reason": "ssn"})
    } else {
        json!({"status": "ok"})
    }
}

/// An error of its own; for `busy` in the words of the registry, which it must not be taken for.
fn refused(request: &Value) -> Behaviour {
    let body = match request["payload"]["text"].as_str() {
        Some("busy") => {
            r#"{"error":{"code":"overloaded","message":"too many texts","details":{}}}"#
        }
        _ => r#"{"error":"no such language"}"#,
    };
    Answer::new(body)
        .header("Nats-Service-Error-Code", "422")
        .header("Nats-Service-Error", "unprocessable")
        .into()
}
