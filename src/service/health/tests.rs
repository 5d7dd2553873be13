//! What is joined from where, and what a page and its summary show.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::*;
use crate::domain::breaker::Tick;
use crate::domain::catalog::{Catalog, Change};
use crate::domain::extension::{Extension, ExtensionType, Incarnation};
use crate::domain::health::{Counts, HealthSums};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::testing::{change, entry, extension, version, version_with};
use crate::service::fleet::Spot;
use crate::service::health_store::{Figures, OverrideAction};
use crate::service::invoke::{Reported, Verdict};
use crate::service::testing::tools;

struct Setting {
    health: Health,
    tools: Tools,
    fleet: Arc<FleetFigures>,
}

/// Extensions by id; `off` is disabled, `dead` auto-disabled.
fn setting(ids: &[&str]) -> Setting {
    let (catalog, mut writer) = Catalog::new();
    let upserts = ids.iter().map(|id| {
        entry(Extension {
            enabled: *id != "off",
            auto_disabled: *id == "dead",
            ..extension(id)
        })
    });
    writer.apply(Change {
        upserts: upserts.collect(),
        ..change(1)
    });
    let (tools, fleet) = (tools(catalog), Arc::<FleetFigures>::default());
    Setting {
        health: Health::new(tools.clone(), Arc::clone(&fleet)),
        tools,
        fleet,
    }
}

impl Setting {
    fn report(&self, id: &str, verdict: Verdict, latency_ms: u64) {
        let reported = Reported {
            id,
            version: None,
            verdict,
            latency: Some(Duration::from_millis(latency_ms)),
        };
        self.tools.report(reported).unwrap();
    }
}

fn flushed(id: &str, successes: u64, failures: u64, at: Instant) -> Figures {
    Figures {
        extension: ExtensionId::parse(id).unwrap(),
        incarnation: None,
        sums: HealthSums {
            counts: Counts {
                successes,
                failures,
            },
            latency_count: successes + failures,
            latency_sum_us: (successes + failures) * 20_000,
            last_success: Some(at),
            last_failure: None,
        },
    }
}

fn everything() -> HealthQuery {
    HealthQuery {
        state: None,
        limit: 100,
        after: None,
    }
}

fn ids(page: &HealthPage) -> Vec<&str> {
    let ids = page.standings.iter();
    ids.map(|standing| standing.entry.extension().id.as_str())
        .collect()
}

#[test]
fn before_the_first_call_there_is_no_figure_and_nothing_is_wrong() {
    let setting = setting(&["a", "off"]);
    let standing = setting.health.of("a").unwrap();
    assert_eq!(standing.sums, Default::default());
    assert_eq!((standing.success_rate, standing.p50), (None, None));
    assert_eq!(standing.condition(), Condition::Healthy);
    assert_eq!(standing.state, State::NoData);
    assert_eq!(setting.health.of("off").unwrap().state, State::Disabled);
    assert_eq!(standing.circuit, CircuitState::Closed);
    let expected = Summary {
        total: 2,
        enabled: 1,
        healthy: 2,
        ..Summary::default()
    };
    assert_eq!(setting.health.summary(), expected);
    let unknown = setting.health.of("b").unwrap_err();
    assert_eq!(unknown.code(), "extension_not_found");
}

#[test]
fn counts_are_the_fleets_and_the_rate_is_ours_once_we_have_one() {
    let setting = setting(&["a"]);
    let later = Instant::now() + Duration::from_secs(3600);
    setting.fleet.replace([flushed("a", 3, 1, later)]);
    let standing = setting.health.of("a").unwrap();
    assert_eq!(standing.success_rate, Some(0.75), "the fleet's is used");
    assert_eq!(standing.versions[0].success_rate, Some(0.75));
    assert_eq!(standing.p99, None, "percentiles are never another's");

    setting.report("a", Verdict::Success, 40);
    setting.report("a", Verdict::Failure, 60);
    let standing = setting.health.of("a").unwrap();
    let counts = standing.sums.counts;
    assert_eq!((counts.successes, counts.failures), (4, 2));
    assert_eq!(standing.success_rate, Some(0.5));
    assert_eq!(standing.versions[0].success_rate, Some(0.5));
    assert_eq!(standing.versions[0].counts, counts);
    let average = (4 * 20 + 40 + 60) / 6;
    assert_eq!(
        standing
            .sums
            .avg_latency()
            .map(|latency| latency.as_millis()),
        Some(average)
    );
    assert_eq!(standing.sums.last_success, Some(later));
    assert!(standing.sums.last_failure.is_some_and(|at| at < later));
    let near = |latency: Option<Duration>, ms: f64| {
        let measured = latency.unwrap().as_secs_f64() * 1e3;
        (measured / ms - 1.0).abs() < 0.04
    };
    assert!(near(standing.p50, 40.0) && near(standing.p95, 60.0) && near(standing.p99, 60.0));
}

#[test]
fn a_version_that_is_left_alone_has_the_latencies_of_its_extension() {
    let (catalog, mut writer) = Catalog::new();
    let mut has = |revision, versions| {
        writer.apply(Change {
            upserts: vec![entry(Extension {
                versions,
                ..extension("a")
            })],
            ..change(revision)
        });
    };
    let (tools, fleet) = (tools(catalog), Arc::<FleetFigures>::default());
    let setting = Setting {
        health: Health::new(tools.clone(), Arc::clone(&fleet)),
        tools,
        fleet,
    };
    has(1, vec![version("v2")]);
    setting.report("a", Verdict::Success, 40);
    has(2, Vec::new());
    setting.report("a", Verdict::Success, 400);
    let standing = setting.health.of("a").unwrap();
    assert_eq!(standing.versions[0].p99, standing.p99);
}

impl Setting {
    fn reset(&self, id: &str, version: &str) {
        let version = VersionName::parse(version).unwrap();
        let spot = Spot::find(&self.tools, id, &version).unwrap();
        spot.apply(OverrideAction::Reset, self.tools.clock.tick(), Tick::NEVER);
    }
}

#[test]
fn a_reset_begins_rate_and_state_anew_and_counts_go_on() {
    let setting = setting(&["a", "idle"]);
    let now = Instant::now();
    setting
        .fleet
        .replace(["a", "idle"].map(|id| flushed(id, 3, 1, now)));
    setting.report("a", Verdict::Success, 10);
    setting.report("a", Verdict::Failure, 10);
    let of = |id: &str| setting.health.of(id).unwrap();
    assert_eq!(of("a").state, State::Degraded);
    for (id, counted) in [("a", (4, 2)), ("idle", (3, 1))] {
        setting.reset(id, "v1");
        let standing = of(id);
        let rates = [standing.success_rate, standing.versions[0].success_rate];
        assert_eq!((rates, standing.state), ([None; 2], State::NoData), "{id}");
        assert_eq!(standing.versions[0].failing_since, None);
        let counts = standing.sums.counts;
        assert_eq!((counts.successes, counts.failures), counted);
        setting.report(id, Verdict::Success, 10);
        let standing = of(id);
        assert_eq!(
            (standing.success_rate, standing.state),
            (Some(1.0), State::Ok)
        );
    }

    // Of a version that is not the current one, nothing else.
    let setting = canary(r#"{"by":"tenant_id","percent":10}"#);
    setting.report_of("v1", Verdict::Success, 1);
    setting.report_of("v2", Verdict::Failure, 1);
    setting.reset("x", "v2");
    let standing = setting.health.of("x").unwrap();
    assert_eq!(standing.success_rate, Some(0.5));
    let versions = standing.versions.iter();
    let versions: Vec<_> = versions.map(|it| (it.success_rate, it.state)).collect();
    assert_eq!(
        versions[..2],
        [(None, State::NoData), (Some(1.0), State::Ok)]
    );
}

#[test]
fn each_extension_is_in_one_condition() {
    let setting = setting(&["broken", "dead", "degraded", "good", "idle", "trying"]);
    setting.report("good", Verdict::Success, 10);
    for id in ["broken", "trying"] {
        setting.report(id, Verdict::Failure, 10);
        setting.report(id, Verdict::Failure, 30);
    }
    // Too many of its calls fail, but never two in a row.
    for verdict in [Verdict::Success, Verdict::Failure, Verdict::Success] {
        setting.report("degraded", verdict, 10);
    }
    let circuit = setting.tools.circuits.get("trying", "v1").unwrap();
    let due = circuit.view(setting.tools.clock.tick()).retry_at.unwrap();
    let _trial = circuit.admit(due).permit.unwrap();

    let summary = setting.health.summary();
    let told = (summary.healthy, summary.unhealthy, summary.half_open);
    assert_eq!((summary.total, told), (6, (2, 3, 1)));
    let rates = [1.0, 0.0, 0.0, 2.0 / 3.0];
    let average = rates.iter().sum::<f64>() / 4.0;
    assert!((summary.avg_success_rate.unwrap() - average).abs() < 1e-9);
    let latency = Some(Duration::from_millis((10 + 20 + 20 + 10) / 4));
    assert_eq!(summary.avg_latency, latency);
    assert!(summary.avg_p95_latency.is_some());

    for (state, expected) in [
        ("open", vec!["broken"]),
        ("half_open", vec!["trying"]),
        ("closed", vec!["dead", "degraded", "good", "idle"]),
        ("degraded", vec!["degraded"]),
        ("auto_disabled", vec!["dead"]),
        ("ok", vec!["good"]),
        ("no_data", vec!["idle"]),
        ("resting", vec![]),
        ("disabled", vec![]),
    ] {
        let query = HealthQuery {
            state: StateFilter::parse(state),
            ..everything()
        };
        let page = setting.health.list(&query);
        assert_eq!((ids(&page), page.more), (expected, false), "{state:?}");
        assert_eq!(page.summary, summary, "of all, whatever is shown");
    }
    assert_eq!(StateFilter::parse("shut"), None);
    let opened = setting.health.of("broken").unwrap().opened_at;
    assert!(opened.unwrap() <= SystemTime::now());
}

/// `x` at v1 with a canary v2 and, without rules or a share, v0; and the fields of `wanted`.
fn canary(rollout: &str) -> Setting {
    let (catalog, mut writer) = Catalog::new();
    let versions = vec![
        version_with("v2", &format!(r#"{{"rollout":{rollout}}}"#)),
        version("v0"),
    ];
    writer.apply(Change {
        upserts: vec![entry(Extension {
            versions,
            ..extension("x")
        })],
        ..change(1)
    });
    let (tools, fleet) = (tools(catalog), Arc::<FleetFigures>::default());
    Setting {
        health: Health::new(tools.clone(), Arc::clone(&fleet)),
        tools,
        fleet,
    }
}

impl Setting {
    fn report_of(&self, version: &str, verdict: Verdict, times: u32) {
        for _ in 0..times {
            let reported = Reported {
                id: "x",
                version: Some(version),
                verdict,
                latency: Some(Duration::from_millis(5)),
            };
            self.tools.report(reported).unwrap();
        }
    }

    fn versions(&self) -> Vec<(String, bool, State)> {
        let standing = self.health.of("x").unwrap();
        let versions = standing.versions.iter();
        let versions = versions.map(|it| (it.version.to_string(), it.takes_part, it.state));
        versions.collect()
    }
}

#[test]
fn an_extension_is_as_bad_as_the_worst_version_that_takes_part() {
    let ten = r#"{"by":"tenant_id","percent":10}"#;
    let setting = canary(ten);
    setting.report_of("v1", Verdict::Success, 10);
    let of = |setting: &Setting| setting.health.of("x").unwrap();
    assert_eq!(
        of(&setting).state,
        State::Ok,
        "a canary without calls says nothing"
    );
    setting.report_of("v2", Verdict::Failure, 2);
    setting.report_of("v0", Verdict::Failure, 2);
    let other = canary(ten);
    other.report_of("v2", Verdict::Success, 1);
    assert_eq!(
        other.versions()[1].2,
        State::NoData,
        "another version's calls"
    );
    let told = |version: &str, takes_part, state| (version.to_owned(), takes_part, state);
    let expected = [
        told("v2", true, State::Open),
        told("v1", true, State::Ok),
        told("v0", false, State::Open),
    ];
    assert_eq!(setting.versions(), expected);
    let standing = of(&setting);
    assert_eq!(standing.state, State::Open);
    assert_eq!(standing.condition(), Condition::Unhealthy);
    assert_eq!(
        standing.circuit,
        CircuitState::Closed,
        "of the current version"
    );
    assert_eq!(standing.ailing().map(|it| it.version.as_str()), Some("v2"));

    // Without a share no request gets it.
    let setting = canary(r#"{"by":"tenant_id","percent":0}"#);
    setting.report_of("v1", Verdict::Success, 1);
    setting.report_of("v2", Verdict::Failure, 2);
    assert_eq!(setting.versions()[0], told("v2", false, State::Open));
    assert_eq!(of(&setting).state, State::Ok);
    assert!(of(&setting).ailing().is_none());
}

#[test]
fn it_fails_since_its_earliest_failure_in_the_window_until_it_is_well_again() {
    let setting = canary(r#"{"by":"tenant_id","percent":10}"#);
    let since = || setting.health.of("x").unwrap().versions[0].failing_since;
    setting.report_of("v2", Verdict::Success, 4);
    let before = SystemTime::now();
    setting.report_of("v2", Verdict::Failure, 1);
    assert_eq!(since(), None, "one failure of five is nothing yet");
    let after = SystemTime::now();
    while after.elapsed().unwrap_or_default() < Duration::from_millis(20) {
        std::thread::yield_now();
    }
    setting.report_of("v2", Verdict::Failure, 1);
    let open = since().expect("two in a row open it");
    let slack = Duration::from_millis(2);
    assert!(
        open + slack >= before && open <= after + slack,
        "{open:?} {before:?} {after:?}"
    );

    // After its open time a trial closes it. It is degraded until its rate recovers.
    let circuit = setting.tools.circuits.get("x", "v2").unwrap();
    while circuit.refuses(setting.tools.clock.tick()) {
        std::thread::yield_now();
    }
    setting.report_of("v2", Verdict::Success, 1);
    assert_eq!(setting.versions()[0].2, State::Degraded);
    assert!(since().is_some(), "as long as it is degraded");
    setting.report_of("v2", Verdict::Success, 2);
    assert_eq!(setting.versions()[0].2, State::Ok);
    assert_eq!(since(), None);
}

#[test]
fn what_ended_without_a_call_is_not_since_when_it_fails_the_next_time() {
    let setting = setting(&["a"]);
    let since = || setting.health.of("a").unwrap().versions[0].failing_since;
    for verdict in [[Verdict::Success; 8].as_slice(), &[Verdict::Failure; 2]].concat() {
        setting.report("a", verdict, 10);
    }
    assert!(since().is_some(), "it is open");
    let (tools, now) = (&setting.tools, || setting.tools.clock.tick());
    let id = ExtensionId::parse("a").unwrap();
    for moved in tools.circuits.start_over(now(), &id) {
        tools.tell(moved);
    }
    assert_eq!(since(), None, "an operator enabled it");

    let before = SystemTime::now();
    while before.elapsed().unwrap_or_default() < Duration::from_millis(20) {
        std::thread::yield_now();
    }
    let forced = SystemTime::now();
    let spot = Spot::find(tools, "a", &VersionName::parse("v1").unwrap()).unwrap();
    spot.apply(OverrideAction::Open, now(), Tick::NEVER);
    let since = since().unwrap();
    assert!(
        since + Duration::from_millis(2) >= forced,
        "{since:?} {forced:?}"
    );
}

#[test]
fn what_is_open_since_the_start_fails_since_then_also_after_a_trial_that_fails() {
    let setting = setting(&["a"]);
    let since = || setting.health.of("a").unwrap().versions[0].failing_since;
    let (tools, v1) = (&setting.tools, VersionName::parse("v1").unwrap());
    let spot = Spot::find(tools, "a", &v1).unwrap();
    let restored = spot
        .circuit()
        .restore_open(tools.clock.tick(), Duration::ZERO);
    spot.tell(restored);
    let start = since().expect("it is open");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(40) {
        std::thread::yield_now();
    }
    setting.report("a", Verdict::Failure, 1);
    let after = since().expect("the trial failed");
    assert!(
        after < start + Duration::from_millis(20),
        "{start:?} {after:?}"
    );
}

#[test]
fn the_last_failures_of_all_versions_are_told_newest_first() {
    let setting = canary(r#"{"by":"tenant_id","percent":10}"#);
    let entry = setting.tools.selector.catalog().get("x").unwrap();
    assert_eq!(setting.health.failures(&entry), []);
    setting.report_of("v1", Verdict::Failure, 9);
    setting.report_of("v2", Verdict::Failure, 1);
    let failures = setting.health.failures(&entry);
    let versions: Vec<_> = failures.iter().map(|it| it.version.as_str()).collect();
    assert_eq!(versions, [["v2"].as_slice(), &["v1"; 8]].concat());
    assert!(
        failures
            .iter()
            .all(|it| it.failed.kind.as_str() == "reported" && it.failed.attempt == 0)
    );
}

#[test]
fn pages_follow_each_other() {
    let setting = setting(&["a", "b", "c"]);
    let after = Some((ExtensionType::Pre, ExtensionId::parse("a").unwrap()));
    for (limit, after, expected, more) in [
        (2, None, vec!["a", "b"], true),
        (3, None, vec!["a", "b", "c"], false),
        (1, after.clone(), vec!["b"], true),
        (2, after, vec!["b", "c"], false),
    ] {
        let query = HealthQuery {
            limit,
            after,
            ..everything()
        };
        let page = setting.health.list(&query);
        assert_eq!((ids(&page), page.more), (expected, more));
        assert_eq!(page.summary.total, 3);
    }
}

#[test]
fn circuits_are_paged_and_tell_who_holds_them_until_when() {
    let setting = setting(&["a", "b", "c"]);
    for id in ["a", "b", "c"] {
        setting.report(id, Verdict::Success, 1);
    }
    let (clock, circuits) = (setting.tools.clock, &setting.tools.circuits);
    let now = clock.tick();
    let minute = Duration::from_secs(60);
    circuits
        .get("b", "v1")
        .unwrap()
        .force_open(now, now.plus(minute));
    circuits
        .get("c", "v1")
        .unwrap()
        .force_open(now, Tick::NEVER);

    let query = CircuitQuery {
        id: None,
        limit: 2,
        after: None,
    };
    let page = setting.health.circuits(&query).unwrap();
    assert!(page.more);
    let [a, b] = &page.circuits[..] else {
        panic!("{page:?}");
    };
    let view = a.listed.view;
    assert_eq!(
        (view.state, view.forced_until),
        (CircuitState::Closed, None)
    );
    assert_eq!(
        (view.error_rate, view.opened_at, view.retry_at),
        (Some(0.0), None, None)
    );
    assert_eq!(b.listed.view.forced_until, Some(now.plus(minute)));

    let query = CircuitQuery {
        id: None,
        limit: 100,
        after: Some((b.listed.id.clone(), b.listed.version.clone())),
    };
    let page = setting.health.circuits(&query).unwrap();
    assert!(!page.more);
    let [c] = &page.circuits[..] else {
        panic!("{page:?}");
    };
    let view = c.listed.view;
    assert_eq!(view.forced_until, Some(Tick::NEVER));
    assert_eq!(view.retry_at, None);
    assert!(view.opened_at.is_some());

    // Of one extension: the status page asks so, however many circuits there are.
    let of = |id: &str| {
        let query = CircuitQuery {
            id: Some(id.to_owned()),
            limit: 100,
            after: None,
        };
        let page = setting.health.circuits(&query)?;
        let ids = page.circuits.iter().map(|it| it.listed.id.to_string());
        Ok::<_, RegistryError>(ids.collect::<Vec<_>>())
    };
    assert_eq!(of("c").unwrap(), ["c"]);
    of("nobody").unwrap_err();
}

/// Whether all are walked, or only what has figures.
#[test]
fn a_page_of_a_state_has_all_in_it_and_the_summary_everyone() {
    let ids: Vec<_> = (0..2500).map(|n| format!("e{n:04}")).collect();
    let mut ids: Vec<_> = ids.iter().map(String::as_str).collect();
    ids.extend(["dead", "off"]);
    let setting = setting(&ids);
    let worked = flushed("e0003", 9, 0, Instant::now());
    setting.fleet.replace([worked]);
    for id in ["e0001", "e2499"].repeat(30) {
        setting.report(id, Verdict::Failure, 1);
    }
    for (state, limit, expected, more) in [
        ("open", 100, &["e0001", "e2499"][..], false),
        ("open", 1, &["e0001"], true),
        ("ok", 100, &["e0003"], false),
        ("auto_disabled", 100, &["dead"], false),
        ("disabled", 100, &["off"], false),
        ("no_data", 2, &["e0000", "e0002"], true),
        ("closed", 3, &["dead", "e0000", "e0002"], true),
        ("degraded", 100, &[], false),
    ] {
        let query = HealthQuery {
            state: StateFilter::parse(state),
            limit,
            after: None,
        };
        let page = setting.health.list(&query);
        assert_eq!(super::tests::ids(&page), expected, "{state}");
        assert_eq!(page.more, more, "{state}");
        let summary = page.summary;
        assert_eq!((summary.total, summary.enabled), (2502, 2501), "{state}");
        assert_eq!((summary.healthy, summary.unhealthy), (2499, 3), "{state}");
    }
    let mut seen = 0;
    let mut query = HealthQuery {
        state: None,
        limit: 700,
        after: None,
    };
    loop {
        let page = setting.health.list(&query);
        seen += page.standings.len();
        let last = page.standings.last().unwrap().entry.extension();
        query.after = Some((last.kind, last.id.clone()));
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, 2502);
}

#[test]
fn every_state_of_extensions_and_of_circuits_can_be_asked_for() {
    let states = State::ALL.map(State::as_str);
    let circuits = CircuitState::ALL.map(CircuitState::as_str);
    let all = states.into_iter().chain(circuits);
    let all: BTreeSet<_> = all.collect();
    assert_eq!(BTreeSet::from(StateFilter::NAMES), all);
    for name in StateFilter::NAMES {
        assert!(StateFilter::parse(name).is_some(), "{name}");
    }
}

/// For a moment the old one's calls and circuits are there still.
#[test]
fn what_was_made_anew_shows_nothing_of_what_was_before_it() {
    let (catalog, mut writer) = Catalog::new();
    let mut make = |number: u64| {
        let a = Extension {
            incarnation: Some(Incarnation(number.into())),
            ..extension("a")
        };
        writer.apply(Change {
            upserts: vec![entry(a)],
            ..change(number)
        });
    };
    make(1);
    let (tools, fleet) = (tools(catalog), Arc::<FleetFigures>::default());
    let setting = Setting {
        health: Health::new(tools.clone(), Arc::clone(&fleet)),
        tools,
        fleet,
    };
    let shown = || {
        let standing = setting.health.of("a").unwrap();
        let failures = setting.health.failures(&standing.entry).len();
        (standing.versions[0].state, failures)
    };
    for _ in 0..2 {
        setting.report("a", Verdict::Failure, 1);
    }
    assert_eq!(shown(), (State::Open, 2));
    make(2);
    assert_eq!(shown(), (State::NoData, 0));
}
