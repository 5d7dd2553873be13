//! Commands that change something.

use serde_json::Value;

use super::{Entry, ID};
use crate::adapters::nats::verb::Verb;
use crate::cli::operator::field::{Field, Kind};
use crate::cli::operator::screen::Screen;
use crate::cli::operator::view;
use crate::documents::change::WriteVerb;

const IF_REVISION: Field = Field::flag(
    "if-revision",
    "if_revision",
    Kind::Number,
    "Only while the record is at this revision",
);
const BODY: Field = Field::flag(
    "body",
    "body",
    Kind::Whole,
    "The fields as one JSON object; others on the command line replace those in it",
);
const FIELDS: Field = Field::may(
    "fields",
    Kind::Fields,
    "Fields; a value is JSON where it reads as JSON, else a string",
);
const VERSION: Field = Field::must("version", Kind::Text, "The version");
const INSTANCE: Field = Field::must("instance_id", Kind::Text, "The instance");

pub(super) const ALL: &[Entry] = &[
    Entry {
        about: "Create an extension",
        fields: &[BODY, ID, FIELDS],
        ..write("create", WriteVerb::Create, |answer, _| {
            done("created", answer)
        })
    },
    Entry {
        about: "Change fields of an extension",
        fields: &[BODY, ID, FIELDS, IF_REVISION],
        ..write("update", WriteVerb::Update, |answer, _| {
            done("updated", answer)
        })
    },
    Entry {
        about: "Delete an extension, with its versions and instances",
        fields: &[ID, IF_REVISION],
        ..write("delete", WriteVerb::Delete, |answer, _| {
            done("deleted", answer)
        })
    },
    Entry {
        about: "Let an extension serve, and reset its circuits",
        fields: &[ID, IF_REVISION],
        ..write("enable", WriteVerb::Enable, |answer, _| {
            done("enabled", answer)
        })
    },
    Entry {
        about: "Take an extension out of service",
        fields: &[ID, IF_REVISION],
        ..write("disable", WriteVerb::Disable, |answer, _| {
            done("disabled", answer)
        })
    },
    Entry {
        about: "Add a version to an extension, or replace it",
        fields: &[BODY, ID, VERSION, FIELDS, IF_REVISION],
        ..write("put-version", WriteVerb::PutVersion, |answer, _| {
            done("version stored", answer)
        })
    },
    Entry {
        about: "Delete a version of an extension",
        fields: &[ID, VERSION, IF_REVISION],
        ..write("delete-version", WriteVerb::DeleteVersion, |answer, _| {
            done("version deleted", answer)
        })
    },
    Entry {
        about: "Make a version the current one; the one before is the rollback",
        fields: &[ID, VERSION, IF_REVISION],
        ..write("promote", WriteVerb::Promote, |answer, _| {
            done("promoted", answer)
        })
    },
    Entry {
        about: "Add an instance to an extension, or replace it",
        fields: &[BODY, ID, INSTANCE, FIELDS, IF_REVISION],
        ..write("put-instance", WriteVerb::PutInstance, |answer, _| {
            done("instance stored", answer)
        })
    },
    Entry {
        about: "Delete an instance of an extension",
        fields: &[ID, INSTANCE, IF_REVISION],
        ..write("delete-instance", WriteVerb::DeleteInstance, |answer, _| {
            done("instance deleted", answer)
        })
    },
    Entry {
        name: "circuit",
        about: "Force a circuit open or closed, or reset it",
        verb: Verb::Circuit,
        fields: &[
            ID,
            Field::must(
                "action",
                Kind::Word(&["open", "close", "reset"]),
                "What to do",
            ),
            Field::flag(
                "version",
                "version",
                Kind::Text,
                "Of this version [default: the current]",
            ),
            Field::flag(
                "ttl",
                "ttl_seconds",
                Kind::Seconds,
                "For so long [default: until the next order]",
            ),
            Field::flag("reason", "reason", Kind::Text, "Why, for the audit"),
        ],
        pages: None,
        view: view::circuits::one,
        fleet: None,
    },
    Entry {
        name: "reload",
        about: "Read the source again, and compare everything",
        verb: Verb::Reload,
        fields: &[Field::may("id", Kind::Text, "Only this extension")],
        pages: None,
        view: view::reload::view,
        fleet: Some(view::reload::FLEET),
    },
    Entry {
        name: "report",
        about: "Report what a call outside the registry came to",
        verb: Verb::Report,
        fields: &[
            ID,
            Field::must(
                "outcome",
                Kind::Word(&["success", "failure"]),
                "What it came to",
            ),
            Field::flag(
                "version",
                "version",
                Kind::Text,
                "The version [default: the current]",
            ),
            Field::flag(
                "latency",
                "latency_ms",
                Kind::FineMillis,
                "How long it took",
            ),
        ],
        pages: None,
        view: |_, _| "noted".to_owned(),
        fleet: None,
    },
];

/// What all commands of administration have in common.
const fn write(name: &'static str, verb: WriteVerb, view: fn(&Value, &Screen) -> String) -> Entry {
    Entry {
        name,
        about: "",
        verb: Verb::Write(verb),
        fields: &[],
        pages: None,
        view,
        fleet: None,
    }
}

fn done(what: &str, answer: &Value) -> String {
    view::record::committed(what, answer)
}
