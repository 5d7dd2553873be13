//! Spans: what a request and its attempts look like in a distributed trace.
//!
//! A span is handed on when it is over, in one piece; nothing here knows the collector. Without
//! a collector a request pays one look at an empty `Option`.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use rand::RngExt;

use crate::domain::traceparent::{SpanId, TraceParent, TraceSeed};

/// The work that a span is about; names have few values, details are in the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A lookup, received to replied.
    Lookup,
    /// An invocation, received to its end, all attempts included.
    Invoke,
    /// One request to an extension.
    Attempt,
}

/// A span that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What was done.
    pub work: Work,
    /// Its trace and its own id.
    pub context: TraceParent,
    /// The span it was done for: the router's, or ours for an attempt.
    pub parent: Option<SpanId>,
    /// When it began.
    pub begun: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What else is known: ids, versions, numbers. Never payloads, nor the actor.
    pub attributes: Vec<Attribute>,
    /// Its error, if any: a code of the contract or a call's status.
    pub error: Option<&'static str>,
}

/// A name and a value.
pub type Attribute = (&'static str, String);

/// Port: takes spans that are over. It must not wait.
pub trait SpanSink: Send + Sync + std::fmt::Debug {
    /// Takes one, or drops it and counts that.
    fn take(&self, span: Span);
}

/// Decides which requests are recorded, and begins their spans.
#[derive(Debug, Clone, Default)]
pub struct Spans(Option<Arc<Recording>>);

#[derive(Debug)]
struct Recording {
    sink: Arc<dyn SpanSink>,
    /// The share of requests without a trace that begin one, 0 to 1.
    ratio: f64,
}

impl Spans {
    /// Records requests whose caller records its trace, and of those without one the share `ratio`,
    /// 0 to 1.
    pub fn to(sink: Arc<dyn SpanSink>, ratio: f64) -> Self {
        Self(Some(Arc::new(Recording { sink, ratio })))
    }

    /// Whether anything is recorded, so that no header is read in vain.
    pub fn are_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the span of a request, where it is to be recorded. A caller's decision is followed, so
    /// that traces are whole or not there at all.
    pub fn begin(
        &self,
        work: Work,
        traceparent: Option<&str>,
        received: Instant,
    ) -> Option<OpenSpan> {
        let recording = self.0.as_ref()?;
        let seed = TraceSeed {
            trace_id: rand::random(),
            span_id: rand::random(),
        };
        let (context, parent) = match traceparent.and_then(TraceParent::parse) {
            Some(caller) if caller.is_sampled() => {
                (caller.child(seed.span_id), Some(caller.span_id()))
            }
            Some(_) => return None,
            None if rand::rng().random::<f64>() < recording.ratio => {
                (TraceParent::begin(seed).sampled(), None)
            }
            None => return None,
        };
        Some(OpenSpan {
            sink: Arc::clone(&recording.sink),
            work,
            context,
            parent,
            begun: received,
            begun_at: ago(received.elapsed()),
            attributes: Vec::new(),
            end: OnceLock::new(),
        })
    }
}

/// A span that goes on. It is over, and handed on, when it is dropped.
#[derive(Debug)]
pub struct OpenSpan {
    sink: Arc<dyn SpanSink>,
    work: Work,
    context: TraceParent,
    parent: Option<SpanId>,
    begun: Instant,
    /// The same by the wall clock, read once: what lies below begins by it too, however the wall
    /// clock moves.
    begun_at: SystemTime,
    attributes: Vec<Attribute>,
    /// Its outcome: an error, or none.
    end: OnceLock<Option<&'static str>>,
}

/// The error of work that was given up, as at the end of the grace period.
const CANCELLED: &str = "cancelled";

impl OpenSpan {
    /// Adds what is known by now.
    pub fn note(&mut self, name: &'static str, value: impl ToString) {
        self.attributes.push((name, value.to_string()));
    }

    /// Records its outcome: an error, or none. Dropped without that, it was cancelled.
    pub fn end(&self, error: Option<&'static str>) {
        // Only the first error is kept: it is the cause.
        let _ = self.end.set(error);
    }

    /// What a span below this one, with this id, sends on as its `traceparent`.
    pub fn child(&self, id: SpanId) -> TraceParent {
        self.context.child(id)
    }

    /// A span below this one that began at `begun` and ends now.
    pub fn finished_child(
        &self,
        work: Work,
        id: SpanId,
        begun: Instant,
        attributes: Vec<Attribute>,
        error: Option<&'static str>,
    ) {
        let after = begun.saturating_duration_since(self.begun);
        self.sink.take(Span {
            work,
            context: self.child(id),
            parent: Some(self.context.span_id()),
            begun: self.begun_at.checked_add(after).unwrap_or(self.begun_at),
            took: begun.elapsed(),
            attributes,
            error,
        });
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.sink.take(Span {
            work: self.work,
            context: self.context,
            parent: self.parent,
            begun: self.begun_at,
            took: self.begun.elapsed(),
            attributes: std::mem::take(&mut self.attributes),
            error: self.end.get().copied().unwrap_or(Some(CANCELLED)),
        });
    }
}

/// The wall clock's time that long ago.
fn ago(took: Duration) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(took).unwrap_or(now)
}

#[cfg(test)]
#[path = "spans_tests.rs"]
mod tests;
