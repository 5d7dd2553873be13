//! Our spans in the collector's terms.

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::service::spans::{Span, Work};

/// An attribute.
pub(super) fn text(name: &'static str, value: &str) -> KeyValue {
    KeyValue::new(name, value.to_owned())
}

/// A span as the exporter wants it.
pub(super) fn span(span: Span) -> SpanData {
    let Span {
        work,
        context,
        parent,
        begun,
        took,
        attributes,
        error,
    } = span;
    let (name, span_kind) = match work {
        Work::Lookup => ("lookup", SpanKind::Server),
        Work::Invoke => ("invoke", SpanKind::Server),
        Work::Attempt => ("attempt", SpanKind::Client),
    };
    let attributes = attributes.iter().map(|(name, value)| text(name, value));
    let error_type = error.map(|error| text("error.type", error));
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(context.trace_id()),
            SpanId::from_bytes(context.span_id()),
            TraceFlags::new(context.flags()),
            false,
            TraceState::NONE,
        ),
        parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        // An attempt hangs below a span of ours, anything else below a caller's.
        parent_span_is_remote: parent.is_some() && work != Work::Attempt,
        span_kind,
        name: name.into(),
        start_time: begun,
        end_time: begun.checked_add(took).unwrap_or(begun),
        attributes: attributes.chain(error_type).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: error.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("beamline-registry").build(),
    }
}
