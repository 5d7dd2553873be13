//! The headers around an extension's answer.

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};

use crate::service::invoke::{Answered, END, STREAM, Trail};

const EXTENSION_ID: HeaderName = HeaderName::from_static("Beamline-Extension-Id");
const VERSION: HeaderName = HeaderName::from_static("Beamline-Version");
const INSTANCE: HeaderName = HeaderName::from_static("Beamline-Instance");
const ATTEMPTS: HeaderName = HeaderName::from_static("Beamline-Attempts");
const LATENCY_US: HeaderName = HeaderName::from_static("Beamline-Latency-Us");
const FALLBACK_FROM: HeaderName = HeaderName::from_static("Beamline-Fallback-From");
/// Set on an error that is the extension's own.
const EXTENSION_ERROR: HeaderName = HeaderName::from_static("Beamline-Extension-Error");
/// The number of a message within a stream, from 1.
const SEQUENCE: HeaderName = HeaderName::from_static("Beamline-Seq");
const CHUNK: &str = "chunk";
const ERROR_CODE: HeaderName = HeaderName::from_static("Nats-Service-Error-Code");
const ERROR: HeaderName = HeaderName::from_static("Nats-Service-Error");

/// The headers of an answer in one piece.
pub(super) fn headers(answered: &Answered) -> HeaderMap {
    let mut headers = trail(&answered.trail);
    if let Some(error) = &answered.error {
        // What the extension says of its error goes through, but for what no header can hold.
        insert(&mut headers, ERROR_CODE, &error.code);
        insert(&mut headers, ERROR, &error.text);
        headers.insert(EXTENSION_ERROR, "1");
    }
    headers
}

/// The headers of a chunk; the first one tells who answers.
pub(super) fn chunk_headers(first: Option<&Trail>, sequence: u64) -> HeaderMap {
    stream(first, CHUNK, sequence)
}

/// The headers of the last message of a stream.
pub(super) fn end_headers(first: Option<&Trail>, sequence: u64) -> HeaderMap {
    stream(first, END, sequence)
}

fn stream(first: Option<&Trail>, kind: &'static str, sequence: u64) -> HeaderMap {
    let mut headers = first.map(trail).unwrap_or_default();
    headers.insert(HeaderName::from_static(STREAM), kind);
    headers.insert(SEQUENCE, sequence.to_string());
    headers
}

fn trail(trail: &Trail) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(EXTENSION_ID, trail.id.as_str());
    headers.insert(VERSION, trail.version.as_str());
    if let Some(instance) = &trail.instance {
        headers.insert(INSTANCE, instance.as_str());
    }
    headers.insert(ATTEMPTS, trail.attempts.to_string());
    headers.insert(LATENCY_US, trail.latency.as_micros().to_string());
    if let Some(id) = &trail.fallback_from {
        headers.insert(FALLBACK_FROM, id.as_str());
    }
    headers
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Parsed, not converted: the library's conversions panic on line breaks.
    if let Ok(value) = value.parse::<HeaderValue>() {
        headers.insert(name, value);
    }
}
