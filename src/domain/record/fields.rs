//! The one table: which fields an extension, a version and an instance have.
//!
//! Files, requests, replies and columns use the same names. The order is the one in files.

use super::gate::{PRIORITIES, WEIGHTS};
use crate::domain::extension::ExtensionType;
use crate::domain::ids::{ExtensionId, InstanceId, VersionName};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number from `from`, to `to` where that is fixed.
    Whole {
        /// The least.
        from: i64,
        /// The most, unless a setting limits it.
        to: Option<i64>,
    },
    /// True or false.
    Switch,
    /// A JSON object.
    Object,
    /// A list of ids.
    Ids,
}

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether there is no default.
    pub required: bool,
    /// Whether it is the daemon's alone: neither files nor requests have it.
    pub automatic: bool,
    /// Whether an empty object or list means the same as none.
    pub empty_is_unset: bool,
    /// Whether replies have it only where it is set.
    pub absent_when_unset: bool,
    /// The rule that its text obeys, as a regular expression.
    pub pattern: Option<&'static str>,
    /// The texts that it may be.
    pub words: &'static [&'static str],
    /// What else there is to know.
    pub note: Option<&'static str>,
    /// A text that it might be.
    pub example: Option<&'static str>,
}

/// The field of this name.
pub fn field(table: &'static [Field], name: &str) -> Option<&'static Field> {
    table.iter().find(|field| field.name == name)
}

/// The fields of an extension.
pub const EXTENSION: &[Field] = &[
    Field::text("id")
        .required()
        .pattern(ExtensionId::RULE)
        .example("mask_pii"),
    Field::text("type").required().words(&ExtensionType::NAMES),
    Field::text("subject")
        .required()
        .note("Within ALLOWED_SUBJECTS, and no other extension's")
        .example("beamline.ext.mask_pii.v1"),
    Field::whole("timeout_ms", 1, None).note("At most MAX_TIMEOUT_MS"),
    Field::whole("retry", 0, None).note("At most MAX_RETRIES"),
    Field::of("enabled", Kind::Switch),
    Field::of("auto_disabled", Kind::Switch).automatic(),
    Field::text("version").pattern(VersionName::RULE),
    Field::text("owner")
        .absent_when_unset()
        .note("Who is responsible for it, in 1 to 200 characters"),
    Field::of("config", Kind::Object).empty_is_unset(),
    Field::of("metadata", Kind::Object).empty_is_unset(),
    Field::of("fallback", Kind::Ids).empty_is_unset(),
    Field::of("routing_rules", Kind::Object),
    Field::of("rollout", Kind::Object),
    Field::of("circuit_breaker", Kind::Object),
];

/// The fields of a version. One that is not set is the extension's own.
pub const VERSION: &[Field] = &[
    Field::text("version").required().pattern(VersionName::RULE),
    Field::text("subject")
        .required()
        .note("Within ALLOWED_SUBJECTS"),
    Field::whole("timeout_ms", 1, None).note("At most MAX_TIMEOUT_MS"),
    Field::whole("retry", 0, None).note("At most MAX_RETRIES"),
    Field::of("config", Kind::Object),
    Field::of("metadata", Kind::Object),
    Field::of("routing_rules", Kind::Object),
    Field::of("rollout", Kind::Object),
    Field::whole("priority", *PRIORITIES.start(), Some(*PRIORITIES.end())),
    Field::of("enabled", Kind::Switch),
];

/// The fields of an instance.
pub const INSTANCE: &[Field] = &[
    Field::text("instance_id")
        .required()
        .pattern(InstanceId::RULE),
    Field::text("version").pattern(VersionName::RULE),
    Field::text("subject")
        .required()
        .note("Within ALLOWED_SUBJECTS"),
    Field::whole("weight", *WEIGHTS.start(), Some(*WEIGHTS.end())),
    Field::of("enabled", Kind::Switch),
];

impl Field {
    const fn of(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: false,
            automatic: false,
            empty_is_unset: false,
            absent_when_unset: false,
            pattern: None,
            words: &[],
            note: None,
            example: None,
        }
    }

    const fn text(name: &'static str) -> Self {
        Self::of(name, Kind::Text)
    }

    const fn whole(name: &'static str, from: i64, to: Option<i64>) -> Self {
        Self::of(name, Kind::Whole { from, to })
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn automatic(mut self) -> Self {
        self.automatic = true;
        self
    }

    const fn empty_is_unset(mut self) -> Self {
        self.empty_is_unset = true;
        self
    }

    const fn absent_when_unset(mut self) -> Self {
        self.absent_when_unset = true;
        self
    }

    const fn pattern(mut self, rule: &'static str) -> Self {
        self.pattern = Some(rule);
        self
    }

    const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    const fn note(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }

    const fn example(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }
}
