//! Stored records, pages and explanations.

use super::*;
use crate::domain::catalog::Catalog;
use crate::domain::catalog::Change;
use crate::domain::extension::{Extension, Version};
use crate::domain::quarantine::Quarantine;
use crate::domain::testing::{change, context, entry, extension, fault, rollout, rules, version};
use crate::service::error::NotFoundReason;
use crate::service::lookup::Lookups;
use crate::service::testing::{selector, tools};

fn reads() -> Reads {
    let (catalog, mut writer) = Catalog::new();
    let disabled = Version {
        enabled: false,
        ..version("v4")
    };
    let canary = Version {
        routing_rules: rules(r#"{"tenant_id":"acme"}"#),
        ..version("v2")
    };
    let share = Version {
        rollout: rollout(100),
        ..version("v3")
    };
    let routed = Extension {
        versions: vec![canary, share, disabled],
        routing_rules: rules(r#"{"environment":"prod"}"#),
        ..extension("routed")
    };
    let off = Extension {
        enabled: false,
        ..extension("off")
    };
    let upserts = vec![entry(routed), entry(off), entry(extension("plain"))];
    let quarantine = Quarantine::new([fault("faulty", 1)]);
    writer.apply(Change {
        upserts,
        quarantine,
        ..change(8)
    });
    let selector = Arc::new(selector(Arc::clone(&catalog), Some("dev".into())));
    Reads::new(selector, tools(catalog).runtimes)
}

#[test]
fn a_stored_record_is_there_enabled_or_not() {
    let reads = reads();
    let (entry, revision) = reads.get("off").unwrap();
    assert!(!entry.extension().enabled);
    assert_eq!(revision, 8);
    for (id, reason) in [
        ("faulty", NotFoundReason::Quarantined),
        ("nobody", NotFoundReason::Unknown),
    ] {
        let expected = RegistryError::ExtensionNotFound {
            id: id.to_owned(),
            reason,
        };
        assert_eq!(reads.get(id).unwrap_err(), expected);
    }
    assert_eq!(reads.get("no id").unwrap_err().code(), "invalid_request");
}

#[test]
fn a_page_has_from_one_to_a_thousand_entries() {
    let reads = reads();
    let request = |limit| PageRequest {
        limit: page_limit(limit),
        ..PageRequest::default()
    };
    let (page, revision) = reads.list(&request(None));
    assert_eq!((page.entries.len(), page.total, revision), (3, 3, 8));
    let (first, _) = reads.list(&request(Some(1)));
    assert!(first.more);
    let extension = first.entries[0].extension();
    let rest = PageRequest {
        after: Some((extension.kind, extension.id.clone())),
        ..request(Some(1000))
    };
    let (rest, _) = reads.list(&rest);
    assert_eq!((rest.entries.len(), rest.total, rest.more), (2, 3, false));
}

#[test]
fn an_explanation_makes_the_choice_of_a_lookup_and_says_why() {
    let reads = reads();
    for (id, version, given, chosen, reason) in [
        (
            "routed",
            None,
            r#"{"tenant_id":"acme"}"#,
            Some("v2"),
            "targeting_match",
        ),
        (
            "routed",
            None,
            r#"{"environment":"prod"}"#,
            Some("v1"),
            "targeting_match",
        ),
        (
            "routed",
            None,
            r#"{"tenant_id":"b"}"#,
            Some("v3"),
            "rollout",
        ),
        ("routed", None, "{}", None, "not_targeted"),
        ("routed", Some("v2"), "{}", Some("v2"), "default"),
        ("plain", None, "{}", Some("v1"), "default"),
        ("off", None, "{}", None, "disabled"),
        ("off", Some("v1"), "{}", None, "disabled"),
    ] {
        let explanation = reads.explain(id, version, context(given)).unwrap();
        let name = explanation
            .target
            .as_ref()
            .map(|target| target.resolved().version.as_str());
        assert_eq!(
            (name, explanation.reason.as_str()),
            (chosen, reason),
            "{id} {given}"
        );
        assert_eq!(explanation.revision, 8);

        let looked_up = Lookups::new(Arc::clone(&reads.selector)).one(id, version, context(given));
        assert_eq!(looked_up.ok().as_deref(), chosen.map(str::as_bytes));
    }
}

#[test]
fn an_explanation_has_a_verdict_for_every_candidate() {
    let reads = reads();
    let explanation = reads.explain("routed", None, context("{}")).unwrap();
    let verdicts = explanation.verdicts();
    let took_part: Vec<_> = verdicts.iter().map(|verdict| verdict.takes_part).collect();
    assert_eq!(took_part, [false; 4]);
    let rules: Vec<_> = verdicts.iter().flat_map(|verdict| &verdict.rules).collect();
    assert_eq!(rules, [&("tenant_id", false), &("environment", false)]);
    assert_eq!(
        explanation
            .context
            .get("environment")
            .map(ToString::to_string)
            .as_deref(),
        Some("dev"),
        "the deployment's own"
    );
}

#[test]
fn what_cannot_be_explained_is_an_error() {
    let reads = reads();
    for (id, version, code) in [
        ("nobody", None, "extension_not_found"),
        ("routed", Some("v4"), "version_not_found"),
        ("routed", Some("v5"), "version_not_found"),
        ("routed", Some("*"), "invalid_request"),
    ] {
        let error = reads.explain(id, version, context("{}")).unwrap_err();
        assert_eq!(error.code(), code, "{id} {version:?}");
    }
}
