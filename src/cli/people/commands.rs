//! The table of what can be asked: each command, its verb, the fields of its request, and the view
//! of its answer. What a command does beyond that, such as `watch`, has a file of its own.

use serde_json::Value;

use super::field::{Field, Kind};
use super::screen::Screen;
use super::table::Column;
use super::view;
use crate::adapters::nats::verb::Verb;

/// A command that is one request, or one for each page.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) verb: Verb,
    pub(super) fields: &'static [Field],
    pub(super) pages: Option<Pages>,
    /// The answer as people read it.
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

const ID: Field = Field::must("id", Kind::Text, "The extension's id");
const VERSION: Field = Field::flag(
    "version",
    "version",
    Kind::Text,
    "This version, whatever the rules say",
);
const CONTEXT: Field = Field::flag(
    "context",
    "context",
    Kind::Pairs,
    "What the request says of itself, such as tenant_id=acme; may be repeated",
);

/// Every such command, in the order of the help.
pub(super) const ALL: &[Entry] = &[
    Entry {
        name: "list",
        about: "List extensions",
        verb: Verb::List,
        fields: &[
            Field::flag(
                "type",
                "type",
                Kind::Word(&["pre", "validator", "post", "provider"]),
                "Only this type",
            ),
            Field::flag(
                "enabled",
                "enabled",
                Kind::TruthOrAll,
                "Only those that people have enabled, or disabled",
            ),
        ],
        pages: Some(Pages {
            list: "extensions",
            cursor: "cursor",
            shown: None,
        }),
        view: view::list::view,
        fleet: None,
    },
    Entry {
        name: "get",
        about: "Show an extension as it is stored",
        verb: Verb::Get,
        fields: &[ID],
        pages: None,
        view: view::record::view,
        fleet: None,
    },
    Entry {
        name: "health",
        about: "Show how an extension is doing, or all of them",
        verb: Verb::Health,
        fields: &[
            Field::may("id", Kind::Text, "Only this extension"),
            Field::flag(
                "state",
                "state",
                Kind::Word(&["closed", "open", "half_open"]),
                "Only those whose circuit is in this state",
            ),
        ],
        pages: Some(Pages {
            list: "extensions",
            cursor: "cursor",
            shown: None,
        }),
        view: view::health::view,
        fleet: Some(view::health::FLEET),
    },
];
