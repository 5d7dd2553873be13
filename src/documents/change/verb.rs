//! Which fields changes have.

use crate::documents::verb::Verb;
use crate::domain::record::{EXTENSION, Field, INSTANCE, VERSION, field};

/// Fields that every change may have.
const COMMON: &[&str] = &["id", "actor", "if_revision", "dry_run"];

impl Verb {
    /// Whether an id is all it needs.
    pub const fn needs_only_an_id(self) -> bool {
        matches!(self, Self::Delete | Self::Enable | Self::Disable)
    }

    /// The record that it changes, or a part of one.
    pub(super) const fn table(self) -> &'static [Field] {
        match self {
            // `type` and `version` of an update are known, to be refused with a reason.
            Self::Create | Self::Update => EXTENSION,
            Self::PutVersion | Self::UpdateVersion => VERSION,
            Self::PutInstance => INSTANCE,
            _ => &[],
        }
    }

    /// Whether a request must have this field of its own; the id may stand elsewhere.
    pub(super) fn requires(self, name: &str) -> bool {
        match self {
            Self::Create | Self::PutVersion | Self::PutInstance => {
                field(self.table(), name).is_some_and(|field| field.required)
            }
            Self::UpdateVersion | Self::DeleteVersion | Self::Promote => name == "version",
            Self::Rollout => ["version", "percent"].contains(&name),
            Self::DeleteInstance => name == "instance_id",
            _ => false,
        }
    }

    /// The fields of that record which a request may have.
    pub fn said(self) -> impl Iterator<Item = &'static Field> {
        self.table().iter().filter(|field| !field.automatic)
    }

    /// The fields that it may have.
    pub(super) fn fields(self) -> impl Iterator<Item = &'static str> {
        let own: &[_] = match self {
            Self::DeleteVersion | Self::Promote => &["version"],
            Self::Enable | Self::Disable => &["ids", "selector"],
            Self::Rollout => &["version", "percent", "by", "salt", "halt"],
            Self::DeleteInstance => &["instance_id"],
            _ => &[],
        };
        let said = self.said().map(|field| field.name);
        let said = said.filter(|name| *name != "id");
        COMMON.iter().chain(own).copied().chain(said)
    }
}
