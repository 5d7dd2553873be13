//! Who may change the registry over NATS and HTTP.

use super::parse::boolean;
use super::reader::Reader;
use super::variables::{ADMIN_ENABLED, REQUIRE_ACTOR_SUBJECT};

/// Settings of administration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Whether mutating verbs are answered at all.
    pub enabled: bool,
    /// Whether they are answered only at `as.<actor>`, where NATS permissions vouch for the actor.
    pub require_actor_subject: bool,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<AdminSettings> {
    Some(AdminSettings {
        enabled: reader.value(&ADMIN_ENABLED, boolean)?,
        require_actor_subject: reader.value(&REQUIRE_ACTOR_SUBJECT, boolean)?,
    })
}
