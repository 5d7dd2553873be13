//! Who may change the registry over NATS and HTTP.

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
    let enabled = reader.boolean(&ADMIN_ENABLED);
    let require_actor_subject = reader.boolean(&REQUIRE_ACTOR_SUBJECT);
    Some(AdminSettings {
        enabled: enabled?,
        require_actor_subject: require_actor_subject?,
    })
}
