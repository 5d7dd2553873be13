//! Spans, as a collector receives them:
//!
//! - a call and its attempts hang below the router's span, and the extension's below the attempt's,
//! - a caller that does not record is followed, and so is the ratio where there is no caller,
//! - a collector that is away costs nobody an answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use beamline_registry::adapters::otlp;
use beamline_registry::domain::traceparent::{TraceParent, TraceSeed};
use beamline_registry::service::spans::{self, SpanSink, Work};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::harness::daemon::{Builder, message};
use crate::harness::{Behaviour, DEADLINE, Daemon, Extension, eventually, ports};
use crate::site::{Site, extension, subject};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector that keeps what it is sent.
struct Collector {
    addr: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener)
    }

    fn on(listener: TcpListener) -> Self {
        let addr = listener.local_addr().unwrap();
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let router = Router::new()
            .route("/v1/traces", post(keep))
            .with_state(Arc::clone(&spans));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { addr, spans }
    }

    /// The first span named `name` of the trace, past or to come.
    async fn span(&self, trace: &str, name: &str) -> Span {
        eventually(&format!("a span {name} of {trace}"), DEADLINE, async || {
            let spans = self.spans.lock().unwrap();
            let mut named = spans.iter().filter(|span| span.name == name);
            let found = named.find(|span| hex(&span.trace_id) == trace);
            found.cloned().ok_or_else(|| spans.len())
        })
        .await
    }
}

async fn keep(State(spans): State<Arc<Mutex<Vec<Span>>>>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| {
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        assert!(attributes.iter().any(|known| known.key == "service.name"));
        resource.scope_spans
    });
    let mut spans = spans.lock().unwrap();
    spans.extend(scopes.flat_map(|scope| scope.spans));
    StatusCode::OK
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|known| known.key == name)?;
    match &found.value.as_ref()?.value {
        Some(AnyValue::StringValue(text)) => Some(text.clone()),
        other => panic!("{other:?}"),
    }
}

fn traced(trace: &str, flags: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", format!("00-{trace}-{CALLER}-{flags}"));
    headers
}

fn tracing_to(site: &Site, addr: SocketAddr, ratio: f64) -> Builder {
    site.daemon()
        .setting("OTLP_ENDPOINT", format!("http://{addr}"))
        .setting("OTLP_SAMPLE_RATIO", ratio)
}

async fn traced_site(ratio: f64) -> (Site, Daemon, Collector) {
    let collector = Collector::start().await;
    let mut record = extension("pre", "x");
    record["retry"] = json!(1);
    let site = Site::with(&json!([record])).await;
    let daemon = site.start(tracing_to(&site, collector.addr, ratio)).await;
    (site, daemon, collector)
}

#[tokio::test]
async fn a_call_its_attempts_and_the_extension_are_one_trace() {
    let (site, _daemon, collector) = traced_site(0.0).await;
    let at = extension("pre", "x")["subject"]
        .as_str()
        .unwrap()
        .to_owned();
    let fails_once = Behaviour::each(|number, _| match number {
        0 => Behaviour::error(503),
        _ => Behaviour::reply("{}"),
    });
    let played = Extension::at(&site.nats.url(), &at, fails_once).await;
    let body = json!({"id": "x", "payload": {"secret": "hunter2"}}).to_string();
    let headers = traced(TRACE, "01");
    let answer = site
        .client
        .request_with_headers(&subject("invoke"), headers, body)
        .await;
    answer.ok();

    let call = collector.span(TRACE, "invoke").await;
    assert_eq!(hex(&call.parent_span_id), CALLER);
    assert_eq!(
        attribute(&call, "beamline.extension.id").as_deref(),
        Some("x")
    );
    assert_eq!(attribute(&call, "error.type"), None);
    let spans = collector.spans.lock().unwrap().clone();
    let attempts: Vec<&Span> = spans.iter().filter(|span| span.name == "attempt").collect();
    assert_eq!(attempts.len(), 2);
    for (attempt, received) in attempts.iter().zip(played.received()) {
        assert_eq!(attempt.parent_span_id, call.span_id);
        assert!(attempt.start_time_unix_nano >= call.start_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= call.end_time_unix_nano);
        let sent = received.headers.get("traceparent").unwrap().to_string();
        assert_eq!(sent, format!("00-{TRACE}-{}-01", hex(&attempt.span_id)));
    }
    assert_eq!(
        attribute(attempts[0], "error.type").as_deref(),
        Some("failure")
    );
    assert_eq!(
        attribute(attempts[1], "beamline.attempt").as_deref(),
        Some("2")
    );
    assert!(!format!("{spans:?}").contains("hunter2"));
}

#[tokio::test]
async fn lookups_are_recorded_as_their_caller_does() {
    let (site, _daemon, collector) = traced_site(0.0).await;
    let unrecorded = "1".repeat(32);
    let lookups = [
        (None, "x"),
        (Some((unrecorded.as_str(), "00")), "x"),
        (Some((TRACE, "01")), "nobody"),
    ];
    for (caller, id) in lookups {
        let headers = caller.map_or_else(HeaderMap::new, |(trace, flags)| traced(trace, flags));
        let lookup = subject("lookup");
        let asked = site.client.request_with_headers(&lookup, headers, id);
        asked.await;
    }
    let span = collector.span(TRACE, "lookup").await;
    let error = attribute(&span, "error.type");
    assert_eq!(error.as_deref(), Some("extension_not_found"));
    // They go out in order: what was to be recorded before it would be here.
    assert_eq!(collector.spans.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_ratio_of_requests_without_a_trace_begins_one() {
    let (site, _daemon, collector) = traced_site(1.0).await;
    site.ask("lookup", &json!({"id": "x"})).await.ok();
    let found = eventually("a lookup", DEADLINE, async || {
        let spans = collector.spans.lock().unwrap();
        spans.first().cloned().ok_or("none")
    });
    let span = found.await;
    assert_eq!(
        (span.name.as_str(), span.parent_span_id.as_slice()),
        ("lookup", &[][..])
    );
}

#[tokio::test]
async fn a_collector_that_is_away_costs_nobody_an_answer() {
    let addr = SocketAddr::from(([127, 0, 0, 1], ports::free_port()));
    let site = Site::with(&json!([extension("pre", "x")])).await;
    let daemon = site.start(tracing_to(&site, addr, 1.0)).await;
    site.ask("lookup", &json!({"id": "x"})).await.ok();
    let not_taken = |entry: &serde_json::Value| {
        message(entry)?
            .starts_with("the collector did not accept spans")
            .then_some(())
    };
    daemon.wait_log("the loss of spans", not_taken).await;
    site.ask("lookup", &json!({"id": "x"})).await.ok();

    let collector = Collector::on(TcpListener::bind(addr).await.unwrap());
    let headers = || traced(TRACE, "01");
    let lookup = subject("lookup");
    site.client
        .request_with_headers(&lookup, headers(), "x")
        .await;
    collector.span(TRACE, "lookup").await;
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}

/// More than two full batches.
#[tokio::test]
async fn what_is_left_at_the_end_is_sent_whole() {
    const LEFT: usize = 1100;
    let collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.addr);
    let (queue, exporter) = otlp::channel(&endpoint, "pod-1").unwrap();
    let seed = TraceSeed {
        trace_id: [1; 16],
        span_id: [2; 8],
    };
    for _ in 0..LEFT {
        queue.take(spans::Span {
            work: Work::Lookup,
            context: TraceParent::begin(seed),
            parent: None,
            begun: SystemTime::now(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            error: None,
        });
    }
    let stop = CancellationToken::new();
    stop.cancel();
    exporter.run(stop).await;
    assert_eq!(collector.spans.lock().unwrap().len(), LEFT);
}
