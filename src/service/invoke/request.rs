//! A request to call an extension, as the use case sees it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::domain::call_id::CallId;
use crate::domain::context::Context;

/// What a call is known by, where it may be cancelled: its own id, or, of an answer in pieces, one that
/// is made.
pub fn known_as(own: Option<CallId>, stream: bool) -> Option<CallId> {
    own.or_else(|| stream.then(|| CallId::of(rand::random())))
}

/// What a router asks for. Free-form JSON stays the text it came in.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// The extension.
    pub id: &'a str,
    /// A version to use regardless of the rules.
    pub version: Option<&'a str>,
    /// What the extension works on.
    pub payload: &'a RawValue,
    /// Notes that travel with the payload.
    pub metadata: Option<&'a RawValue>,
    /// Settings laid over the registry's.
    pub config: Option<&'a RawValue>,
    /// Settings for a fallback, by its id: the request's own do not travel there.
    pub fallback_config: HashMap<Cow<'a, str>, &'a RawValue>,
    /// The context of the request: rules and rollouts read it, `trace_id` and `tenant_id`
    /// travel on.
    pub context: Context,
    /// How long the caller wants to wait for one attempt; below the extension's own it is a
    /// deadline, above it is cut to it.
    pub timeout: Option<Duration>,
    /// When the caller no longer wants the answer.
    pub deadline: Option<Instant>,
    /// W3C trace context of the caller.
    pub traceparent: Option<&'a str>,
    /// W3C trace state of the caller.
    pub tracestate: Option<&'a str>,
    /// What the caller knows the call by, if it may want to cancel it.
    pub call_id: Option<CallId>,
    /// Whether the caller takes an answer in pieces.
    pub stream: bool,
    /// When the request was received.
    pub received: Instant,
}
