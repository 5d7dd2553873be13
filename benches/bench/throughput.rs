//! Lookups a second and their latency, beside an echo of the same size and other stores.
//!
//! Everything is running all the time; the contestants take turns, in every round and at every
//! level, so that whatever else the machine does hits them alike. Ratios are taken within a round.

mod stores;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::load::{self, Check, Form, Job, Outcome, Pace, Target};
use super::options::Options;
use super::redis_server::RedisServer;
use super::report::{Asked, Report, number, table};
use super::samples::median;
use super::stage::{PREFIX, Stage};
use super::{echo, records};
use stores::fill;

/// Requests in flight.
const LEVELS: [usize; 4] = [1, 16, 64, 256];

const REGISTRY: &str = "registry, JSON";
const ECHO: &str = "echo, same bytes";
const REGISTRY_SUBJECT: &str = "registry, id in subject";
const ECHO_SUBJECT: &str = "echo, id in subject";
const MANY: &str = "registry, 8 ids, per id";

/// The registry's ways, each with the echo it is held against.
const RIVALS: [(&str, &str); 2] = [(REGISTRY, ECHO), (REGISTRY_SUBJECT, ECHO_SUBJECT)];

/// What was measured, by contestant and level, in the order of the rounds.
type Outcomes = BTreeMap<(&'static str, usize), Vec<Outcome>>;

/// Runs all rounds.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let _daemon = stage.ready_daemon().await;
    let redis = RedisServer::start().await;
    let stored = fill(stage, redis.as_ref()).await;
    let _echo = echo::start(&stage.nats, stored.reply_bytes).await;
    report.raw("reply_bytes", json!(stored.reply_bytes));
    let contestants = contestants(stage, redis.as_ref(), stored.reply_bytes);

    let mut outcomes = Outcomes::new();
    for round in 0..options.rounds {
        for level in LEVELS {
            let mut order: Vec<_> = contestants.iter().collect();
            // Whoever comes first finds the caches of the one before.
            if round % 2 == 1 {
                order.reverse();
            }
            for (name, target) in order {
                let outcome = load::run(&job(target.clone(), level, options)).await;
                outcome.assert_right(report, &format!("{name}, {level} in flight"));
                outcomes.entry((name, level)).or_default().push(outcome);
            }
        }
        eprintln!("  round {} of {}", round + 1, options.rounds);
    }
    ratios(&outcomes, report);
    figures(&contestants, &outcomes, report);
}

fn job(target: Target, in_flight: usize, options: &Options) -> Job {
    Job {
        target,
        pace: Pace::InFlight(in_flight),
        warm_up: options.step.min(Duration::from_millis(500)),
        duration: options.step,
        extensions: records::CATALOG,
    }
}

fn contestants(
    stage: &Stage,
    redis: Option<&RedisServer>,
    reply_bytes: usize,
) -> Vec<(&'static str, Target)> {
    let nats = |prefix: &str, form, check| Target::Nats {
        url: stage.nats.url(),
        prefix: prefix.to_owned(),
        form,
        check,
    };
    let length = Check::Length(reply_bytes);
    let mut contestants = vec![
        (REGISTRY, nats(PREFIX, Form::Json, Check::Record)),
        (ECHO, nats(echo::PREFIX, Form::Json, length)),
        (REGISTRY_SUBJECT, nats(PREFIX, Form::Subject, Check::Record)),
        (ECHO_SUBJECT, nats(echo::PREFIX, Form::Subject, length)),
        (MANY, nats(PREFIX, Form::Many, Check::Record)),
    ];
    if let Some(redis) = redis {
        contestants.push(("Redis GET", Target::Redis { url: redis.url() }));
    }
    let bucket = stores::BUCKET.to_owned();
    contestants.push((
        "JetStream KV get",
        Target::KeyValue {
            url: stage.nats.url(),
            bucket,
        },
    ));
    contestants.push((
        "Postgres select",
        Target::Postgres {
            url: stage.database.url(),
        },
    ));
    contestants
}

fn ratios(outcomes: &Outcomes, report: &mut Report) {
    for (registry, echo) in RIVALS {
        for level in LEVELS {
            let rounds = || {
                outcomes[&(registry, level)]
                    .iter()
                    .zip(&outcomes[&(echo, level)])
            };
            let rate = median(rounds().map(|(ours, bare)| ours.per_second / bare.per_second));
            let p99 = median(rounds().map(|(ours, bare)| ours.p99_us / bare.p99_us));
            let what = format!("{registry}, {level} in flight, against the echo");
            report.line(format!("{what}: rate"), Asked::AtLeast(0.95), rate, "");
            report.line(format!("{what}: p99"), Asked::AtMost(1.10), p99, "");
        }
    }
}

fn figures(contestants: &[(&'static str, Target)], outcomes: &Outcomes, report: &mut Report) {
    let mut shown = table(&["", "in flight", "a second", "p50 us", "p99 us"]);
    let mut raw = Vec::new();
    for (name, _) in contestants {
        for level in LEVELS {
            let rounds = &outcomes[&(*name, level)];
            let of = |figure: fn(&Outcome) -> f64| median(rounds.iter().map(figure));
            shown.add_row([
                (*name).to_owned(),
                level.to_string(),
                number(of(|o| o.per_second).round()),
                number(of(|o| o.p50_us)),
                number(of(|o| o.p99_us)),
            ]);
            raw.push(json!({ "name": name, "in_flight": level, "rounds": rounds }));
        }
    }
    report.table("Medians over the rounds", shown);
    report.raw("throughput", raw.into());
}
