//! What can be asked for.

use crate::documents::change::WriteVerb;

/// A verb: the token after the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// One id or many: what serves this request.
    Lookup,
    /// All enabled extensions of a type.
    LookupByType,
    /// A page of extensions.
    List,
    /// A stored record.
    Get,
    /// Why a lookup answers what it answers.
    Explain,
    /// This sidecar at a glance.
    Stats,
    /// Read the source again.
    Reload,
    /// Are you there?
    Ping,
    /// Call an extension.
    Invoke,
    /// Change a definition.
    Write(WriteVerb),
    /// The audit.
    Audit,
    /// A router reports the outcome of a call of its own.
    Report,
    /// How one extension, or all of them, are doing.
    Health,
    /// The circuits of this sidecar.
    Circuits,
    /// Force a circuit, or let it go.
    Circuit,
    /// End a call.
    Cancel,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 27] = [
        Self::Lookup,
        Self::LookupByType,
        Self::List,
        Self::Get,
        Self::Explain,
        Self::Stats,
        Self::Reload,
        Self::Ping,
        Self::Invoke,
        Self::Write(WriteVerb::Create),
        Self::Write(WriteVerb::Update),
        Self::Write(WriteVerb::Delete),
        Self::Write(WriteVerb::Enable),
        Self::Write(WriteVerb::Disable),
        Self::Write(WriteVerb::PutVersion),
        Self::Write(WriteVerb::UpdateVersion),
        Self::Write(WriteVerb::Rollout),
        Self::Write(WriteVerb::DeleteVersion),
        Self::Write(WriteVerb::Promote),
        Self::Write(WriteVerb::PutInstance),
        Self::Write(WriteVerb::DeleteInstance),
        Self::Audit,
        Self::Report,
        Self::Health,
        Self::Circuits,
        Self::Circuit,
        Self::Cancel,
    ];

    /// The token in subjects.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::LookupByType => "lookup_by_type",
            Self::List => "list",
            Self::Get => "get",
            Self::Explain => "explain",
            Self::Stats => "stats",
            Self::Reload => "reload",
            Self::Ping => "ping",
            Self::Invoke => "invoke",
            Self::Write(write) => write.as_str(),
            Self::Audit => "audit",
            Self::Report => "report",
            Self::Health => "health",
            Self::Circuits => "circuits",
            Self::Circuit => "circuit",
            Self::Cancel => "cancel",
        }
    }

    /// Whether the id may be in the subject, after the verb.
    pub const fn takes_id(self) -> bool {
        matches!(
            self,
            Self::Lookup | Self::Get | Self::Explain | Self::Invoke | Self::Health
        ) || matches!(self, Self::Write(write) if write.needs_only_an_id())
    }

    /// Whether every sidecar answers when all are asked.
    pub const fn answers_all(self) -> bool {
        matches!(
            self,
            Self::Explain
                | Self::Stats
                | Self::Reload
                | Self::Ping
                | Self::Health
                | Self::Circuits
                | Self::Cancel
        )
    }

    /// Whether any sidecar will do: a call is in one of them.
    pub const fn answers_any(self) -> bool {
        !matches!(self, Self::Cancel)
    }

    /// Whether it is too frequent, or too long, to share a lane with others.
    pub const fn has_own_lane(self) -> bool {
        matches!(self, Self::Lookup | Self::Invoke)
    }

    /// Whether it changes something, so that administration must be allowed. Each verb by name: one
    /// that was forgotten would be allowed.
    pub const fn mutates(self) -> bool {
        match self {
            Self::Reload | Self::Circuit | Self::Write(_) => true,
            Self::Lookup
            | Self::LookupByType
            | Self::List
            | Self::Get
            | Self::Explain
            | Self::Stats
            | Self::Ping
            | Self::Invoke
            | Self::Audit
            | Self::Report
            | Self::Health
            | Self::Circuits
            | Self::Cancel => false,
        }
    }
}
