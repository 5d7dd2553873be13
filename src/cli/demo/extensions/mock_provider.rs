//! `provider`: answers with the prompt it was given, after the time its settings name.

use std::time::Duration;

use serde_json::{Value, json};

use super::Answer;
use super::request::Request;

/// A sample answers one request after the other: it should not be told to sleep for long.
const LONGEST: u64 = 500;

pub(super) fn answer(request: &Request) -> Answer {
    let pause = request.config("latency_ms").and_then(Value::as_u64);
    let pause = Duration::from_millis(pause.unwrap_or_default().min(LONGEST));
    let prompt = request.prompt();
    Answer::After(
        pause,
        json!({
            "text": format!("You said: {prompt}"),
            "model": "mock",
            "usage": {"words": prompt.split_whitespace().count()},
        }),
    )
}
