//! Why a command did not do what it was asked for, in words and as an exit code.

use std::io;
use std::process::ExitCode;

use serde_json::Value;

use super::{document, text};
use crate::adapters::nats::ask::{AskError, Reply};
use crate::cli::{EX_UNAVAILABLE, EX_USAGE, err};

/// The header of every error.
pub(super) const ERROR_CODE: &str = "Nats-Service-Error-Code";

/// What kept a command from its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was typed makes no sense.
    Usage(String),
    /// An answer, which is an error.
    Refused(Refused),
    /// Several went wrong, and each has been told.
    Told,
    /// Nobody answered.
    Unanswered(String),
    /// Nobody reads what we print any more.
    Unread,
    /// What we print cannot be written, for this reason.
    Unwritten(String),
}

/// An error as a registry answers it.
#[derive(Debug)]
pub(super) struct Refused {
    number: String,
    body: Vec<u8>,
}

impl Failure {
    /// Tells it to standard error; as the document itself where `json` asks for that.
    pub(super) fn tell(&self, json: bool) {
        match self {
            Self::Usage(fault) => err(&format!("error: {fault}")),
            Self::Refused(refused) if json => err(&String::from_utf8_lossy(&refused.body)),
            Self::Refused(refused) => err(&format!("error: {}", refused.sentence())),
            Self::Unanswered(why) => err(&format!("error: {why}")),
            Self::Unwritten(why) => err(&format!("error: cannot write the answer: {why}")),
            Self::Told | Self::Unread => {}
        }
    }

    /// The code to leave with.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(EX_USAGE),
            Self::Refused(_) | Self::Told | Self::Unwritten(_) => ExitCode::FAILURE,
            Self::Unanswered(_) => ExitCode::from(EX_UNAVAILABLE),
            // As `head` means it.
            Self::Unread => ExitCode::SUCCESS,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Unwritten(error.to_string()),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::Unanswered(text::clean(&error.to_string()))
    }
}

impl Refused {
    /// The error in `reply`, if it is one.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        Some(Self {
            number: reply.header(ERROR_CODE)?.to_owned(),
            body: reply.body.to_vec(),
        })
    }

    /// Message, code and details; faults one per line below.
    pub(super) fn sentence(&self) -> String {
        let body = document::parsed(&self.body).ok();
        match body.as_ref().and_then(|body| body.get("error")) {
            Some(error) if error.is_object() => sentence(error),
            // Not a registry's own: what an extension answers has any shape.
            _ => format!(
                "an error without a code of the registry [{}]",
                text::clean(&self.number)
            ),
        }
    }
}

/// Some of many ids may have failed: each of `errors` is told, and the command as a whole has
/// failed.
pub(super) fn of_parts(errors: Option<&Value>) -> Result<(), Failure> {
    let errors = errors
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    for error in errors {
        err(&format!("error: {}", sentence(error)));
    }
    match errors {
        [] => Ok(()),
        _ => Err(Failure::Told),
    }
}

/// `{"code", "message", "details"}` in words.
pub(super) fn sentence(error: &Value) -> String {
    let details = error.get("details").and_then(Value::as_object);
    let faults = details.and_then(|details| details.get("faults"));
    let faults: Vec<&Value> = faults
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    let mut notes = vec![text::plain(error.get("code"))];
    for (name, value) in details.into_iter().flatten() {
        // The message names these, or the lines below do.
        if !matches!(name.as_str(), "id" | "field" | "faults") {
            notes.push(format!(
                "{} {}",
                text::clean(name),
                text::plain(Some(value))
            ));
        }
    }
    let notes = notes.join(", ");
    if faults.is_empty() {
        return format!("{} [{notes}]", text::plain(error.get("message")));
    }
    let mut sentence = format!("the request has faults [{notes}]");
    for fault in faults {
        let field = text::plain(fault.get("field"));
        let rule = text::plain(fault.get("rule"));
        sentence += &format!("\n  `{field}` {rule}");
        if let Some(value) = fault.get("value").filter(|value| !value.is_null()) {
            sentence += &format!(", not {}", text::clean(&value.to_string()));
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(body: &Value) -> String {
        let refused = Refused {
            number: "422".to_owned(),
            body: body.to_string().into_bytes(),
        };
        refused.sentence()
    }

    #[test]
    fn an_error_is_one_sentence() {
        let body = json!({"error": {"code": "extension_not_found",
            "message": "extension `x` is not available: unknown",
            "details": {"id": "x", "reason": "unknown"}}});
        assert_eq!(
            refused(&body),
            "extension `x` is not available: unknown [extension_not_found, reason unknown]"
        );
        let body = json!({"error": {"code": "invalid_request", "message": "...", "details": {
        "field": "timeout_ms", "faults": [
            {"field": "timeout_ms", "value": -1, "rule": "must be a whole number from 1 to 120000"},
            {"field": "type", "value": null, "rule": "is missing"},
        ]}}});
        assert_eq!(
            refused(&body),
            "the request has faults [invalid_request]\n  \
             `timeout_ms` must be a whole number from 1 to 120000, not -1\n  `type` is missing"
        );
        let foreign = refused(&json!({"failed": "\u{1b}[2J"}));
        assert_eq!(foreign, "an error without a code of the registry [422]");
    }
}
