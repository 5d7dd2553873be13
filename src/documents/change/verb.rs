//! Which changes can be asked for, and with which fields.

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "named as section 3.4 of the contract names them"
)]
pub enum WriteVerb {
    Create,
    Update,
    Delete,
    Enable,
    Disable,
    PutVersion,
    DeleteVersion,
    Promote,
    PutInstance,
    DeleteInstance,
}

/// Fields that every change may have.
const COMMON: &[&str] = &["id", "actor", "if_revision"];

impl WriteVerb {
    /// Its name in requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::PutVersion => "put_version",
            Self::DeleteVersion => "delete_version",
            Self::Promote => "promote",
            Self::PutInstance => "put_instance",
            Self::DeleteInstance => "delete_instance",
        }
    }

    /// The fields that it may have besides the common ones.
    const fn own_fields(self) -> &'static [&'static str] {
        match self {
            Self::Create => &[
                "type",
                "subject",
                "timeout_ms",
                "retry",
                "enabled",
                "version",
                "config",
                "metadata",
                "fallback",
                "routing_rules",
                "rollout",
                "circuit_breaker",
            ],
            // `type` and `version` are known, to be refused with a reason.
            Self::Update => &[
                "type",
                "version",
                "subject",
                "timeout_ms",
                "retry",
                "enabled",
                "config",
                "metadata",
                "fallback",
                "routing_rules",
                "rollout",
                "circuit_breaker",
            ],
            Self::Delete | Self::Enable | Self::Disable => &[],
            Self::PutVersion => &[
                "version",
                "subject",
                "timeout_ms",
                "retry",
                "config",
                "metadata",
                "routing_rules",
                "rollout",
                "priority",
                "enabled",
            ],
            Self::DeleteVersion | Self::Promote => &["version"],
            Self::PutInstance => &["instance_id", "version", "subject", "weight", "enabled"],
            Self::DeleteInstance => &["instance_id"],
        }
    }

    /// Whether an id says it all.
    pub const fn needs_only_an_id(self) -> bool {
        matches!(self, Self::Delete | Self::Enable | Self::Disable)
    }

    /// The fields that it may have.
    pub(super) fn fields(self) -> impl Iterator<Item = &'static str> {
        COMMON.iter().chain(self.own_fields()).copied()
    }
}
