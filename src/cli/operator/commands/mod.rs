//! The table of what can be asked: each command, its verb, the fields of its request, and the view
//! of its answer. What does more than that (`watch`, `invoke`, `completion`) has a file of its own.

mod reads;
mod writes;

use serde_json::Value;

use super::field::{Field, Kind};
use super::screen::Screen;
use super::table::Column;
use crate::adapters::nats::verb::Verb;

/// A command that is one request, or one for each page.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) verb: Verb,
    pub(super) fields: &'static [Field],
    pub(super) pages: Option<Pages>,
    /// The answer as operators read it.
    pub(super) view: fn(&Value, &Screen) -> String,
    /// The answers of all sidecars, where all may be asked.
    pub(super) fleet: Option<Fleet>,
}

/// Answers that come in pages.
#[derive(Clone, Copy)]
pub(super) struct Pages {
    /// The list in the answer.
    pub(super) list: &'static str,
    /// The field of the request that takes the `next` of the page before.
    pub(super) cursor: &'static str,
    /// How many items are shown unless `--limit` says otherwise.
    pub(super) shown: Option<usize>,
}

/// One table for the answers of many sidecars.
#[derive(Clone, Copy)]
pub(super) struct Fleet {
    /// The rows of one answer.
    pub(super) rows: fn(&Value) -> Vec<&Value>,
    /// The columns for answers like this one.
    pub(super) columns: fn(&Value) -> &'static [Column],
}

/// Every such command, in the order of the help.
pub(super) fn all() -> impl Iterator<Item = &'static Entry> {
    reads::ALL.iter().chain(writes::ALL)
}

pub(super) const ID: Field = Field::must("id", Kind::Text, "The extension's id");
pub(super) const CONTEXT: Field = Field::flag(
    "context",
    "context",
    Kind::Pairs,
    "What the request says of itself, such as tenant_id=acme; may be repeated",
);
pub(super) const VERSION: Field = Field::flag(
    "version",
    "version",
    Kind::Text,
    "This version, whatever the rules say",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_command() {
        // `invoke` has a file of its own, `lookup_by_type` is `list --type`.
        let without = |verb: &&Verb| !matches!(verb, Verb::Invoke | Verb::LookupByType);
        for verb in Verb::ALL.iter().filter(without) {
            let entry = all().find(|entry| entry.verb == *verb);
            let entry = entry.unwrap_or_else(|| panic!("no command for {verb:?}"));
            assert_eq!(entry.name, verb.name().replace('_', "-"));
            assert_eq!(entry.fleet.is_some(), verb.answers_all(), "{}", entry.name);
        }
    }
}
