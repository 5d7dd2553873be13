//! The answer to a scrape: metrics made at that moment.
//!
//! A family without series leaves no trace, not even its description.

use std::fmt::Error;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The page that a scrape gets.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn gauge<T>(&mut self, name: &str, help: &str, value: T) -> Result<(), Error>
    where
        ConstGauge<T>: EncodeMetric,
    {
        self.metric(name, help, &ConstGauge::new(value))
    }

    pub(super) fn gauges<L: EncodeLabelSet, T>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, T)>,
    ) -> Result<(), Error>
    where
        ConstGauge<T>: EncodeMetric,
    {
        let series = values.into_iter();
        let series = series.map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family(name, help, MetricType::Gauge, series)
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, count: u64) -> Result<(), Error> {
        self.metric(name, help, &ConstCounter::new(count))
    }

    pub(super) fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        counts: impl IntoIterator<Item = (L, u64)>,
    ) -> Result<(), Error> {
        let series = counts.into_iter();
        let series = series.map(|(labels, count)| (labels, ConstCounter::new(count)));
        self.family(name, help, MetricType::Counter, series)
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        histogram: &ConstHistogram,
    ) -> Result<(), Error> {
        self.metric(name, help, &histogram)
    }

    pub(super) fn histograms<'h, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (L, &'h ConstHistogram)>,
    ) -> Result<(), Error> {
        self.family(name, help, MetricType::Histogram, histograms)
    }

    fn metric(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> Result<(), Error> {
        let encoder = self
            .0
            .encode_descriptor(name, help, None, metric.metric_type())?;
        metric.encode(encoder)
    }

    fn family<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        series: impl IntoIterator<Item = (L, impl EncodeMetric)>,
    ) -> Result<(), Error> {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, metric) in series {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A histogram at one moment.
pub(super) struct ConstHistogram {
    sum: f64,
    count: u64,
    buckets: Vec<(f64, u64)>,
}

impl ConstHistogram {
    /// Of durations: their sum in seconds, and upper bounds in seconds, each with the durations in
    /// that bucket alone. The last bound is infinite, whatever its value.
    pub(super) fn of_seconds(sum: f64, mut buckets: Vec<(f64, u64)>) -> Self {
        if let Some((bound, _)) = buckets.last_mut() {
            *bound = f64::INFINITY;
        }
        Self {
            sum,
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }

    /// How many durations it has.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

impl EncodeMetric for &ConstHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        encoder.encode_histogram::<NoLabelSet>(self.sum, self.count, &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
