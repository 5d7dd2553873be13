//! What the catalog, the status and the meters know, read at each scrape.
//!
//! A gauge that is not known is absent, not 0: no size before the first data, nothing about a
//! database that is not used.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::page::{ConstHistogram, Page};
use crate::domain::catalog::ActiveSource;
use crate::service::meter::Count;
use crate::service::observe::ListenerState;
use crate::service::selection::Selector;
use crate::service::stats::Stats;

/// What the metrics read.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What `stats` reads, too.
    pub stats: Arc<Stats>,
    /// The extensions there are, and their circuits.
    pub selector: Arc<Selector>,
    /// Log lines that were dropped.
    pub log_lines_dropped: Count,
    /// Events that were not published.
    pub events_dropped: Count,
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        self.catalog(&mut page)?;
        self.links(&mut page)?;
        self.losses(&mut page)?;
        self.lookups(&mut page)?;
        self.extensions(&mut page)
    }
}

impl Sources {
    fn catalog(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let (catalog, skipped) = (&self.stats.catalog, &self.stats.skipped);
        let head = catalog.head();
        if head.source == ActiveSource::None {
            return Ok(());
        }
        let (total, enabled) = catalog.sizes();
        let quarantined = catalog.quarantine().faults().len() + skipped.count();
        page.gauge("extension_registry_size", total as u64)?;
        page.gauge("extension_registry_enabled_count", enabled as u64)?;
        page.gauge("extension_registry_quarantined", quarantined as u64)?;
        page.gauge("extension_registry_revision", head.revision)
    }

    fn links(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let status = &self.stats.status;
        if let Some(staleness) = status.staleness() {
            let seconds = staleness.as_secs_f64();
            page.gauge("extension_registry_staleness_seconds", seconds)?;
        }
        let listener = match status.listener() {
            ListenerState::Off => None,
            state => Some(state == ListenerState::Listening),
        };
        for (name, up) in [
            ("extension_registry_database_up", status.database_up()),
            ("extension_registry_listener_up", listener),
            ("extension_registry_nats_up", Some(status.nats_up())),
        ] {
            if let Some(up) = up {
                page.gauge(name, u64::from(up))?;
            }
        }
        Ok(())
    }

    fn losses(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let (lines, events) = (self.log_lines_dropped.get(), self.events_dropped.get());
        page.counter("extension_registry_log_lines_dropped", lines)?;
        page.counter("extension_registry_events_dropped", events)
    }

    fn lookups(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let meter = &self.stats.lookups.meter;
        let results = [
            ("hit", meter.hits.get()),
            ("miss", meter.misses.get()),
            ("refused", meter.refused.get()),
        ];
        if results.iter().any(|(_, count)| *count > 0) {
            let counts = results.map(|(result, count)| ([("result", result)], count));
            page.counters("extension_registry_lookups", counts)?;
        }
        let (sum, buckets) = meter.duration.figures();
        let duration = ConstHistogram::of_seconds(sum, buckets);
        if duration.count() == 0 {
            return Ok(());
        }
        page.metric("extension_registry_lookup_duration_seconds", &duration)
    }
}
