//! The headers around an extension's answer.

use crate::adapters::nats::respond::{ERROR, ERROR_CODE};
use crate::adapters::nats::wire::write::HeaderBlock;
use crate::domain::call_id::CallId;
use crate::domain::push_back::RETRY_AFTER_MS;
use crate::service::caller::CALL_ID;
use crate::service::invoke::{Answered, STREAM, Trail};

const EXTENSION_ID: &str = "Beamline-Extension-Id";
const VERSION: &str = "Beamline-Version";
const INSTANCE: &str = "Beamline-Instance";
const ATTEMPTS: &str = "Beamline-Attempts";
const LATENCY_US: &str = "Beamline-Latency-Us";
const FALLBACK_FROM: &str = "Beamline-Fallback-From";
/// The sidecar that has the call, and may be asked to cancel it.
const SERVED_BY: &str = "Beamline-Served-By";
/// Set on an error that is the extension's own.
const EXTENSION_ERROR: &str = "Beamline-Extension-Error";
/// The number of a message within a stream, from 1.
const SEQUENCE: &str = "Beamline-Seq";

/// The first message of an answer: which version answered, and this sidecar, where its call may be
/// cancelled.
pub(super) type First<'a> = (&'a Trail, &'a str);

/// The headers of an answer in one piece.
pub(super) fn headers(block: &mut HeaderBlock, answered: &Answered, served_by: &str) {
    trail(block, (&answered.trail, served_by));
    if let Some(error) = &answered.error {
        push(block, ERROR_CODE, &error.code);
        push(block, EXTENSION_ERROR, "1");
        if let Some(ms) = error.retry_after_ms {
            block.push_number(RETRY_AFTER_MS, ms);
        }
        // Last: it may be any text, and some clients lose what is behind one that is not ASCII.
        push(block, ERROR, &error.text);
    }
}

/// The headers of a message of a stream, by its kind; the first one names the version that answers.
pub(super) fn stream(block: &mut HeaderBlock, first: Option<First<'_>>, kind: &str, sequence: u64) {
    if let Some(first) = first {
        trail(block, first);
    }
    push(block, STREAM, kind);
    block.push_number(SEQUENCE, sequence);
}

fn trail(block: &mut HeaderBlock, (trail, served_by): First<'_>) {
    push(block, EXTENSION_ID, trail.id.as_str());
    push(block, VERSION, trail.version.as_str());
    if let Some(instance) = &trail.instance {
        push(block, INSTANCE, instance.as_str());
    }
    block.push_number(ATTEMPTS, trail.attempts.into());
    let latency_us = u64::try_from(trail.latency.as_micros()).unwrap_or(u64::MAX);
    block.push_number(LATENCY_US, latency_us);
    if let Some(id) = &trail.fallback_from {
        push(block, FALLBACK_FROM, id.as_str());
    }
    if let Some(id) = &trail.call_id {
        call_headers(block, id, served_by);
    }
}

/// Where a call may be cancelled, and by which id.
pub(super) fn call_headers(block: &mut HeaderBlock, id: &CallId, served_by: &str) {
    push(block, CALL_ID, id.as_str());
    push(block, SERVED_BY, served_by);
}

/// The error text of an extension is passed on, except for what no header can hold.
fn push(block: &mut HeaderBlock, name: &'static str, value: &str) {
    let _ = block.push(name, value);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::adapters::nats::wire::write;
    use crate::domain::ids::{ExtensionId, VersionName};
    use crate::service::invoke::ErrorHeaders;

    #[test]
    fn the_extensions_own_text_is_behind_all_that_is_ours() {
        let trail = Trail {
            id: ExtensionId::parse("x").unwrap(),
            version: VersionName::parse("v1").unwrap(),
            instance: None,
            attempts: 2,
            latency: Duration::from_micros(7),
            fallback_from: None,
            call_id: Some(CallId::parse("c0ffee").unwrap()),
        };
        let error = ErrorHeaders {
            code: "429".to_owned(),
            text: "tr\u{f3}p".to_owned(),
            retry_after_ms: Some(250),
        };
        let answered = Answered {
            body: Bytes::new(),
            error: Some(Box::new(error)),
            trail,
        };
        let (mut block, mut out) = (HeaderBlock::default(), Vec::new());
        headers(&mut block, &answered, "pod-1");
        write::publish_with_headers(&mut out, b"r", None, &block, b"");
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.trim_end().lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "Beamline-Extension-Id: x",
                "Beamline-Version: v1",
                "Beamline-Attempts: 2",
                "Beamline-Latency-Us: 7",
                "Beamline-Call-Id: c0ffee",
                "Beamline-Served-By: pod-1",
                "Nats-Service-Error-Code: 429",
                "Beamline-Extension-Error: 1",
                "Beamline-Retry-After-Ms: 250",
                "Nats-Service-Error: tr\u{f3}p",
            ]
        );
    }
}
