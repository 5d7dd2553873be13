//! Why a command did not do what it was asked for, in words and as an exit code.

use std::io;
use std::process::ExitCode;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::text::{clean, exact, plain};
use crate::adapters::nats::ask::{AskError, Reply};
use crate::cli::document::{at, fields, list};
use crate::cli::{EX_UNAVAILABLE, EX_USAGE, err};

/// The header of every error.
pub(super) const ERROR_CODE: &str = "Nats-Service-Error-Code";

/// What comes of a command, or of a step of it.
pub(super) type Outcome<T> = Result<T, Failure>;

/// What kept a command from its end.
#[derive(Debug)]
pub(super) struct Failure {
    exit_code: u8,
    /// Empty where everything was printed.
    sentence: String,
    /// The error as a registry answered it.
    document: Option<Bytes>,
}

impl Failure {
    /// This sentence, and the code to leave with.
    pub(super) fn new(exit_code: u8, sentence: impl Into<String>) -> Self {
        Self {
            exit_code,
            sentence: sentence.into(),
            document: None,
        }
    }

    /// What was typed makes no sense.
    pub(super) fn usage(fault: &str) -> Self {
        Self::new(EX_USAGE, fault)
    }

    /// There was no answer.
    pub(super) fn unanswered(why: &str) -> Self {
        Self::new(EX_UNAVAILABLE, clean(why))
    }

    /// Something went wrong, and has been reported.
    pub(super) fn told() -> Self {
        Self::new(1, "")
    }

    /// The error in `reply`, if it is one. A body that is not JSON is not printed: a terminal would
    /// obey what is in it.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        let number = reply.header(ERROR_CODE)?;
        let is_json = serde_json::from_slice::<&RawValue>(&reply.body).is_ok();
        Some(Self {
            document: is_json.then(|| reply.body.clone()),
            ..Self::new(1, refusal(number, &reply.body))
        })
    }

    /// The value at `path` of the error as it was answered.
    pub(super) fn answered(&self, path: &str) -> Option<String> {
        let body: &RawValue = serde_json::from_slice(self.document.as_deref()?).ok()?;
        at(body, path).map(exact)
    }

    /// The same with another line.
    pub(super) fn with(mut self, line: &str) -> Self {
        self.sentence = format!("{}\n  {line}", self.sentence);
        self
    }

    /// Reports it to standard error, as the document itself where `json` asks for that; the code to
    /// leave with.
    pub(super) fn report(&self, json: bool) -> ExitCode {
        match &self.document {
            Some(document) if json => err(&String::from_utf8_lossy(document)),
            _ if self.sentence.is_empty() => {}
            _ => err(&format!("error: {}", self.sentence)),
        }
        ExitCode::from(self.exit_code)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The reader has closed the pipe, as `head` does.
            io::ErrorKind::BrokenPipe => Self::new(0, ""),
            _ => Self::new(1, format!("cannot write the answer: {error}")),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::unanswered(&error.to_string())
    }
}

fn refusal(number: &str, body: &[u8]) -> String {
    let (body, number) = (serde_json::from_slice(body).ok(), clean(number));
    match body.and_then(|body| at(body, "error")) {
        Some(error) if error.get().starts_with('{') => sentence(error),
        // Not a registry's own: what an extension answers has any shape.
        _ => format!("an error without a code of the registry [{number}]"),
    }
}

/// Some of many ids may have failed: each of `errors` is reported, and the command as a whole has
/// failed.
pub(super) fn of_parts(document: &RawValue) -> Outcome<()> {
    let errors = list(document, "errors");
    for error in &errors {
        err(&format!("error: {}", sentence(error)));
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Failure::told()),
    }
}

/// `{"code", "message", "details"}` in words.
fn sentence(error: &RawValue) -> String {
    let mut notes = vec![plain(error, "code")];
    let details = at(error, "details").map(fields).unwrap_or_default();
    // The message names these, or the lines below do.
    let named = |name: &str| matches!(name, "id" | "field" | "faults");
    let others = details.iter().filter(|(name, _)| !named(name));
    notes.extend(others.map(|(name, value)| format!("{} {}", clean(name), exact(value))));
    let notes = notes.join(", ");
    let faults = list(error, "details.faults");
    if faults.is_empty() {
        return format!("{} [{notes}]", plain(error, "message"));
    }
    let mut sentence = format!("invalid request [{notes}]");
    for fault in faults {
        sentence += &format!("\n  `{}` {}", plain(fault, "field"), plain(fault, "rule"));
        if let Some(value) = at(fault, "value") {
            sentence += &format!(", not {}", clean(value.get()));
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_json_is_printed_as_it_came() {
        let document = |body: &'static [u8]| {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(ERROR_CODE, "500");
            let reply = Reply {
                subject: String::new(),
                reply: None,
                headers,
                body: body.into(),
            };
            Failure::of(&reply).unwrap().document
        };
        assert_eq!(document(b"[1]").as_deref(), Some(&b"[1]"[..]));
        for odd in [&b"\x1b[2J"[..], b"\"\x1b\"", b"\"\xff\"", b""] {
            assert_eq!(document(odd), None);
        }
    }

    fn refused(body: &Value) -> String {
        refusal("422", body.to_string().as_bytes())
    }

    #[test]
    fn an_error_is_one_sentence() {
        let body = json!({"error": {"code": "extension_not_found",
            "message": "no extension `x`",
            "details": {"id": "x", "reason": "unknown"}}});
        assert_eq!(
            refused(&body),
            "no extension `x` [extension_not_found, reason unknown]"
        );
        let body = json!({"error": {"code": "invalid_request", "message": "...", "details": {
        "field": "timeout_ms", "faults": [
            {"field": "timeout_ms", "value": -1, "rule": "must be a whole number from 1 to 120000"},
            {"field": "type", "value": null, "rule": "is missing"},
        ]}}});
        assert_eq!(
            refused(&body),
            "invalid request [invalid_request]\n  \
             `timeout_ms` must be a whole number from 1 to 120000, not -1\n  `type` is missing"
        );
        let foreign = refused(&json!({"failed": "\u{1b}[2J"}));
        assert_eq!(foreign, "an error without a code of the registry [422]");
    }
}
