use std::time::Duration;

use super::*;
use crate::domain::breaker::{FailureKind, Outcome, Settings};
use crate::domain::catalog::{CatalogWriter, Change};
use crate::domain::extension::{Extension, ExtensionType, Version};
use crate::domain::testing::{change, context, entry, extension, rollout, rules, version};

/// Extensions, and what their circuits have seen.
struct Case {
    selector: Selector,
    circuits: Arc<Circuits>,
    clock: Clock,
    _writer: CatalogWriter,
}

/// Opens at the third failure, for ten minutes; rates count from the fifth call on.
fn settings() -> Settings {
    Settings {
        enabled: true,
        failure_threshold: 3,
        error_rate_threshold: 1.0,
        window: Duration::from_secs(600),
        minimum_requests: 5,
        slow_calls: None,
        open_time: Duration::from_secs(600),
        max_open_time: Duration::from_secs(600),
        half_open_max_requests: 1,
        trial_limit: Duration::from_secs(600),
    }
}

impl Case {
    fn new(extensions: Vec<Extension>) -> Self {
        Self::routing(true, extensions)
    }

    fn routing(enabled: bool, extensions: Vec<Extension>) -> Self {
        let (catalog, mut writer) = Catalog::new();
        writer.apply(Change {
            upserts: extensions.into_iter().map(entry).collect(),
            ..change(1)
        });
        let (circuits, clock) = (Arc::new(Circuits::default()), Clock::default());
        let selector = Selector {
            catalog,
            environment: None,
            circuits: Arc::clone(&circuits),
            health_routing: enabled,
            min_success_rate: 0.8,
            clock,
        };
        Self {
            selector,
            circuits,
            clock,
            _writer: writer,
        }
    }

    fn circuit(&self, id: &str, version: &str) -> Arc<Circuit> {
        let version = VersionName::parse(version).unwrap();
        self.circuits
            .get_or_create(&extension(id), &version, settings)
    }

    /// Calls of a version: `+` for a success, `-` for a failure.
    fn calls(&self, id: &str, version: &str, outcomes: &str) {
        let circuit = self.circuit(id, version);
        for outcome in outcomes.chars() {
            let permit = circuit.admit(self.clock.tick()).permit.unwrap();
            let outcome = match outcome {
                '+' => Outcome::Success,
                _ => Outcome::Failure(FailureKind::Timeout),
            };
            permit.record(self.clock.tick(), outcome, Duration::ZERO);
        }
    }

    fn open(&self, id: &str, version: &str) {
        self.calls(id, version, "---");
    }

    fn select(&self, id: &str, wanted: Wanted<'_>) -> Result<Target, Refusal> {
        let catalog = self.selector.catalog();
        let entry = catalog.get(id).unwrap();
        self.selector.select(&entry, wanted, |id| catalog.get(id))
    }

    /// `id/version reason`, with `<from` for a fallback; or why not.
    fn chosen(&self, id: &str, given: &str, version: Option<&str>, real: bool) -> String {
        let version = version.map(|version| VersionName::parse(version).unwrap());
        let wanted = Wanted {
            version: version.as_ref(),
            context: &context(given),
            turns: real.then_some(Turns::Calls),
        };
        match self.select(id, wanted) {
            Err(refusal) => format!("{refusal:?}"),
            Ok(target) => {
                let resolved = target.resolved();
                let from = target.fallback_from.as_ref();
                let from = from.map(|id| format!("<{id}")).unwrap_or_default();
                let (id, version) = (&resolved.extension.id, resolved.version);
                format!("{id}/{version}{from} {}", target.reason.as_str())
            }
        }
    }

    fn explained(&self, id: &str, given: &str) -> String {
        self.chosen(id, given, None, false)
    }
}

const ACME: &str = r#"{"tenant_id":"acme"}"#;

/// `v1` for all, `v2` for acme.
fn with_canary() -> Extension {
    Extension {
        versions: vec![Version {
            routing_rules: rules(ACME),
            ..version("v2")
        }],
        ..extension("x")
    }
}

fn falling_back(id: &str, names: &[&str]) -> Extension {
    let fallback = names.iter().map(|name| ExtensionId::parse(name).unwrap());
    Extension {
        fallback: fallback.collect(),
        ..extension(id)
    }
}

#[test]
fn reasons_follow_the_tiers() {
    let share = Version {
        rollout: rollout(100),
        ..version("v3")
    };
    let case = Case::new(vec![
        Extension {
            versions: vec![with_canary().versions.remove(0), share],
            ..extension("x")
        },
        Extension {
            routing_rules: rules(ACME),
            ..extension("acme_only")
        },
        Extension {
            enabled: false,
            ..falling_back("off", &["x"])
        },
    ]);
    for (id, given, version, expected) in [
        ("x", ACME, None, "x/v2 targeting_match"),
        ("x", r#"{"tenant_id":"other"}"#, None, "x/v3 rollout"),
        ("x", "{}", None, "x/v1 default"),
        ("x", "{}", Some("v2"), "x/v2 default"),
        ("x", "{}", Some("v9"), "VersionNotFound"),
        ("acme_only", ACME, None, "acme_only/v1 targeting_match"),
        ("acme_only", "{}", None, "NotTargeted"),
        ("off", "{}", None, "Disabled"),
        ("off", "{}", Some("v1"), "Disabled"),
    ] {
        assert_eq!(
            case.chosen(id, given, version, true),
            expected,
            "{id} {given}"
        );
    }
}

#[test]
fn the_current_version_stands_in_for_an_open_one() {
    let case = Case::new(vec![with_canary()]);
    case.open("x", "v2");
    for _ in 0..40 {
        assert_eq!(case.chosen("x", ACME, None, true), "x/v1 fallback");
    }
    assert_eq!(
        case.explained("x", "{}"),
        "x/v1 default",
        "nobody else notices"
    );
    let named = case.chosen("x", ACME, Some("v2"), true);
    assert_eq!(named, "x/v2 circuit_open", "who names it is not led around");
}

#[test]
fn the_current_version_does_not_stand_in_where_it_takes_no_part() {
    let elsewhere = Extension {
        routing_rules: rules(r#"{"environment":"prod"}"#),
        ..with_canary()
    };
    let case = Case::new(vec![elsewhere]);
    case.open("x", "v2");
    assert_eq!(case.explained("x", ACME), "x/v2 circuit_open");
    let both = r#"{"tenant_id":"acme","environment":"prod"}"#;
    assert_eq!(case.explained("x", both), "x/v1 fallback");
}

#[test]
fn one_call_in_twenty_tries_a_version_that_ails() {
    let case = Case::new(vec![with_canary()]);
    case.calls("x", "v2", "-+-+");
    assert_eq!(
        case.explained("x", ACME),
        "x/v2 targeting_match",
        "too few calls to tell"
    );
    case.calls("x", "v2", "-");
    assert_eq!(case.explained("x", ACME), "x/v1 fallback");
    let tried = |_: &u32| case.chosen("x", ACME, None, true).starts_with("x/v2");
    assert_eq!((0..200).filter(tried).count(), 10);
    let looked_up = || {
        let wanted = Wanted {
            version: None,
            context: &context(ACME),
            turns: Some(Turns::Lookups),
        };
        let target = case.select("x", wanted).unwrap();
        target.resolved().version.as_str() == "v2"
    };
    let in_step = (0..200).map(|turn| (looked_up(), tried(&turn)));
    let counts = in_step.fold((0, 0), |(lookups, calls), (lookup, call)| {
        (lookups + u32::from(lookup), calls + u32::from(call))
    });
    assert_eq!(counts, (10, 10), "each kind has its own");
    assert_eq!(
        case.explained("x", ACME),
        "x/v1 fallback",
        "to explain it takes no turn"
    );
    case.calls("x", "v2", "++++++++++");
    assert_eq!(
        case.explained("x", ACME),
        "x/v2 targeting_match",
        "12 of 15"
    );
}

#[test]
fn a_version_that_is_due_for_a_trial_is_tried_as_often_as_trials_allow() {
    let case = Case::new(vec![with_canary()]);
    let circuit = case.circuit("x", "v2");
    circuit.restore_open(case.clock.tick(), Duration::ZERO);
    // Due, and nothing is known of its rate: it is tried.
    assert_eq!(case.explained("x", ACME), "x/v2 targeting_match");
    let _trial = circuit.admit(case.clock.tick()).permit.unwrap();
    assert_eq!(
        case.explained("x", ACME),
        "x/v1 fallback",
        "the only trial is taken"
    );
}

#[test]
fn the_first_fallback_that_can_serve_stands_in_for_an_open_extension() {
    let names = [
        "nobody",
        "post",
        "off",
        "auto_off",
        "acme_only",
        "open",
        "x",
        "good",
        "next",
    ];
    let case = Case::new(vec![
        falling_back("x", &names),
        Extension {
            kind: ExtensionType::Post,
            ..extension("post")
        },
        Extension {
            enabled: false,
            ..extension("off")
        },
        Extension {
            auto_disabled: true,
            ..falling_back("auto_off", &["next"])
        },
        Extension {
            routing_rules: rules(ACME),
            ..extension("acme_only")
        },
        falling_back("open", &["next"]),
        extension("good"),
        extension("next"),
    ]);
    assert_eq!(case.explained("x", "{}"), "x/v1 default");
    case.open("open", "v1");
    case.open("x", "v1");
    assert_eq!(case.explained("x", "{}"), "good/v1<x fallback");
    assert_eq!(case.explained("x", ACME), "acme_only/v1<x fallback");
    assert_eq!(
        case.chosen("x", "{}", Some("v1"), true),
        "x/v1 circuit_open"
    );
    case.open("good", "v1");
    assert_eq!(case.explained("x", "{}"), "next/v1<x fallback");
    case.open("next", "v1");
    assert_eq!(
        case.explained("x", "{}"),
        "x/v1 circuit_open",
        "none is left"
    );
}

#[test]
fn no_extension_stands_in_for_itself() {
    let case = Case::new(vec![
        falling_back("x", &["x", "good"]),
        falling_back("alone", &["alone"]),
        extension("good"),
    ]);
    let standby = |id: &str| {
        let failed = case.selector.catalog().get(id).unwrap();
        let target = case.selector.standby(&failed, &context("{}"))?;
        Some(target.resolved().extension.id.to_string())
    };
    assert_eq!(standby("x").as_deref(), Some("good"));
    assert_eq!(standby("alone"), None);
}

#[test]
fn an_auto_disabled_extension_gives_way_or_is_not_there() {
    let auto = |extension: Extension| Extension {
        auto_disabled: true,
        ..extension
    };
    let case = Case::new(vec![
        auto(falling_back("x", &["good"])),
        auto(extension("alone")),
        auto(Extension {
            routing_rules: rules(ACME),
            ..falling_back("acme_only", &["good"])
        }),
        extension("good"),
    ]);
    assert_eq!(case.explained("x", "{}"), "good/v1<x fallback");
    assert_eq!(case.chosen("x", "{}", Some("v1"), true), "AutoDisabled");
    assert_eq!(case.explained("alone", "{}"), "AutoDisabled");
    assert_eq!(
        case.explained("acme_only", ACME),
        "good/v1<acme_only fallback"
    );
    let not_for_all = case.explained("acme_only", "{}");
    assert_eq!(
        not_for_all, "AutoDisabled",
        "a fallback serves nobody it was not meant for"
    );
    case.open("good", "v1");
    assert_eq!(case.explained("x", "{}"), "AutoDisabled");
}

#[test]
fn an_ailing_fallback_serves_as_it_is_and_an_ailing_canary_leads_past_an_open_current_version() {
    let canary = Extension {
        fallback: [ExtensionId::parse("good").unwrap()].into(),
        ..with_canary()
    };
    let case = Case::new(vec![canary, extension("good")]);
    case.open("x", "v2");
    case.open("x", "v1");
    case.calls("good", "v1", "-+-+-");
    assert_eq!(case.explained("x", ACME), "good/v1<x fallback");
}

#[test]
fn an_ailing_canary_serves_rather_than_nothing() {
    let canary = Extension {
        fallback: [ExtensionId::parse("good").unwrap()].into(),
        ..with_canary()
    };
    let case = Case::new(vec![canary, extension("good")]);
    case.calls("x", "v2", "-+-+-");
    case.open("x", "v1");
    assert_eq!(case.explained("x", ACME), "good/v1<x fallback");
    case.open("good", "v1");
    assert_eq!(case.explained("x", ACME), "x/v2 targeting_match");
    assert_eq!(case.explained("x", "{}"), "x/v1 circuit_open");
    case.calls("x", "v2", "--");
    assert_eq!(
        case.explained("x", ACME),
        "x/v1 circuit_open",
        "three in a row"
    );
}

#[test]
fn a_fallback_whose_canary_is_open_serves_with_its_current_version() {
    let standby = Extension {
        id: ExtensionId::parse("standby").unwrap(),
        ..with_canary()
    };
    let case = Case::new(vec![
        falling_back("x", &["standby", "next"]),
        standby,
        extension("next"),
    ]);
    case.open("x", "v1");
    assert_eq!(case.explained("x", ACME), "standby/v2<x fallback");
    case.open("standby", "v2");
    assert_eq!(case.explained("x", ACME), "standby/v1<x fallback");
    case.open("standby", "v1");
    assert_eq!(case.explained("x", ACME), "next/v1<x fallback");
}

#[test]
fn without_health_based_routing_nobody_is_led_around() {
    let auto_off = Extension {
        auto_disabled: true,
        ..falling_back("auto_off", &["good"])
    };
    let open = falling_back("open", &["good"]);
    let case = Case::routing(
        false,
        vec![with_canary(), auto_off, open, extension("good")],
    );
    case.open("x", "v2");
    case.open("open", "v1");
    assert_eq!(case.explained("x", ACME), "x/v2 circuit_open");
    assert_eq!(case.explained("open", "{}"), "open/v1 circuit_open");
    assert_eq!(case.explained("auto_off", "{}"), "AutoDisabled");
}
