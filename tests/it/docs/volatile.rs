//! What differs from run to run, and the mark that stands for it on pages and in golden files.
//!
//! Two rules: a text that is a time is [`MARK`], and so is the value of a field or header of
//! [`NAMES`], unless it is null. Null stays, because it says that there is no such value yet.

/// Stands for a value that cannot be foretold.
pub(crate) const MARK: &str = "…";

/// Durations, who was counted by now, and what is drawn or derived from what is drawn.
const NAMES: &[&str] = &[
    "Beamline-Call-Id",
    "Beamline-Deadline-Ms",
    "Beamline-Latency-Us",
    "Beamline-Stale-Ms",
    "average_processing_time",
    "avg_latency_ms",
    "avg_p95_latency_ms",
    "digest",
    "duration_ms",
    "epoch",
    "last_reload_duration_ms",
    "load_count",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "processing_time",
    "retry_after_ms",
    "sidecars",
    "staleness_ms",
    "traceparent",
    "uptime_ms",
];

/// Whether the field or header of this name differs from run to run, whatever it holds.
pub(crate) fn is_volatile(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Whether `text` is a time as the daemon writes it: `2026-01-31T23:59:59.000001Z`.
pub(crate) fn is_time(text: &str) -> bool {
    let shape = text.char_indices().all(|(at, c)| match at {
        4 | 7 => c == '-',
        10 => c == 'T',
        13 | 16 => c == ':',
        _ => c.is_ascii_digit() || matches!(c, '.' | 'Z'),
    });
    shape && text.len() >= 20 && text.ends_with('Z')
}
