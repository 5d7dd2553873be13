//! What a call would do: the choice explained, and the exact request.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::explain::Explained;
use super::to_bytes;
use crate::service::caller::CallHeaders;
use crate::service::invoke::Plan;
use crate::service::read::Explanation;

#[derive(Serialize, ToSchema)]
pub(super) struct CallRehearsal<'a> {
    #[serde(flatten)]
    explained: Explained<'a>,
    dry_run: bool,
    request: RehearsedRequest<'a>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RehearsedRequest<'a> {
    subject: &'a str,
    #[schema(value_type = Object)]
    headers: Map<String, Value>,
    /// The document as it would be sent, byte for byte.
    #[schema(value_type = Option<Object>)]
    body: Option<&'a RawValue>,
    #[schema(value_type = u64)]
    timeout_ms: u128,
}

/// The explanation with the request beside it.
pub fn rehearsed(
    explanation: &Explanation,
    plan: &Plan,
    subject: &str,
    headers: &CallHeaders<'_>,
) -> Bytes {
    let mut named = Map::new();
    headers.write(&mut |name, value| {
        named.insert(name.to_owned(), Value::from(value));
    });
    to_bytes(&CallRehearsal {
        explained: Explained::of(explanation),
        dry_run: true,
        request: RehearsedRequest {
            subject,
            headers: named,
            body: serde_json::from_slice(&plan.body.bytes).ok(),
            timeout_ms: plan.timeout.as_millis(),
        },
    })
}
