//! Errors and refusals:
//!
//! - [`codes`]: each code has its number, its fixed text and its details; texts and messages hold
//!   little or nothing of what was sent,
//! - [`replies`]: a reply goes only where replies may go; all else is dropped, counted, logged once,
//! - [`sizes`]: an error is small, whatever it is about, and fits where little fits,
//! - [`administration`]: mutating verbs need it and, where asked for, an actor subject.

mod administration;
mod codes;
mod replies;
mod sizes;

use serde_json::Value;

use crate::harness::Reply;

/// The whole shape of an error: both headers, and a body with three fields.
#[track_caller]
pub(crate) fn assert_error(reply: &Reply, number: u16, code: &str, text: &str, details: &Value) {
    assert_eq!(reply.error(), (number, code.to_owned()), "{reply:?}");
    assert_eq!(reply.header("Nats-Service-Error"), Some(text));
    assert_eq!(&reply.details(), details, "{reply:?}");
    let body = reply.json();
    let error = body["error"].as_object().unwrap();
    let keys: Vec<_> = error.keys().collect();
    assert_eq!(keys, ["code", "details", "message"]);
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert_eq!(body.as_object().unwrap().len(), 1);
}
