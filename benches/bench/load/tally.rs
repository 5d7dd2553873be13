//! Counting answers.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Job, PATIENCE};
use crate::bench::report::Report;

/// Longer latencies count as this, in nanoseconds.
const LONGEST_NS: u64 = 60_000_000_000;

/// What a job came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Right answers in the counted time.
    pub(crate) answers: u64,
    /// Ids in them, a second.
    pub(crate) per_second: f64,
    /// Latencies in microseconds.
    pub(crate) p50_us: f64,
    /// See `p50_us`.
    pub(crate) p99_us: f64,
    /// See `p50_us`.
    pub(crate) p999_us: f64,
    /// See `p50_us`.
    pub(crate) max_us: f64,
    /// What an id in an answer cost the generator, in microseconds of CPU, warm-up included.
    pub(crate) cpu_us: f64,
    /// Requests with a wrong answer or none, warm-up included.
    pub(crate) wrong: u64,
    /// The first of them.
    pub(crate) first_wrong: Option<String>,
}

impl Outcome {
    /// Makes the run fail when anything was wrong.
    pub(crate) fn assert_right(&self, report: &mut Report, what: &str) {
        if self.wrong > 0 {
            let first = self.first_wrong.as_deref().unwrap_or_default();
            report.wrong(format!(
                "{what}: {} wrong or missing, the first: {first}",
                self.wrong
            ));
        }
    }
}

/// An outcome in the making, with the clock of its job.
pub(super) struct Tally {
    latencies: Histogram<u64>,
    ids_per_answer: usize,
    counted_from: Instant,
    end: Instant,
    wrong: u64,
    first_wrong: Option<String>,
}

impl Tally {
    /// The clock starts now; every answer holds so many ids.
    pub(super) fn start(job: &Job, ids_per_answer: usize) -> Self {
        println!("sending");
        let counted_from = Instant::now() + job.warm_up;
        Self {
            latencies: Histogram::new_with_max(LONGEST_NS, 3).unwrap(),
            ids_per_answer,
            counted_from,
            end: counted_from + job.duration,
            wrong: 0,
            first_wrong: None,
        }
    }

    /// When to send no more.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// When to wait no more for answers.
    pub(super) fn give_up(&self) -> Instant {
        self.end + PATIENCE
    }

    /// Counts the answer, received `now`, to a request sent or due at `begun`.
    pub(super) fn answered(&mut self, begun: Instant, now: Instant, verdict: Result<(), String>) {
        if let Err(reason) = verdict {
            self.wrong(1, || reason);
        } else if begun >= self.counted_from && begun < self.end {
            self.latencies.saturating_record(nanoseconds(now - begun));
        }
    }

    /// Counts requests that got no right answer.
    pub(super) fn wrong(&mut self, requests: u64, reason: impl FnOnce() -> String) {
        self.wrong += requests;
        if requests > 0 {
            self.first_wrong.get_or_insert_with(reason);
        }
    }

    /// The outcome. What was sent in the counted time is counted, so the time it is divided by ends
    /// when the last such request could be sent.
    pub(super) fn outcome(self) -> Outcome {
        let us = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1e3;
        let answers = self.latencies.len();
        let seconds = (self.end - self.counted_from).as_secs_f64();
        Outcome {
            answers,
            per_second: answers as f64 * self.ids_per_answer as f64 / seconds,
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            max_us: self.latencies.max() as f64 / 1e3,
            cpu_us: 0.0,
            wrong: self.wrong,
            first_wrong: self.first_wrong,
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
