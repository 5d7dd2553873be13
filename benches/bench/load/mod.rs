//! Load: requests from a process of their own, counted and checked there.
//!
//! A [`Job`] goes in as JSON on the command line, an [`Outcome`] comes out as JSON on standard
//! output. The process has one connection and one thread, as little as it takes, because it shares
//! the machine with what it measures.

mod closed;
mod inbox;
mod open;
mod requests;
mod stores;
mod tally;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime;

pub(crate) use tally::Outcome;

use super::{cpu, stage};
use crate::harness::{DEADLINE, Process};

/// How long a reply may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to ask, of whom, how fast and for how long.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Who is asked.
    pub(crate) target: Target,
    /// How fast.
    pub(crate) pace: Pace,
    /// Time before anything is counted. Wrong answers always are.
    pub(crate) warm_up: Duration,
    /// Time while latencies are counted.
    pub(crate) duration: Duration,
    /// Extensions to choose from.
    pub(crate) extensions: usize,
}

/// Who is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Target {
    /// Requests under a subject prefix.
    Nats {
        url: String,
        prefix: String,
        form: Form,
        check: Check,
    },
    /// One request, the same every time.
    Same {
        url: String,
        subject: String,
        headers: Vec<(String, String)>,
        body: String,
        check: Check,
    },
    /// `get` from a JetStream bucket.
    KeyValue { url: String, bucket: String },
    /// `GET`, pipelined on one connection.
    Redis { url: String },
    /// A prepared `SELECT` by primary key, pipelined on as many connections as the daemon's pool has.
    Postgres { url: String },
}

impl Job {
    /// What an id in an answer cost a process that used `cpu` during this job, in microseconds.
    pub(crate) fn per_id(&self, outcome: &Outcome, cpu: Duration) -> f64 {
        let seconds = (self.warm_up + self.duration).as_secs_f64();
        cpu.as_secs_f64() * 1e6 / (outcome.per_second * seconds)
    }
}

/// How a lookup is worded.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Form {
    /// `{"id":...}`.
    Json,
    /// The id in the subject.
    Subject,
    /// `{"ids":[...]}` with [`MANY`] of them.
    Many,
}

impl Target {
    /// The server that is asked, and how many ids are in an answer; `None` for other stores.
    fn nats(&self) -> Option<(&str, usize)> {
        match self {
            Self::Nats { url, form, .. } => {
                Some((url, if matches!(form, Form::Many) { MANY } else { 1 }))
            }
            Self::Same { url, .. } => Some((url, 1)),
            Self::KeyValue { .. } | Self::Redis { .. } | Self::Postgres { .. } => None,
        }
    }
}

/// Ids in a lookup of many.
pub(crate) const MANY: usize = 8;

/// What makes a reply right.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Check {
    /// It is the record of the id that was asked for; of all ids, in order, for many.
    Record,
    /// Besides, its config and metadata are of the same generation.
    Whole,
    /// It has this length.
    Length(usize),
    /// It is what the sample extension answers, and no error.
    Answer,
    /// It is an error with this number.
    Error(u16),
}

/// How fast to ask.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// Always so many requests in flight: the next is sent when one is answered.
    InFlight(usize),
    /// So many requests a second whatever happens; latency counts from when a request was due, so
    /// that a stall is felt by all that it delays (no coordinated omission).
    PerSecond(u64),
}

/// Runs a job in a process of its own.
pub(crate) async fn run(job: &Job) -> Outcome {
    start(job).await.finish().await
}

/// Starts a job and returns at once.
pub(crate) async fn start(job: &Job) -> Running {
    let text = serde_json::to_string(job).unwrap();
    let process = stage::role("load", &["load", &text]).await;
    let deadline = job.warm_up + job.duration + PATIENCE + DEADLINE;
    Running { process, deadline }
}

/// A generator at work; killed on drop.
pub(crate) struct Running {
    process: Process,
    deadline: Duration,
}

impl Running {
    /// Returns when its clock runs: connected, and about to send.
    pub(crate) async fn sending(&self) {
        let line = |line: &str| (line == "sending").then_some(());
        self.process
            .wait_line("its first request", DEADLINE, line)
            .await
            .unwrap();
    }

    /// What it counted, at its end.
    pub(crate) async fn finish(self) -> Outcome {
        let outcome = |line: &str| serde_json::from_str(line).ok();
        self.process
            .wait_line("an outcome", self.deadline, outcome)
            .await
            .unwrap()
    }
}

/// The generator itself.
pub(crate) fn main(job: &Job) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut outcome = runtime.block_on(async {
        match (job.target.nats(), job.pace) {
            (Some(nats), Pace::InFlight(in_flight)) => closed::run(job, nats, in_flight).await,
            (Some((url, _)), Pace::PerSecond(rate)) => open::run(job, url, rate).await,
            (None, Pace::InFlight(in_flight)) => stores::run(job, in_flight).await,
            (None, Pace::PerSecond(_)) => panic!("stores are only asked with requests in flight"),
        }
    });
    outcome.cpu_us = job.per_id(&outcome, cpu::own());
    println!("{}", serde_json::to_string(&outcome).unwrap());
}
