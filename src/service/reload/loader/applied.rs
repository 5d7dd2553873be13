//! What was read, made visible and reported.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Loaded, Loader};
use crate::domain::catalog::{ActiveSource, Catalog, Change, Counts};
use crate::domain::entry::Entry;
use crate::domain::record;
use crate::service::boundary::survived_now;
use crate::service::health_store::MAX_CHANGES;
use crate::service::observe::{Changed, Load, Observation, Trigger};

/// The most faults of one load that are reported one by one, and the most warnings.
const MAX_TOLD: usize = 100;

/// What a load did.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) counts: Counts,
    changed: Changed,
    /// Whether it is worth reporting: something changed, or the source did.
    pub(super) news: bool,
    /// The source before, if it changed.
    from: Option<ActiveSource>,
    pub(super) duration: Duration,
}

impl Applied {
    /// Both, one after the other.
    pub(super) fn and(self, then: Self) -> Self {
        Self {
            counts: Counts {
                added: self.counts.added + then.counts.added,
                updated: self.counts.updated + then.counts.updated,
                removed: self.counts.removed + then.counts.removed,
            },
            changed: match then.changed.ids.is_empty() {
                true => self.changed,
                false => then.changed,
            },
            news: self.news || then.news,
            from: self.from.or(then.from),
            duration: then.duration,
        }
    }
}

impl<D, F> Loader<D, F> {
    pub(super) fn observe(&self, observation: &Observation) {
        self.parts.observers.observe(observation);
    }

    pub(super) fn nothing_new(&self, started: Instant) -> Applied {
        let duration = started.elapsed();
        self.parts.status.applied(false, duration, false);
        Applied {
            duration,
            ..Applied::default()
        }
    }

    pub(super) fn apply(&mut self, change: Change, started: Instant) -> Applied {
        let catalog = Arc::clone(self.parts.writer.catalog());
        let (before, known_faults) = (catalog.head(), catalog.quarantine());
        let fixtures = change.source == ActiveSource::Fixtures;
        let upserts = change.upserts.iter();
        let mut more = upserts.flat_map(|entry| warnings(&catalog, entry));
        let warnings: Vec<_> = more.by_ref().take(MAX_TOLD).collect();
        let more = more.count();
        let changed = changed(&change);
        let counts = self.parts.writer.apply(change);
        let head = catalog.head();
        survived_now(&self.parts.observers, || (self.parts.applied)());
        // Then: who waits for the revision must not come before what follows from it.
        self.parts.progress.announce(head.revision);

        for warning in &warnings {
            self.observe(warning);
        }
        if more > 0 {
            self.observe(&Observation::MoreNotServed(more));
        }
        let quarantine = catalog.quarantine();
        let faults = quarantine.faults();
        let mut news = faults.filter(|fault| !known_faults.knows(fault));
        for fault in news.by_ref().take(MAX_TOLD) {
            let (origin, reason) = (fault.origin.clone(), fault.reason.clone());
            self.observe(&Observation::Quarantined { origin, reason });
        }
        let untold = news.count();
        if untold > 0 {
            self.observe(&Observation::Quarantined {
                origin: format!("and {untold} more"),
                reason: "too many at once to name each".to_owned(),
            });
        }
        let news = !counts.is_empty()
            || before.source != head.source
            || before.epoch != head.epoch
            || known_faults != quarantine;
        let duration = started.elapsed();
        self.parts.status.applied(news, duration, fixtures);
        let moved = before.source != ActiveSource::None && before.source != head.source;
        Applied {
            counts,
            changed,
            news,
            from: moved.then_some(before.source),
            duration,
        }
    }

    pub(super) fn tell(&self, trigger: Trigger, result: &Loaded, duration: Duration) {
        match result {
            Ok(applied) => {
                self.tell_success(trigger, applied, duration);
                self.parts.progress.loaded();
            }
            Err(error) => {
                self.parts.status.load_failed(&error.outside());
                self.observe(&Observation::LoadFailed {
                    trigger,
                    error: error.clone(),
                });
            }
        }
    }

    pub(super) fn tell_success(&self, trigger: Trigger, applied: &Applied, duration: Duration) {
        if !applied.news {
            self.observe(&Observation::Unchanged(duration));
            return;
        }
        let catalog = self.parts.writer.catalog();
        let (head, (total, enabled)) = (catalog.head(), catalog.sizes());
        if let Some(from) = applied.from {
            self.observe(&Observation::SourceChanged {
                from,
                to: head.source,
            });
        }
        self.observe(&Observation::Loaded(Load {
            trigger,
            source: head.source,
            counts: applied.counts,
            changed: applied.changed.clone(),
            revision: head.revision,
            total,
            enabled,
            quarantined: catalog.quarantine().faults().len(),
            duration,
        }));
    }
}

/// Which extensions a change touches, and its actor: that is known if something is left, and all of
/// it was last changed by the same actor.
fn changed(change: &Change) -> Changed {
    let upserts = change.upserts.iter().map(|entry| entry.extension());
    let ids = upserts.clone().map(|extension| &extension.id);
    let ids = ids.chain(&change.removals).take(MAX_CHANGES);
    let mut actors = upserts.map(|extension| extension.provenance.updated_by.as_deref());
    let by = actors.next().flatten();
    Changed {
        ids: ids.cloned().collect(),
        by: by
            .filter(|by| actors.all(|it| it == Some(by)))
            .map(Box::from),
    }
}

/// What an entry has that is not served as written, reported once for as long as it stays so.
fn warnings(catalog: &Catalog, entry: &Entry) -> Vec<Observation> {
    let extension = entry.extension();
    let id = || extension.id.clone();
    let cuts = extension
        .all_cuts()
        .map(|what| Observation::Cut { id: id(), what });
    let ignored = record::ignored(extension).into_iter();
    let ignored = ignored.map(|what| Observation::Ignored { id: id(), what });
    let mut warnings: Vec<_> = cuts.chain(ignored).collect();
    // Nearly always there is nothing to look up.
    if let Some(old) = catalog.get(&extension.id).filter(|_| !warnings.is_empty()) {
        let known = record::warnings(old.extension());
        warnings.retain(|warning| match warning {
            Observation::Cut { what, .. } | Observation::Ignored { what, .. } => {
                !known.contains(what)
            }
            _ => true,
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::extension::Extension;
    use crate::domain::record::Cut;
    use crate::domain::testing::{change, entry, extension_with};

    #[test]
    fn what_is_not_served_as_written_is_told_once_while_it_stays_so() {
        let cut = |value| {
            let field = "timeout_ms";
            entry(Extension {
                cuts: [Cut {
                    field,
                    value,
                    limit: 120_000,
                }]
                .into(),
                ..extension_with("x", r#"{"metadata":{"balance":"random"}}"#)
            })
        };
        let (catalog, mut writer) = Catalog::new();
        assert_eq!(warnings(&catalog, &cut(500_000)).len(), 2);
        writer.apply(Change {
            upserts: vec![cut(500_000)],
            ..change(1)
        });
        assert!(warnings(&catalog, &cut(500_000)).is_empty());
        let news = warnings(&catalog, &cut(600_000));
        assert!(matches!(news.as_slice(), [Observation::Cut { .. }]));
    }
}
