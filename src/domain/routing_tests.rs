//! The choice of a version against a naive model of the contract's section 4, steps 1 to 5.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::domain::entry::Refusal;
use crate::domain::extension::Instance;
use crate::domain::testing::{context, entry, extension, instance, rollout, rules, version};

#[test]
fn a_version_has_its_own_instances_that_serve() {
    let named = |name: &str, version: &str| Instance {
        version: VersionName::parse(version).unwrap(),
        ..instance(name)
    };
    let mut extension = extension("x");
    extension.versions = vec![version("v2")];
    extension.instances = vec![
        named("a", "v1"),
        named("b", "v2"),
        Instance {
            weight: 0,
            ..named("drained", "v2")
        },
        Instance {
            enabled: false,
            ..named("off", "v2")
        },
    ];
    let served = candidates(&extension)
        .iter()
        .map(|candidate| {
            let resolved = candidate.resolve(&extension);
            let instances = resolved
                .instances()
                .map(|instance| instance.instance_id.as_str());
            (resolved.version.as_str(), instances.collect::<Vec<_>>())
        })
        .collect::<Vec<_>>();
    assert_eq!(served, [("v2", vec!["b"]), ("v1", vec!["a"])]);
}

/// Section 4 read aloud: no order prepared, no ranks, each step a filter.
fn model(extension: &Extension, context: &Context) -> Result<VersionName, Refusal> {
    struct Part<'a> {
        name: &'a VersionName,
        rules: Vec<&'a Rules>,
        rollouts: Vec<&'a Rollout>,
        priority: i32,
        current: bool,
    }
    if !extension.enabled {
        return Err(Refusal::Disabled);
    }
    if extension.auto_disabled {
        return Err(Refusal::AutoDisabled);
    }
    let row = extension
        .versions
        .iter()
        .find(|row| row.version == extension.version);
    let mut parts = Vec::new();
    if row.is_none_or(|row| row.enabled) {
        parts.push(Part {
            name: &extension.version,
            rules: extension
                .routing_rules
                .as_deref()
                .into_iter()
                .chain(row.and_then(|r| r.routing_rules.as_deref()))
                .collect(),
            rollouts: extension
                .rollout
                .as_deref()
                .into_iter()
                .chain(row.and_then(|r| r.rollout.as_deref()))
                .collect(),
            priority: 0,
            current: true,
        });
    }
    for row in &extension.versions {
        if row.version != extension.version && row.enabled {
            parts.push(Part {
                name: &row.version,
                rules: row.routing_rules.as_deref().into_iter().collect(),
                rollouts: row.rollout.as_deref().into_iter().collect(),
                priority: row.priority,
                current: false,
            });
        }
    }
    for part in &mut parts {
        part.rules.retain(|rules| rules.source().as_str() != "{}");
    }
    parts.retain(|part| {
        part.rules.iter().all(|rules| rules.verdicts(context).all(|(_, matched)| matched))
            && part.rollouts.iter().all(|rollout| {
                matches!(rollout.bucket(extension.id.as_str(), context), Some(b) if rollout.admits(b))
            })
    });

    let keys = |part: &Part<'_>| part.rules.iter().map(|rules| rules.keys()).sum::<usize>();
    let newest =
        |a: &Part<'_>, b: &Part<'_>| version_order::compare(a.name.as_str(), b.name.as_str());
    let best = |tier: Vec<&Part<'_>>, better: &dyn Fn(&Part<'_>, &Part<'_>) -> Ordering| {
        let found = tier
            .into_iter()
            .max_by(|a, b| better(a, b).then(a.current.cmp(&b.current)));
        found.map(|part| part.name.clone())
    };
    let targeted = parts.iter().filter(|part| !part.rules.is_empty()).collect();
    let rolled = parts
        .iter()
        .filter(|part| part.rules.is_empty() && !part.rollouts.is_empty());
    let plain = parts
        .iter()
        .filter(|part| part.rules.is_empty() && part.rollouts.is_empty());
    best(targeted, &|a, b| {
        a.priority
            .cmp(&b.priority)
            .then(keys(a).cmp(&keys(b)))
            .then(newest(a, b))
    })
    .or_else(|| {
        best(rolled.collect(), &|a, b| {
            a.priority.cmp(&b.priority).then(newest(a, b))
        })
    })
    .or_else(|| best(plain.collect(), &newest))
    .ok_or(Refusal::NotTargeted)
}

fn any_rules() -> impl Strategy<Value = Option<Box<Rules>>> {
    let written = prop::sample::select(vec![
        None,
        Some("{}"),
        Some(r#"{"tenant_id":"t1"}"#),
        Some(r#"{"tenant_id":["t1","t2"]}"#),
        Some(r#"{"tenant_id":"t2","beta":true}"#),
        Some(r#"{"tier":1}"#),
    ]);
    written.prop_map(|json| json.and_then(rules))
}

fn any_rollout() -> impl Strategy<Value = Option<Box<Rollout>>> {
    prop::sample::select(vec![None, None, Some(0), Some(50), Some(100)])
        .prop_map(|percent| percent.and_then(rollout))
}

fn any_version(name: &'static str) -> impl Strategy<Value = Version> {
    (any_rules(), any_rollout(), -1..2, prop::bool::weighted(0.8)).prop_map(
        move |(routing_rules, rollout, priority, enabled)| Version {
            routing_rules,
            rollout,
            priority,
            enabled,
            ..version(name)
        },
    )
}

fn any_extension() -> impl Strategy<Value = Extension> {
    let versions = prop::sample::subsequence(vec!["v0", "v1", "v2", "v9", "v10"], 0..=5)
        .prop_flat_map(|names| names.into_iter().map(any_version).collect::<Vec<_>>());
    (
        versions,
        any_rules(),
        any_rollout(),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(versions, routing_rules, rollout, enabled)| Extension {
            versions,
            routing_rules,
            rollout,
            enabled,
            ..extension("x")
        })
}

fn any_context() -> impl Strategy<Value = Context> {
    prop::sample::select(vec![
        "{}",
        r#"{"tenant_id":"t1"}"#,
        r#"{"tenant_id":"t2","beta":true}"#,
        r#"{"tenant_id":"t3","tier":1.0}"#,
        r#"{"tenant_id":"t1","beta":true,"tier":1}"#,
    ])
    .prop_map(context)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_choice_is_the_contracts(extension in any_extension(), context in any_context()) {
        let entry = entry(extension.clone());
        let chosen = entry.choose(&context).map(|chosen| chosen.candidate.resolve(&extension).version.clone());
        prop_assert_eq!(chosen, model(&extension, &context));
        if !entry.needs_context() {
            let without = entry.choose(&Context::default()).map(|chosen| chosen.reply.bytes.clone());
            prop_assert_eq!(entry.choose(&context).map(|chosen| chosen.reply.bytes.clone()), without);
        }
    }

    #[test]
    fn a_verdict_is_the_decision_with_its_reasons(extension in any_extension(), context in any_context()) {
        for candidate in entry(extension.clone()).candidates() {
            let verdict = candidate.verdict(&extension, &context);
            let let_in = verdict.rules.iter().all(|(_, matched)| *matched)
                && verdict.rollouts.iter().all(|(_, admitted)| *admitted);
            prop_assert_eq!(verdict.takes_part, candidate.enabled() && let_in);
            prop_assert_eq!(verdict.takes_part, candidate.takes_part(&extension, &context));
        }
    }
}
