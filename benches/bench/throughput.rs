//! Lookups a second and their latency, beside an echo of the same size and other stores.
//!
//! Everything is running all the time; ratios are taken within a round.

mod stores;

use serde_json::json;

use super::contest::{self, Contestant, LEVELS, Outcomes};
use super::cpu::Watched;
use super::echo;
use super::load::{Check, Form, Target};
use super::options::Options;
use super::redis_server::RedisServer;
use super::report::{Asked, Report};
use super::stage::{self, PREFIX, Stage};
use stores::fill;

const REGISTRY: &str = "registry, JSON";
const ECHO: &str = "echo, same bytes";
const REGISTRY_SUBJECT: &str = "registry, id in subject";
const ECHO_SUBJECT: &str = "echo, id in subject";
const MANY: &str = "registry, 8 ids, per id";

/// The registry's ways, each with the echo it is held against.
const RIVALS: [(&str, &str); 2] = [(REGISTRY, ECHO), (REGISTRY_SUBJECT, ECHO_SUBJECT)];

/// Runs all rounds.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let daemon = stage.ready_daemon().await;
    let redis = RedisServer::start().await;
    let stored = fill(stage, redis.as_ref()).await;
    let echo = echo::start(&stage.nats, stored.reply_bytes).await;
    report.raw("reply_bytes", json!(stored.reply_bytes));
    let contestants = contestants(stage, redis.as_ref(), stored.reply_bytes);

    let mut watched = stage.watched(&daemon);
    watched.push(Watched::new("echo", echo.pid()));
    let outcomes = contest::run(&contestants, watched, options, report).await;
    ratios(&outcomes, report);
    outcomes.tell(&contestants, "throughput", report);
}

fn contestants(stage: &Stage, redis: Option<&RedisServer>, reply_bytes: usize) -> Vec<Contestant> {
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
    for rivals in RIVALS {
        for level in LEVELS {
            let rate = outcomes.ratio(rivals, level, |o| o.per_second);
            let p99 = outcomes.ratio(rivals, level, |o| o.p99_us);
            let what = format!("{}, {level} in flight, against the echo", rivals.0);
            report.line(format!("{what}: rate"), Asked::AtLeast(1.10), rate, "");
            report.line(format!("{what}: p99"), Asked::AtMost(1.0), p99, "");
        }
        let cpu = outcomes.cpu_us(rivals.0, 256, stage::REGISTRY);
        let what = format!("{}, 256 in flight: CPU of the registry a lookup", rivals.0);
        report.line(what, Asked::AtMost(0.8), cpu, "us");
    }
}
