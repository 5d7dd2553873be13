//! Reads of the catalog itself, without NATS: what a lookup costs at least.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beamline_registry::documents;
use beamline_registry::domain::balancer::{Balancer, Past};
use beamline_registry::domain::catalog::{ActiveSource, Catalog, Change};
use beamline_registry::domain::context::Context;
use beamline_registry::domain::entry::Entry;
use beamline_registry::domain::extension::Instance;
use beamline_registry::domain::ids::{InstanceId, VersionName};
use beamline_registry::domain::policy::Policy;
use beamline_registry::domain::quarantine::Quarantine;
use beamline_registry::domain::record::{EXTENSION, Fields, Gate};
use beamline_registry::domain::subject::{Subject, SubjectPattern};
use beamline_registry::service::clock::Clock;
use beamline_registry::service::lookup::Lookups;
use beamline_registry::service::selection::Selector;
use beamline_registry::service::spans::{Spans, Work};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::options::Options;
use super::records;
use super::report::{Asked, Report};
use super::samples::median;

/// Reads in one round: every id a hundred times.
const PASSES: usize = 100;

/// Reads every id in random order, again and again.
pub(crate) fn measure(options: &Options, report: &mut Report) {
    let catalog = catalog();
    let lookups = Lookups::new(selector(&catalog));
    let mut ids = records::ids(records::CATALOG);
    ids.shuffle(&mut SmallRng::seed_from_u64(1));

    let instances = instances();
    let mut balancer = called(&instances);

    let (mut turns, mut loads) = (Vec::new(), Vec::new());
    let mut get = Vec::new();
    let mut one = Vec::new();
    let (spans, mut untraced) = (Spans::default(), Vec::new());
    for _ in 0..options.rounds {
        get.push(nanoseconds_each(&ids, |id| {
            catalog.get(black_box(id)).is_some()
        }));
        one.push(nanoseconds_each(&ids, |id| {
            black_box(lookups.one(black_box(id), None, Context::default())).is_ok()
        }));
        // All that a lookup and a call do for traces where no collector is named.
        untraced.push(nanoseconds_each(&ids, |id| {
            let spans = black_box(&spans);
            !spans.are_recorded()
                && spans
                    .begin(Work::Lookup, Some(id), Instant::now())
                    .is_none()
        }));
    }
    for _ in 0..options.rounds {
        let now = Instant::now();
        for (other, taken) in [(None, &mut turns), (Some(7), &mut loads)] {
            let balancer = RefCell::new(&mut balancer);
            taken.push(nanoseconds_each(&ids, |_| {
                let mut balancer = balancer.borrow_mut();
                let past = black_box(Past::default());
                balancer.pick(instances.iter(), past, other, now).is_ok()
            }));
        }
    }
    report.line(
        "one of 10 instances, by turns",
        Asked::Nothing,
        median(turns),
        "ns",
    );
    report.line(
        "one of 10 instances, by load and latency",
        Asked::AtMost(200.0),
        median(loads),
        "ns",
    );
    let what = format!("catalog get in process, {} ids", records::CATALOG);
    report.line(what, Asked::AtMost(100.0), median(get), "ns");
    report.line(
        "lookup in process, choice and reply included",
        Asked::Nothing,
        median(one),
        "ns",
    );
    report.line(
        "traces without a collector, per request, a reading of the clock included",
        Asked::Nothing,
        median(untraced),
        "ns",
    );
}

/// Ten instances of one version, of different weights.
fn instances() -> Vec<Instance> {
    (1..=10u8)
        .map(|number| Instance {
            instance_id: InstanceId::parse(&format!("instance-{number}")).unwrap(),
            subject: Subject::parse(&format!("beamline.ext.bench.{number}")).unwrap(),
            weight: number * 10,
            enabled: true,
            version: VersionName::parse("v1").unwrap(),
        })
        .collect()
}

/// Their turns, once each of them has been called.
fn called(instances: &[Instance]) -> Balancer {
    let (mut balancer, now) = (Balancer::default(), Instant::now());
    let _first = balancer.pick(instances.iter(), Past::default(), None, now);
    for (instance, ms) in instances.iter().zip(1..) {
        let load = balancer.load(&instance.instance_id).unwrap();
        load.took(Duration::from_millis(ms), now);
    }
    balancer
}

fn nanoseconds_each(ids: &[String], read: impl Fn(&str) -> bool) -> f64 {
    let begun = Instant::now();
    let mut found = 0;
    for _ in 0..PASSES {
        found += ids.iter().filter(|id| read(id)).count();
    }
    let elapsed = begun.elapsed();
    assert_eq!(found, ids.len() * PASSES, "every id is found");
    elapsed.as_nanos() as f64 / found as f64
}

fn catalog() -> Arc<Catalog> {
    let policy = Policy {
        allowed_subjects: vec![SubjectPattern::parse("beamline.ext.>").unwrap()],
        forbidden_prefixes: Vec::new(),
        max_timeout_ms: 120_000,
        max_retries: 10,
    };
    let (catalog, mut writer) = Catalog::new();
    writer.apply(Change {
        upserts: (0..records::CATALOG)
            .map(|number| entry(number, &policy))
            .collect(),
        removals: Vec::new(),
        quarantine: Quarantine::default(),
        source: ActiveSource::Fixtures,
        epoch: None,
        revision: 0,
    });
    catalog
}

fn entry(number: usize, policy: &Policy) -> Arc<Entry> {
    let said = [
        ("id", format!("\"{}\"", records::id(number))),
        ("type", r#""pre""#.to_owned()),
        (
            "subject",
            format!("\"beamline.ext.bench.extension_{number}.v1\""),
        ),
        ("config", records::config(number)),
        ("metadata", records::metadata(number)),
    ];
    let fields = Fields::read(
        EXTENSION,
        said.iter().map(|(name, json)| (name, json.as_str())),
    );
    Arc::new(Entry::new(
        Gate::of(policy).extension(&fields).unwrap(),
        &documents::lookup::prepare,
    ))
}

/// Chooses as the daemon does while no extension fails.
fn selector(catalog: &Arc<Catalog>) -> Arc<Selector> {
    let (circuits, clock) = (Arc::default(), Clock::default());
    Arc::new(Selector {
        catalog: Arc::clone(catalog),
        environment: None,
        circuits,
        health_routing: true,
        min_success_rate: 0.8,
        clock,
    })
}
