//! The choice of a version: the contract's section 4, steps 1 to 5, rule by rule.

use super::*;
use crate::domain::extension::Version;
use crate::domain::rollout::Rollout;
use crate::domain::testing::{context, entry, extension, prepare, rollout, rules, version};

/// Which version serves a request with this context.
fn chosen(extension: &Extension, given: &str) -> Result<String, Refusal> {
    let entry = entry(extension.clone());
    let context = context(given);
    let chosen = entry.choose(&context)?;
    Ok(String::from_utf8(chosen.reply.bytes.to_vec()).unwrap())
}

#[track_caller]
fn check(versions: &[Version], given: &str, expected: &str) {
    let mut extension = extension("x");
    extension.versions = versions.to_vec();
    assert_eq!(
        chosen(&extension, given).as_deref(),
        Ok(expected),
        "{given}"
    );
}

fn with_rules(name: &str, json: &str) -> Version {
    Version {
        routing_rules: rules(json),
        ..version(name)
    }
}

fn with_rollout(name: &str, percent: u32) -> Version {
    Version {
        rollout: rollout(percent),
        ..version(name)
    }
}

fn priority(priority: i32, version: Version) -> Version {
    Version {
        priority,
        ..version
    }
}

fn disabled(version: Version) -> Version {
    Version {
        enabled: false,
        ..version
    }
}

const ACME: &str = r#"{"tenant_id":"acme"}"#;
const OTHER: &str = r#"{"tenant_id":"other"}"#;

#[test]
fn a_canary_for_one_tenant_never_leaks() {
    let canary = [with_rules("v2", ACME)];
    check(&canary, ACME, "v2");
    for elsewhere in [OTHER, "{}", r#"{"tenant_id":null}"#, r#"{"tenant":"acme"}"#] {
        check(&canary, elsewhere, "v1");
    }
}

#[test]
fn every_key_must_match_and_a_list_matches_any_of_its_values() {
    let two_keys = [with_rules(
        "v2",
        r#"{"tenant_id":["acme","beta"],"environment":"prod"}"#,
    )];
    check(
        &two_keys,
        r#"{"tenant_id":"beta","environment":"prod"}"#,
        "v2",
    );
    check(
        &two_keys,
        r#"{"tenant_id":"acme","environment":"dev"}"#,
        "v1",
    );
    check(
        &two_keys,
        r#"{"tenant_id":"gamma","environment":"prod"}"#,
        "v1",
    );
    check(&two_keys, ACME, "v1");
}

#[test]
fn among_targeted_versions_priority_then_keys_then_age_decide() {
    let wide = with_rules("v9", ACME);
    let narrow = with_rules("v2", r#"{"tenant_id":"acme","environment":"prod"}"#);
    let both = r#"{"tenant_id":"acme","environment":"prod"}"#;
    check(&[wide.clone(), narrow.clone()], both, "v2");
    check(&[priority(1, wide.clone()), narrow.clone()], both, "v9");
    check(&[priority(-1, wide.clone()), narrow], ACME, "v9");
    check(&[wide.clone(), with_rules("v10", ACME)], ACME, "v10");
    check(&[with_rules("v10", ACME), wide], ACME, "v10");
}

#[test]
fn a_rollout_goes_after_rules_and_before_plain_versions() {
    let all = [
        with_rollout("v2", 100),
        with_rules("v3", ACME),
        version("v4"),
    ];
    check(&all, ACME, "v3");
    check(&all, OTHER, "v2");
    check(&all, "{}", "v4");
    check(&[with_rollout("v2", 0)], ACME, "v1");
    check(
        &[with_rollout("v9", 100), with_rollout("v10", 100)],
        ACME,
        "v10",
    );
    check(
        &[
            priority(1, with_rollout("v9", 100)),
            with_rollout("v10", 100),
        ],
        ACME,
        "v9",
    );
    // Rules and a rollout: both must let the request in.
    let gated = Version {
        rollout: rollout(0),
        ..with_rules("v2", ACME)
    };
    check(&[gated], ACME, "v1");
}

#[test]
fn among_plain_versions_the_newest_serves_and_the_current_wins_a_tie() {
    check(&[version("v9"), version("v10"), version("v0")], "{}", "v10");
    check(&[priority(5, version("v2")), version("v3")], "{}", "v3");
    check(&[version("v01"), version("v001")], "{}", "v1");
    check(&[version("v0")], "{}", "v1");
    check(&[disabled(version("v2"))], "{}", "v1");
}

#[test]
fn an_empty_rules_object_is_no_rules() {
    let empty = priority(9, with_rules("v2", "{}"));
    check(&[empty.clone(), with_rules("v1-b", ACME)], ACME, "v1-b");
    check(&[empty.clone(), with_rollout("v1-b", 100)], ACME, "v1-b");
    check(&[empty], ACME, "v2");
}

#[test]
fn a_row_naming_the_current_version_counts_for_rules_rollout_and_enabled_only() {
    let row = Version {
        timeout_ms: Some(1),
        retry: Some(9),
        ..priority(100, with_rules("v1", ACME))
    };
    // Its priority does not count: the narrower rules of v2 win.
    let narrow = with_rules("v2", r#"{"tenant_id":"acme","environment":"prod"}"#);
    let both = r#"{"tenant_id":"acme","environment":"prod"}"#;
    check(&[row.clone(), narrow], both, "v2");
    check(&[row.clone(), version("v0")], ACME, "v1");
    check(&[row.clone(), version("v0")], OTHER, "v0");
    check(&[disabled(version("v1")), version("v0")], ACME, "v0");
    check(&[with_rollout("v1", 0), version("v0")], ACME, "v0");

    let mut own = extension("x");
    own.versions = vec![row];
    let entry = entry(own.clone());
    let current = entry.candidates().next().unwrap().resolve(&own);
    assert_eq!(
        (current.timeout_ms, current.retry),
        (own.timeout_ms, own.retry)
    );
    assert_eq!(current.subject, &own.subject);

    // The extension's own rules and the row's must both match.
    own.routing_rules = rules(r#"{"environment":"prod"}"#);
    assert_eq!(chosen(&own, both).as_deref(), Ok("v1"));
    assert_eq!(chosen(&own, ACME), Err(Refusal::NotTargeted));
}

#[test]
fn without_a_version_that_takes_part_nothing_serves() {
    let mut extension = extension("x");
    extension.routing_rules = rules(ACME);
    assert_eq!(chosen(&extension, ACME).as_deref(), Ok("v1"));
    assert_eq!(chosen(&extension, OTHER), Err(Refusal::NotTargeted));
    extension.routing_rules = None;
    extension.versions = vec![disabled(version("v1")), disabled(version("v2"))];
    assert_eq!(chosen(&extension, ACME), Err(Refusal::NotTargeted));
}

#[test]
fn the_kill_switch_reaches_every_version() {
    let mut extension = extension("x");
    extension.versions = vec![with_rules("v2", ACME), version("v3")];
    for (enabled, auto_disabled, refusal) in [
        (false, false, Refusal::Disabled),
        (false, true, Refusal::Disabled),
        (true, true, Refusal::AutoDisabled),
    ] {
        (extension.enabled, extension.auto_disabled) = (enabled, auto_disabled);
        assert_eq!(chosen(&extension, ACME), Err(refusal));
        for name in ["v1", "v2", "v3", "v4"] {
            let name = VersionName::parse(name).unwrap();
            let entry = entry(extension.clone());
            assert_eq!(entry.choose_version(&name).err(), Some(refusal));
        }
    }
}

#[test]
fn a_version_asked_for_by_name_needs_only_to_be_enabled() {
    let mut extension = extension("x");
    extension.versions = vec![
        with_rules("v2", ACME),
        disabled(version("v3")),
        version("v4"),
    ];
    let entry = entry(extension);
    for (name, expected) in [
        ("v1", Ok("v1")),
        ("v2", Ok("v2")),
        ("v3", Err(Refusal::VersionNotFound)),
        ("v4", Ok("v4")),
        ("v5", Err(Refusal::VersionNotFound)),
    ] {
        let name = VersionName::parse(name).unwrap();
        let chosen = entry
            .choose_version(&name)
            .map(|chosen| &chosen.reply.bytes[..]);
        assert_eq!(chosen, expected.map(str::as_bytes), "{name}");
    }
    assert_eq!(&entry.current().unwrap().reply.bytes[..], b"v1");
}

#[test]
fn what_a_version_leaves_out_is_the_extensions_own() {
    let mut extension = extension("x");
    extension.config = crate::domain::json::JsonObject::parse(r#"{"a":1}"#).unwrap();
    (extension.timeout_ms, extension.retry) = (700, 3);
    let own = Version {
        retry: Some(0),
        config: Some(Default::default()),
        ..version("v2")
    };
    extension.versions = vec![own];
    let entry = Entry::new(extension.clone(), &prepare);
    let resolved = entry
        .choose(&Context::default())
        .unwrap()
        .candidate
        .resolve(&extension);
    assert_eq!(resolved.version.as_str(), "v2");
    assert_eq!((resolved.timeout_ms, resolved.retry), (700, 0));
    assert_eq!(
        resolved.config.as_str(),
        "{}",
        "an empty object is a value of its own"
    );
    assert_eq!(resolved.subject.as_str(), "beamline.ext.version");
}

#[test]
fn the_first_plain_version_is_the_last_that_some_context_could_choose() {
    let mut extension = extension("x");
    extension.versions = vec![
        with_rules("v5", ACME),
        with_rollout("v4", 0),
        with_rollout("v3", 10),
        disabled(version("v2")),
        version("v0"),
    ];
    let entry = entry(extension);
    let names = entry.taking_part().map(|(candidate, takes_part)| {
        let version = candidate.resolve(entry.extension()).version;
        (version.as_str(), takes_part)
    });
    let expected = [
        ("v5", true),
        ("v4", false),
        ("v3", true),
        ("v2", false),
        ("v1", true),
        ("v0", false),
    ];
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn one_reply_is_ready_where_nothing_in_a_request_makes_a_difference() {
    let ready = |extension: &Extension| {
        let entry = entry(extension.clone());
        entry.unconditional().map(|reply| reply.bytes.to_vec())
    };
    let mut alone = extension("x");
    assert_eq!(ready(&alone).unwrap(), b"v1");
    alone.versions = vec![with_rules("v2", ACME)];
    assert_eq!(ready(&alone), None);
    alone.versions = vec![version("v0")];
    assert!(ready(&alone).is_some());
    alone.enabled = false;
    assert_eq!(ready(&alone), None);
}

#[test]
fn only_a_share_that_serves_beside_the_current_version_can_be_given_up() {
    let halting = |name: &str, percent: u32| Version {
        rollout: Rollout::parse(&format!(
            r#"{{"by":"tenant_id","percent":{percent},"halt":{{}}}}"#
        ))
        .ok()
        .map(Box::new),
        ..version(name)
    };
    for (row, halts) in [
        (halting("v2", 10), true),
        (halting("v2", 0), false),
        (disabled(halting("v2", 10)), false),
        (with_rollout("v2", 10), false),
        (halting("v1", 10), false),
    ] {
        let mut extension = extension("x");
        let name = row.version.clone();
        extension.versions = vec![row.clone()];
        let entry = entry(extension);
        assert_eq!(entry.halt(&name).is_some(), halts, "{row:?}");
        assert!(entry.halts() || !halts, "{row:?}");
    }
    assert!(!entry(extension("x")).halts());
}

#[test]
fn a_reply_names_the_state_of_the_circuit_in_its_place() {
    let reply = PreparedReply {
        bytes: Bytes::from_static(br#"{"state":"closed","id":"x"}"#),
        state_at: 10,
    };
    assert_eq!(reply.in_state(CircuitState::Closed), reply.bytes);
    let open = reply.in_state(CircuitState::Open);
    assert_eq!(open, br#"{"state":"open","id":"x"}"#.as_slice());
}
