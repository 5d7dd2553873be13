//! What a request can be answered with instead of success: one variant per stable code.

use serde_json::{Value, json};
use thiserror::Error;

use super::trouble::{DatabaseError, Trouble};
use crate::domain::overload::Overload;
use crate::domain::quote::{MAX_QUOTED_BYTES, quoted, quoted_within};
use crate::domain::words::words;

words! {
    /// Why an extension is not found.
    pub enum NotFoundReason {
        /// No source knows the id.
        Unknown = "unknown",
        /// Disabled by an operator.
        Disabled = "disabled",
        /// Auto-disabled.
        AutoDisabled = "auto_disabled",
        /// No version takes part for this context.
        NotTargeted = "not_targeted",
        /// The source has it, but its record breaks a rule.
        Quarantined = "quarantined",
    }
}

impl NotFoundReason {
    /// The reason in words, about the extension `id`.
    fn sentence(self, id: &str) -> String {
        match self {
            Self::Unknown => format!("no extension `{id}`"),
            Self::Disabled => format!("extension `{id}` is disabled"),
            Self::AutoDisabled => format!("extension `{id}` is auto-disabled"),
            Self::NotTargeted => format!("extension `{id}` has no version for this request"),
            Self::Quarantined => format!("extension `{id}` is quarantined"),
        }
    }
}

/// Why an extension could not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// Its circuit lets no call pass.
    CircuitOpen {
        /// Until the next trial, in milliseconds; none where an operator holds it open without an
        /// end.
        retry_after_ms: Option<u64>,
    },
    /// All that could serve rest: they were busy, and named a time to come back.
    PushedBack {
        /// Until the first of them is back, in milliseconds.
        retry_after_ms: u64,
    },
    /// Its subject has no subscriber.
    NoResponders,
    /// This sidecar's own link is down; the call may have been carried out.
    LinkDown,
}

impl Unavailable {
    /// The reason as written in `details.reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CircuitOpen { .. } => "circuit_open",
            Self::PushedBack { .. } => "pushed_back",
            Self::NoResponders => "no_responders",
            Self::LinkDown => "link_down",
        }
    }
}

/// An error with a stable code. `Display` is the message for the caller: it may name what the
/// caller sent, never payloads, secrets or internals. Whatever it holds, its message and details are
/// of a few hundred bytes: all quotations are made here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// Malformed JSON, an unknown or missing field, a bad value.
    #[error("{}", quoted_within(message, MAX_MESSAGE))]
    InvalidRequest {
        /// The field at fault, where there is one.
        field: Option<String>,
        /// The rule it breaks.
        message: String,
    },
    /// Several fields, or one whose value can be shown.
    #[error("{}", describe(.0))]
    BadFields(Vec<BadField>),
    /// A mutating verb where administration is off.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No such extension, or none that serves this request.
    #[error("{}", reason.sentence(&quoted(id)))]
    ExtensionNotFound {
        /// The id asked for.
        id: String,
        /// Why there is none.
        reason: NotFoundReason,
    },
    /// No such version, or, where it has to serve, a disabled one.
    #[error(
        "extension `{}` has no {}version `{}`",
        quoted(id),
        serving.then_some("enabled ").unwrap_or_default(),
        quoted(version)
    )]
    VersionNotFound {
        /// The id asked for.
        id: String,
        /// The version asked for.
        version: String,
        /// Whether it would have to be enabled.
        serving: bool,
    },
    /// No such instance.
    #[error("extension `{}` has no instance `{}`", quoted(id), quoted(instance_id))]
    InstanceNotFound {
        /// The id asked for.
        id: String,
        /// The instance asked for.
        instance_id: String,
    },
    /// An id or a subject that is taken.
    #[error("extension `{}`: the {field} is taken", quoted(id))]
    AlreadyExists {
        /// The id asked for.
        id: String,
        /// Which of them: `id` or `subject`.
        field: &'static str,
    },
    /// The record is not what the change was meant for.
    #[error("extension `{}`: {}", quoted(id), quoted(why))]
    Conflict {
        /// The id asked for.
        id: String,
        /// Why.
        why: String,
        /// The revision of the record, where that is why.
        revision: Option<u64>,
    },
    /// A write where no database is configured.
    #[error("this sidecar serves files: edit those, or configure a database")]
    ReadOnly,
    /// `min_revision` was not reached in time.
    #[error("revision {wanted} was not reached in time; this sidecar has {current}")]
    RevisionTimeout {
        /// The revision asked for.
        wanted: u64,
        /// The revision there is.
        current: u64,
    },
    /// A request or a reply is too large to be sent.
    #[error("{what} is larger than {limit_bytes} bytes")]
    PayloadTooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// A bug. The cause is logged, never sent.
    #[error("internal error")]
    Internal,
    /// The extension's answer was empty or not JSON.
    #[error(
        "extension `{}` replied with neither a document nor an error",
        quoted(id)
    )]
    ExtensionError {
        /// The extension that was called.
        id: String,
    },
    /// The extension was not called, or had no subscriber.
    #[error("extension `{}` is unavailable: {}", quoted(id), why.as_str())]
    ExtensionUnavailable {
        /// The extension that was to be called.
        id: String,
        /// Why.
        why: Unavailable,
    },
    /// The extension did not answer within its timeout, after the retries.
    #[error("extension `{}` did not answer in time", quoted(id))]
    ExtensionTimeout {
        /// The extension that was called.
        id: String,
    },
    /// The caller's deadline passed before the extension answered.
    #[error("the deadline passed before extension `{}` answered", quoted(id))]
    DeadlineExceeded {
        /// The extension that was called.
        id: String,
    },
    /// The database is needed and cannot be used now; the message has the cause.
    #[error("{}", quoted_within(.message, MAX_MESSAGE))]
    DatabaseUnavailable {
        /// Which kind of trouble.
        reason: Trouble,
        /// The database's message, or the lack of an answer.
        message: String,
    },
    /// Nothing was written: another transaction holds the lock.
    #[error("the database is locked by another transaction")]
    DatabaseLocked {
        /// Its holder, if the database reports it.
        blocked_by: Option<String>,
    },
    /// It is unknown whether the change was committed.
    #[error("{}; it is unknown whether the change was committed", quoted_within(.0, MAX_MESSAGE))]
    OutcomeUnknown(String),
    /// A source could not be read, and only an operator can change that.
    #[error("{}", quoted_within(.0, MAX_MESSAGE))]
    SourceUnreadable(String),
    /// The call was cancelled, by a client that knows its id or because its caller is gone.
    #[error("the call was cancelled")]
    Cancelled,
    /// Too much at once; nothing was done.
    #[error("too much at once: {}", .0.as_str())]
    Overloaded(Overload),
    /// The daemon is shutting down; nothing was done.
    #[error("this sidecar is shutting down")]
    ShuttingDown,
    /// The grace period ended while a call was under way: the extension may have done its work.
    #[error("this sidecar is shutting down, and the extension has not answered yet")]
    GivenUp,
    /// An error that alone means that nothing was done, of a call with another attempt, maybe at
    /// the fallback, that may have been carried out.
    #[error("{0}; another attempt may have been carried out")]
    Perhaps(Box<RegistryError>),
}

/// A field of a request, its value and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadField {
    /// The field.
    pub field: Box<str>,
    /// Its value as JSON text; absent where there was none.
    pub value: Option<Box<str>>,
    /// The rule, readable after the field's name.
    pub rule: Box<str>,
}

/// The most bytes of a message that others have made.
const MAX_MESSAGE: usize = 600;
/// The most faults that are reported; a body can have any number of unknown fields.
pub const MAX_FAULTS: usize = 50;

fn describe(faults: &[BadField]) -> String {
    let faults = faults.iter();
    let lines = faults.map(|fault| format!("`{}` {}", quoted(&fault.field), quoted(&fault.rule)));
    lines.collect::<Vec<_>>().join("; ")
}

/// A fault as it is among an error's details.
fn detail(fault: &BadField) -> Value {
    let value = fault.value.as_ref().map(|text| {
        let whole = serde_json::from_str(text).ok();
        let whole = whole.filter(|_| text.len() <= MAX_QUOTED_BYTES);
        whole.unwrap_or_else(|| Value::String(quoted(text)))
    });
    json!({ "field": quoted(&fault.field), "value": value, "rule": quoted(&fault.rule) })
}

/// What a request is answered that the database did not carry out. What only an operator can set
/// right is `internal`, and in the log; what a request asks to be stored and cannot be is its fault.
impl From<DatabaseError> for RegistryError {
    fn from(error: DatabaseError) -> Self {
        match error.trouble {
            Trouble::NotAllowed | Trouble::Hidden | Trouble::Unexpected => Self::Internal,
            Trouble::Refused => Self::InvalidRequest {
                field: None,
                message: error.outside(),
            },
            Trouble::Locked => Self::DatabaseLocked {
                blocked_by: error.blocked_by,
            },
            reason => Self::DatabaseUnavailable {
                reason,
                message: error.outside(),
            },
        }
    }
}

impl RegistryError {
    /// A fault of one field of a request.
    pub fn field(field: &str, rule: impl std::fmt::Display) -> Self {
        Self::InvalidRequest {
            field: Some(quoted(field)),
            message: format!("`{}` {rule}", quoted(field)),
        }
    }

    /// What a request is answered that does not end before this process does. A change goes on
    /// after its caller has gone, as long as the process runs.
    pub fn unfinished(changes: bool) -> Self {
        match changes {
            true => Self::OutcomeUnknown("this sidecar is shutting down".into()),
            false => Self::ShuttingDown,
        }
    }

    /// The error of a call of which an attempt before it, or after it, may have been carried out.
    #[must_use]
    pub fn perhaps(self) -> Self {
        match self {
            Self::ExtensionUnavailable { .. }
            | Self::Overloaded(_)
            | Self::Forbidden(_)
            | Self::PayloadTooLarge { .. } => Self::Perhaps(Box::new(self)),
            other => other,
        }
    }

    /// Which bound was met, if that is why.
    pub fn overload(&self) -> Option<Overload> {
        match self {
            Self::Overloaded(why) => Some(*why),
            Self::Perhaps(error) => error.overload(),
            _ => None,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    /// The number of the code, as in HTTP.
    pub fn number(&self) -> u16 {
        self.kind().0
    }

    /// The fixed text of the code: safe in a header, never request data.
    pub fn title(&self) -> &'static str {
        self.kind().2
    }

    /// Number, code and title: the one table of errors.
    fn kind(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::InvalidRequest { .. } | Self::BadFields(_) => {
                (400, "invalid_request", "invalid request")
            }
            Self::Forbidden(_) => (403, "forbidden", "forbidden"),
            Self::ExtensionNotFound { .. } => (404, "extension_not_found", "extension not found"),
            Self::VersionNotFound { .. } => (404, "version_not_found", "version not found"),
            Self::InstanceNotFound { .. } => (404, "instance_not_found", "instance not found"),
            Self::AlreadyExists { .. } => (409, "already_exists", "already exists"),
            Self::Conflict { .. } => (409, "conflict", "conflict"),
            Self::ReadOnly => (409, "read_only", "read only"),
            Self::RevisionTimeout { .. } => {
                (412, "revision_timeout", "revision not reached in time")
            }
            Self::PayloadTooLarge { .. } => (413, "payload_too_large", "payload too large"),
            Self::Cancelled => (499, "cancelled", "cancelled"),
            Self::Internal | Self::SourceUnreadable(_) => (500, "internal", "internal error"),
            Self::ExtensionError { .. } => (502, "extension_error", "extension error"),
            Self::DatabaseUnavailable { .. }
            | Self::DatabaseLocked { .. }
            | Self::OutcomeUnknown(_) => (503, "database_unavailable", "database unavailable"),
            Self::ExtensionUnavailable { .. } => {
                (503, "extension_unavailable", "extension unavailable")
            }
            Self::Overloaded(_) => (503, "overloaded", "overloaded"),
            Self::ShuttingDown | Self::GivenUp => (503, "shutting_down", "shutting down"),
            Self::DeadlineExceeded { .. } => (504, "deadline_exceeded", "deadline exceeded"),
            Self::ExtensionTimeout { .. } => (504, "extension_timeout", "extension timeout"),
            Self::Perhaps(error) => error.kind(),
        }
    }

    /// What a program may want to know, by name.
    pub fn details(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &str| Value::String(quoted(text));
        match self {
            Self::InvalidRequest {
                field: Some(field), ..
            } => vec![("field", text(field))],
            Self::BadFields(faults) => {
                let first = faults.first();
                let first = first.map(|fault| ("field", text(&fault.field)));
                let all = ("faults", Value::from_iter(faults.iter().map(detail)));
                first.into_iter().chain([all]).collect()
            }
            Self::InstanceNotFound { id, instance_id } => {
                vec![("id", text(id)), ("instance_id", text(instance_id))]
            }
            Self::AlreadyExists { id, field } => vec![("id", text(id)), ("field", text(field))],
            Self::Conflict { id, revision, .. } => {
                let revision = revision.map(|revision| ("revision", Value::from(revision)));
                [("id", text(id))].into_iter().chain(revision).collect()
            }
            Self::ExtensionNotFound { id, reason } => {
                vec![("id", text(id)), ("reason", text(reason.as_str()))]
            }
            Self::VersionNotFound { id, version, .. } => {
                vec![("id", text(id)), ("version", text(version))]
            }
            Self::RevisionTimeout { wanted, current } => vec![
                ("min_revision", Value::from(*wanted)),
                ("revision", Value::from(*current)),
            ],
            Self::PayloadTooLarge { limit_bytes, .. } => {
                vec![("limit_bytes", Value::from(*limit_bytes))]
            }
            Self::ExtensionError { id }
            | Self::ExtensionTimeout { id }
            | Self::DeadlineExceeded { id } => vec![("id", text(id))],
            Self::ExtensionUnavailable { id, why } => {
                let mut details = vec![("id", text(id)), ("reason", text(why.as_str()))];
                let wait = match why {
                    Unavailable::CircuitOpen { retry_after_ms } => Some(*retry_after_ms),
                    Unavailable::PushedBack { retry_after_ms } => Some(Some(*retry_after_ms)),
                    Unavailable::NoResponders | Unavailable::LinkDown => None,
                };
                details.extend(wait.map(|ms| ("retry_after_ms", Value::from(ms))));
                details
            }
            Self::DatabaseLocked { blocked_by } => {
                let blocked_by = blocked_by.as_ref().map(|who| ("blocked_by", text(who)));
                let reason = ("reason", text("locked"));
                [reason].into_iter().chain(blocked_by).collect()
            }
            Self::DatabaseUnavailable { reason, .. } => vec![("reason", text(reason.as_str()))],
            Self::Overloaded(why) => vec![("reason", text(why.as_str()))],
            Self::OutcomeUnknown(_) | Self::GivenUp => vec![("outcome", text("unknown"))],
            Self::Perhaps(error) => {
                let mut details = error.details();
                details.push(("outcome", text("unknown")));
                details
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
