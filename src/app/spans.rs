//! Where spans go: nowhere, unless the binary can send them and an endpoint is configured.

use super::DaemonError;
use super::essential::Essential;
use crate::config::Settings;
use crate::service::spans::Spans;

/// Starts the exporter, where there is to be one.
#[cfg(feature = "otlp")]
pub(super) fn start(settings: &Settings, essential: &mut Essential) -> Result<Spans, DaemonError> {
    use crate::adapters::otlp;

    let Some(endpoint) = &settings.tracing.endpoint else {
        return Ok(Spans::default());
    };
    let (queue, exporter) = otlp::channel(endpoint, &settings.identity.instance_id)
        .map_err(|error| DaemonError::Spans(error.to_string()))?;
    essential.spawn("spans", exporter.run(essential.stopped()));
    let ratio = settings.tracing.sample_ratio;
    Ok(Spans::to(std::sync::Arc::new(queue), ratio))
}

/// No exporter was built in; the configuration refuses an endpoint.
#[cfg(not(feature = "otlp"))]
pub(super) fn start(_: &Settings, _: &mut Essential) -> Result<Spans, DaemonError> {
    Ok(Spans::default())
}
