//! Commands that change nothing.

use super::{CONTEXT, Entry, ID, Pages, VERSION};
use crate::adapters::nats::verb::Verb;
use crate::cli::operator::field::{Field, Kind};
use crate::cli::operator::view;

const TYPES: Kind = Kind::Word(&["pre", "validator", "post", "provider"]);
const STATES: Kind = Kind::Word(&["closed", "open", "half_open"]);

pub(super) const ALL: &[Entry] = &[
    Entry {
        name: "list",
        about: "List extensions",
        verb: Verb::List,
        fields: &[
            Field::flag("type", "type", TYPES, "Only this type"),
            Field::flag(
                "enabled",
                "enabled",
                Kind::TruthOrAll,
                "Only those that operators have enabled, or disabled",
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
        name: "lookup",
        about: "Show which version serves a request",
        verb: Verb::Lookup,
        fields: &[
            Field::must("ids", Kind::Ids, "One id, or up to 100 of them"),
            VERSION,
            CONTEXT,
        ],
        pages: None,
        view: view::lookup::view,
        fleet: None,
    },
    Entry {
        name: "explain",
        about: "Show why a version serves a request, and the others do not",
        verb: Verb::Explain,
        fields: &[ID, VERSION, CONTEXT],
        pages: None,
        view: view::explain::view,
        fleet: Some(view::explain::FLEET),
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
                STATES,
                "Only those with a circuit in this state",
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
    Entry {
        name: "circuits",
        about: "Show the circuits of a sidecar that have something to tell",
        verb: Verb::Circuits,
        fields: &[],
        pages: Some(Pages {
            list: "circuits",
            cursor: "cursor",
            shown: None,
        }),
        view: view::circuits::view,
        fleet: Some(view::circuits::FLEET),
    },
    Entry {
        name: "stats",
        about: "Show a sidecar at a glance",
        verb: Verb::Stats,
        fields: &[],
        pages: None,
        view: view::stats::view,
        fleet: Some(view::stats::FLEET),
    },
    Entry {
        name: "ping",
        about: "See whether a registry answers, and how fast",
        verb: Verb::Ping,
        fields: &[],
        pages: None,
        view: view::ping::view,
        fleet: Some(view::ping::FLEET),
    },
    Entry {
        name: "audit",
        about: "Show who changed what, newest first",
        verb: Verb::Audit,
        fields: &[Field::may("id", Kind::Text, "Only this extension")],
        pages: Some(Pages {
            list: "entries",
            cursor: "before",
            shown: Some(100),
        }),
        view: view::audit::view,
        fleet: None,
    },
];
