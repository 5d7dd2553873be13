//! Lookups: which version of an extension serves this request, answered from memory.
//!
//! Synchronous on purpose: between receipt and reply nothing is awaited, locked or built, as long
//! as the circuits of the extension are quiet.

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;

use super::circuits::Turns;
use super::error::{NotFoundReason, RegistryError};
use super::meter::LookupMeter;
use super::selection::{Selector, Target, Wanted};
use crate::domain::catalog::Consistent;
use crate::domain::context::Context;
use crate::domain::entry::{Entry, Refusal};
use crate::domain::ids::VersionName;

/// Bytes of memory that are fetched together.
const CACHE_LINE: usize = 64;
/// The most ids that one request may ask for.
pub const MAX_IDS: usize = 100;

/// Answers lookups.
#[derive(Debug)]
pub struct Lookups {
    selector: Arc<Selector>,
    /// The results of lookups.
    pub meter: LookupMeter,
}

/// The answer to a lookup of many ids, all of one revision.
#[derive(Debug)]
pub struct Many<'a> {
    /// The ids that are served and their replies, in the order asked for.
    pub found: Vec<(&'a str, Bytes)>,
    /// The other ids and why they are not.
    pub errors: Vec<(&'a str, RegistryError)>,
    /// The catalog's revision.
    pub revision: u64,
}

impl Lookups {
    /// Lookups that choose as `selector` does.
    pub fn new(selector: Arc<Selector>) -> Self {
        Self {
            selector,
            meter: LookupMeter::default(),
        }
    }

    /// The catalog's revision. Read before a lookup, it is never ahead of what the lookup sees.
    pub fn revision(&self) -> u64 {
        self.selector.catalog().revision()
    }

    /// Hands the reply for one id to `answer`, where it is the same for every request. False where
    /// it is not, or `answer` does not take it: nothing is counted, and [`one`](Self::one) has to
    /// look closer.
    pub fn at_once(&self, id: &str, answer: impl FnOnce(&[u8]) -> bool) -> bool {
        let answered = self.selector.is_quiet(id)
            && self.selector.catalog().unconditional(id, answer) == Some(true);
        if answered {
            self.meter.hits.add(1);
        }
        answered
    }

    /// Has the memory fetched that the replies for `ids` are in, which will be needed in a moment.
    pub fn fetch<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        self.selector.catalog().unconditionals(ids, |body| {
            // One byte of each cache line: these loads wait for nothing, not even for each other.
            let fetched = body.iter().step_by(CACHE_LINE);
            black_box(fetched.fold(0, |sum, byte| sum ^ *byte));
        });
    }

    /// The reply for one id.
    pub fn one(
        &self,
        id: &str,
        version: Option<&str>,
        mut context: Context,
    ) -> Result<Bytes, RegistryError> {
        let catalog = self.selector.catalog();
        let entry = catalog.get(id);
        if entry.as_deref().is_some_and(Entry::needs_context) {
            self.selector.complete(&mut context);
        }
        self.answer(id, entry.as_ref(), version, &context, |id| catalog.get(id))
    }

    /// The replies for many ids, all of one revision.
    pub fn many<'a>(&self, ids: &[&'a str], context: &Context) -> Many<'a> {
        let mut context = context.clone();
        self.selector.complete(&mut context);
        let catalog = self.selector.catalog();
        let mut asked = Cow::Borrowed(ids);
        let mut consistent = catalog.get_many(&asked);
        let standby = self.standbys(&consistent);
        if !standby.is_empty() {
            // A fallback has to be of the same revision, too.
            asked.to_mut().extend(standby.iter().map(String::as_str));
            consistent = catalog.get_many(&asked);
        }
        let find = |id: &str| {
            let mut entries = asked.iter().zip(&consistent.entries);
            entries.find_map(|(known, entry)| entry.clone().filter(|_| *known == id))
        };
        let mut many = Many {
            found: Vec::new(),
            errors: Vec::new(),
            revision: consistent.revision,
        };
        for (id, entry) in ids.iter().zip(&consistent.entries) {
            match self.answer(id, entry.as_ref(), None, &context, find) {
                Ok(reply) => many.found.push((id, reply)),
                Err(error) => many.errors.push((id, error)),
            }
        }
        many
    }

    /// The fallbacks that the entries name, if any may be needed.
    fn standbys(&self, consistent: &Consistent) -> Vec<String> {
        let entries = consistent.entries.iter().flatten();
        entries
            .map(|entry| entry.extension())
            .filter(|it| it.auto_disabled || !self.selector.is_quiet(it.id.as_str()))
            .flat_map(|extension| &extension.fallback)
            .map(|id| id.as_str().to_owned())
            .collect()
    }

    fn answer(
        &self,
        id: &str,
        entry: Option<&Arc<Entry>>,
        version: Option<&str>,
        context: &Context,
        find: impl Fn(&str) -> Option<Arc<Entry>>,
    ) -> Result<Bytes, RegistryError> {
        let Some(entry) = entry else {
            return Err(self.absent(id));
        };
        let named = named(version)?;
        let wanted = Wanted {
            version: named.as_ref(),
            context,
            turns: Some(Turns::Lookups),
        };
        match self.selector.select(entry, wanted, find) {
            Ok(target) => {
                self.meter.hits.add(1);
                Ok(self.reply(&target))
            }
            Err(refusal) => {
                self.meter.refused.add(1);
                Err(refused(id, version, refusal))
            }
        }
    }

    /// The prepared reply, with the state that the circuit has.
    fn reply(&self, target: &Target) -> Bytes {
        let resolved = target.resolved();
        if self.selector.is_quiet(resolved.extension.id.as_str()) {
            return target.reply.bytes.clone();
        }
        let state = self.selector.state(resolved.extension, resolved.version);
        target.reply.in_state(state)
    }

    fn absent(&self, id: &str) -> RegistryError {
        let error = self.selector.absent(id);
        if let RegistryError::ExtensionNotFound { reason, .. } = &error {
            match reason {
                NotFoundReason::Unknown => self.meter.misses.add(1),
                _ => self.meter.refused.add(1),
            }
        }
        error
    }
}

/// The version that a request names, where it names one.
///
/// # Errors
/// It is no version's name.
pub fn named(version: Option<&str>) -> Result<Option<VersionName>, RegistryError> {
    let named = version.map(VersionName::parse).transpose();
    named.map_err(|rule| RegistryError::field("version", rule))
}

/// The error for a request that an existing extension does not serve.
pub fn refused(id: &str, version: Option<&str>, refusal: Refusal) -> RegistryError {
    let reason = match refusal {
        Refusal::Disabled => NotFoundReason::Disabled,
        Refusal::AutoDisabled => NotFoundReason::AutoDisabled,
        Refusal::NotTargeted => NotFoundReason::NotTargeted,
        Refusal::VersionNotFound => {
            return RegistryError::VersionNotFound {
                id: id.to_owned(),
                version: version.unwrap_or_default().to_owned(),
                serving: true,
            };
        }
    };
    RegistryError::ExtensionNotFound {
        id: id.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::{Catalog, Change};
    use crate::domain::extension::{Extension, Version};
    use crate::domain::ids::ExtensionId;
    use crate::domain::quarantine::Quarantine;
    use crate::domain::testing::{change, context, entry, extension, fault, rules, version};
    use crate::service::meter::Counter;
    use crate::service::testing::selector;

    /// `plain`, `off`, `auto_off`, a canary for production, `led` to it, one for acme alone, a faulty
    /// one.
    fn lookups(environment: Option<&str>) -> Lookups {
        let (catalog, mut writer) = Catalog::new();
        let canary = Version {
            routing_rules: rules(r#"{"environment":"prod"}"#),
            ..version("v2")
        };
        let upserts = vec![
            entry(extension("plain")),
            entry(Extension {
                enabled: false,
                ..extension("off")
            }),
            entry(Extension {
                auto_disabled: true,
                ..extension("auto_off")
            }),
            entry(Extension {
                versions: vec![canary],
                ..extension("canary")
            }),
            entry(Extension {
                auto_disabled: true,
                fallback: [ExtensionId::parse("canary").unwrap()].into(),
                ..extension("led")
            }),
            entry(Extension {
                routing_rules: rules(r#"{"tenant_id":"acme"}"#),
                ..extension("acme_only")
            }),
        ];
        let quarantine = Quarantine::new([fault("faulty", 1)]);
        writer.apply(Change {
            upserts,
            quarantine,
            ..change(3)
        });
        let environment = environment.map(str::to_owned);
        Lookups::new(Arc::new(selector(catalog, environment)))
    }

    /// The version that serves, or the error's code and details.
    fn outcome(result: Result<Bytes, RegistryError>) -> String {
        match result {
            Ok(reply) => String::from_utf8(reply.to_vec()).unwrap(),
            Err(RegistryError::ExtensionNotFound { reason, .. }) => reason.as_str().into(),
            Err(error) => error.code().into(),
        }
    }

    #[test]
    fn one_id_is_served_or_the_reason_given() {
        let lookups = lookups(None);
        for (id, version, given, expected) in [
            ("plain", None, "{}", "v1"),
            ("plain", Some("v1"), "{}", "v1"),
            ("plain", Some("v2"), "{}", "version_not_found"),
            ("plain", Some("no version"), "{}", "invalid_request"),
            ("off", None, "{}", "disabled"),
            ("off", Some("v1"), "{}", "disabled"),
            ("auto_off", None, "{}", "auto_disabled"),
            ("canary", None, r#"{"environment":"prod"}"#, "v2"),
            ("canary", None, "{}", "v1"),
            ("canary", Some("v2"), "{}", "v2"),
            ("acme_only", None, r#"{"tenant_id":"acme"}"#, "v1"),
            ("acme_only", None, "{}", "not_targeted"),
            ("faulty", None, "{}", "quarantined"),
            ("nobody", None, "{}", "unknown"),
            ("no id", None, "{}", "invalid_request"),
        ] {
            let result = lookups.one(id, version, context(given));
            assert_eq!(outcome(result), expected, "{id} {version:?} {given}");
        }
        let mut at_once = Vec::new();
        for (id, answered) in [
            ("plain", true),
            ("off", false),
            ("canary", false),
            ("nobody", false),
        ] {
            let took = lookups.at_once(id, |reply| {
                at_once.extend_from_slice(reply);
                true
            });
            assert_eq!(took, answered, "{id}");
        }
        assert_eq!(at_once, b"v1");
        assert!(
            !lookups.at_once("plain", |_| false),
            "not taken, not counted"
        );
        let meter = &lookups.meter;
        let counted = [&meter.hits, &meter.misses, &meter.refused];
        assert_eq!(counted.map(Counter::get), [7, 1, 6]);
    }

    #[test]
    fn the_deployments_environment_stands_in_for_a_missing_one() {
        let lookups = lookups(Some("prod"));
        for (given, expected) in [
            ("{}", "v2"),
            (r#"{"environment":null}"#, "v2"),
            (r#"{"environment":"dev"}"#, "v1"),
        ] {
            // Also where it is only a fallback that asks for it.
            for id in ["canary", "led"] {
                let one = lookups.one(id, None, context(given));
                assert_eq!(outcome(one), expected, "{id} {given}");
                let many = lookups.many(&[id], &context(given));
                assert_eq!(many.found, [(id, Bytes::from(expected))], "{id} {given}");
            }
        }
    }

    #[test]
    fn many_ids_are_answered_in_order_each_for_itself() {
        let lookups = lookups(None);
        let ids = ["canary", "off", "no id", "plain", "nobody", "plain"];
        let many = lookups.many(&ids, &context(r#"{"environment":"prod"}"#));
        let found = many.found.iter().map(|(_, reply)| &**reply);
        assert_eq!(found.collect::<Vec<_>>(), [&b"v2"[..], b"v1", b"v1"]);
        let errors: Vec<_> = many
            .errors
            .into_iter()
            .map(|(id, error)| (id, outcome(Err(error))))
            .collect();
        let expected = [
            ("off", "disabled"),
            ("no id", "invalid_request"),
            ("nobody", "unknown"),
        ];
        assert_eq!(
            errors,
            expected.map(|(id, outcome)| (id, outcome.to_owned()))
        );
        assert_eq!((many.revision, lookups.revision()), (3, 3));
    }
}
