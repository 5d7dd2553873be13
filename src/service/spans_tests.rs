//! Which requests are recorded, and what of them.

use std::sync::Mutex;

use super::*;

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Span>>);

impl SpanSink for Kept {
    fn take(&self, span: Span) {
        self.0.lock().unwrap().push(span);
    }
}

fn kept(ratio: f64, requests: &[Option<&str>]) -> Vec<Span> {
    let sink = Arc::new(Kept::default());
    let spans = Spans::to(Arc::clone(&sink) as Arc<dyn SpanSink>, ratio);
    for traceparent in requests {
        drop(spans.begin(Work::Lookup, *traceparent, Instant::now()));
    }
    std::mem::take(&mut *sink.0.lock().unwrap())
}

#[test]
fn a_callers_decision_is_followed_and_the_ratio_is_for_the_rest() {
    let requests = [Some(SAMPLED), Some(UNSAMPLED), None, Some("broken")];
    let recorded = kept(0.0, &requests);
    assert_eq!(recorded.len(), 1);
    let parent = TraceParent::parse(SAMPLED).unwrap();
    assert_eq!(recorded[0].parent, Some(parent.span_id()));
    assert_eq!(recorded[0].context.trace_id(), parent.trace_id());
    assert_ne!(recorded[0].context.span_id(), parent.span_id());

    let recorded = kept(1.0, &requests);
    assert_eq!(recorded.len(), 3);
    let begun = recorded.iter().filter(|span| span.parent.is_none());
    assert!(begun.clone().all(|span| span.context.is_sampled()));
    assert_eq!(begun.count(), 2);
}

#[test]
fn without_a_collector_nothing_begins() {
    let spans = Spans::default();
    let begun = spans.begin(Work::Invoke, Some(SAMPLED), Instant::now());
    assert!(begun.is_none() && !spans.are_recorded());
}

#[test]
fn what_is_given_up_is_told_so() {
    assert_eq!(kept(1.0, &[None])[0].error, Some("cancelled"));
}

#[test]
fn attempts_hang_below_their_call_and_the_first_error_stays() {
    let sink = Arc::new(Kept::default());
    let spans = Spans::to(Arc::clone(&sink) as Arc<dyn SpanSink>, 0.0);
    let mut call = spans
        .begin(Work::Invoke, Some(SAMPLED), Instant::now())
        .unwrap();
    call.note("beamline.extension.id", "mask_pii");
    let attempt = [7; 8];
    let sent = call.child(attempt);
    assert!(sent.is_sampled());
    call.finished_child(Work::Attempt, attempt, Instant::now(), Vec::new(), None);
    call.end(Some("timeout"));
    call.end(None);
    drop(call);

    let recorded = sink.0.lock().unwrap();
    let [attempt, call] = recorded.as_slice() else {
        panic!("{recorded:?}");
    };
    assert_eq!(attempt.context, sent);
    assert_eq!(attempt.parent, Some(call.context.span_id()));
    assert_eq!((attempt.error, call.error), (None, Some("timeout")));
    let noted = ("beamline.extension.id", "mask_pii".to_owned());
    assert_eq!(call.attributes, [noted]);
}
