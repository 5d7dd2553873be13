//! Spans to an OpenTelemetry collector: OTLP over HTTP, in batches, in the background.
//!
//! Spans are best effort: an unreachable or slow collector costs spans, never a request.

mod convert;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::service::spans::{Span, SpanSink};

/// Spans that may wait for the collector; more are dropped and counted.
const QUEUE: usize = 4096;
/// The most spans of one request to the collector.
const BATCH: usize = 512;
/// How long spans are gathered before a batch goes out that is not full.
const GATHER: Duration = Duration::from_secs(1);
/// How long a collector may take for a batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sending the rest may take at the end.
const LAST_BATCHES: Duration = Duration::from_millis(500);

/// The entrance: never waits.
#[derive(Debug)]
pub struct Queue {
    spans: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
}

/// Sends what the queue takes.
#[derive(Debug)]
pub struct Exporter {
    spans: mpsc::Receiver<Span>,
    dropped: Arc<AtomicU64>,
    collector: SpanExporter,
    /// Whether the last batch was taken, so that only changes are logged.
    taken: bool,
    /// Whether spans were dropped before it; likewise.
    dropping: bool,
}

/// An entrance and the exporter behind it, for the sidecar `instance_id`.
///
/// # Errors
/// An endpoint that is no address.
pub fn channel(endpoint: &str, instance_id: &str) -> Result<(Queue, Exporter), ExporterBuildError> {
    let mut collector = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    collector.set_resource(&resource(instance_id));
    let (queue, spans) = mpsc::channel(QUEUE);
    let dropped = Arc::<AtomicU64>::default();
    let queue = Queue {
        spans: queue,
        dropped: Arc::clone(&dropped),
    };
    let exporter = Exporter {
        spans,
        dropped,
        collector,
        taken: true,
        dropping: false,
    };
    Ok((queue, exporter))
}

/// Our identity, in the terms of the OpenTelemetry conventions.
fn resource(instance_id: &str) -> Resource {
    Resource::builder_empty()
        .with_service_name("beamline-registry")
        .with_attribute(convert::text("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(convert::text("service.instance.id", instance_id))
        .build()
}

impl SpanSink for Queue {
    fn take(&self, span: Span) {
        if let Err(TrySendError::Full(_)) = self.spans.try_send(span) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Exporter {
    /// Sends batches until `stop`, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let batch = self.gather(&stop).await;
            // A batch that cannot be written, by a bug, costs itself only.
            let _panicked = AssertUnwindSafe(self.send(batch)).catch_unwind().await;
        }
        // The process is about to end: a collector that is slow now misses what is left.
        let _ = timeout(LAST_BATCHES, self.send_rest()).await;
    }

    async fn send_rest(&mut self) {
        while !self.spans.is_empty() {
            let mut batch = Vec::new();
            self.spans.recv_many(&mut batch, BATCH).await;
            self.send(batch).await;
        }
    }

    /// A full batch, or what came within the time to gather, or before `stop`.
    async fn gather(&mut self, stop: &CancellationToken) -> Vec<Span> {
        let mut batch = Vec::new();
        let gathering = async {
            let mut more = self.spans.recv_many(&mut batch, BATCH).await;
            let until = Instant::now() + GATHER;
            while more > 0 && batch.len() < BATCH {
                let room = BATCH - batch.len();
                let received = timeout_at(until, self.spans.recv_many(&mut batch, room)).await;
                more = received.unwrap_or(0);
            }
        };
        let _stopped = stop.run_until_cancelled(gathering).await;
        batch
    }

    async fn send(&mut self, batch: Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        let spans = batch.len();
        let batch = batch.into_iter().map(convert::span).collect();
        let sent = timeout(EXPORT_TIMEOUT, self.collector.export(batch)).await;
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let dropping = dropped > 0;
        if dropping && !std::mem::replace(&mut self.dropping, dropping) {
            warn!(
                spans = dropped,
                "spans were dropped: the collector does not keep up (logged once until it does)"
            );
        }
        self.dropping = dropping;
        let error = match sent {
            Ok(Ok(())) if self.taken => return,
            Ok(Ok(())) => {
                self.taken = true;
                info!("the collector accepts spans again");
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if std::mem::replace(&mut self.taken, false) {
            warn!(
                spans,
                error, "the collector did not accept spans (logged once until it does)"
            );
        }
    }
}
