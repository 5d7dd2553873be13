//! What can be asked for, and by which role.

use self::Verb::*;
use crate::documents::change::WriteVerb::{self, *};

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

/// Which users of `deploy/nats` may send a verb; each role may send what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Dashboards, and everybody who looks.
    Reader,
    /// Routers.
    Invoker,
    /// Those who switch, reload and override.
    Operator,
    /// Those who write definitions, and read the audit.
    Admin,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 27] = [
        Lookup,
        LookupByType,
        List,
        Get,
        Explain,
        Stats,
        Reload,
        Ping,
        Invoke,
        Write(Create),
        Write(Update),
        Write(Delete),
        Write(Enable),
        Write(Disable),
        Write(PutVersion),
        Write(UpdateVersion),
        Write(Rollout),
        Write(DeleteVersion),
        Write(Promote),
        Write(PutInstance),
        Write(DeleteInstance),
        Audit,
        Report,
        Health,
        Circuits,
        Circuit,
        Cancel,
    ];

    /// The token in subjects.
    pub const fn name(self) -> &'static str {
        match self {
            Lookup => "lookup",
            LookupByType => "lookup_by_type",
            List => "list",
            Get => "get",
            Explain => "explain",
            Stats => "stats",
            Reload => "reload",
            Ping => "ping",
            Invoke => "invoke",
            Write(write) => write.as_str(),
            Audit => "audit",
            Report => "report",
            Health => "health",
            Circuits => "circuits",
            Circuit => "circuit",
            Cancel => "cancel",
        }
    }

    /// Whether the id may be in the subject, after the verb.
    pub const fn takes_id(self) -> bool {
        match self {
            Lookup | Get | Explain | Invoke | Health => true,
            Write(write) => write.needs_only_an_id(),
            _ => false,
        }
    }

    /// Whether every sidecar answers when all are asked.
    pub const fn answers_all(self) -> bool {
        matches!(
            self,
            Explain | Stats | Reload | Ping | Health | Circuits | Cancel
        )
    }

    /// Whether any sidecar will do: a call is in one of them.
    pub const fn answers_any(self) -> bool {
        !matches!(self, Cancel)
    }

    /// Whether it is too frequent, or too long, to share a lane with others.
    pub const fn has_own_lane(self) -> bool {
        matches!(self, Lookup | Invoke)
    }

    /// The least role that may send it. Each verb by name: one that was forgotten would be allowed.
    pub const fn role(self) -> Role {
        match self {
            Lookup | LookupByType | List | Get | Explain | Stats | Ping | Health | Circuits => {
                Role::Reader
            }
            Invoke | Report | Cancel => Role::Invoker,
            Reload | Circuit | Write(Enable | Disable | Promote) => Role::Operator,
            Write(_) | Audit => Role::Admin,
        }
    }

    /// Whether it changes something, so that administration must be allowed: what operators and
    /// admins alone may send, except the audit.
    pub const fn mutates(self) -> bool {
        match self.role() {
            Role::Reader | Role::Invoker => false,
            Role::Operator | Role::Admin => !matches!(self, Audit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_reading_needs_more_than_a_reader() {
        for verb in Verb::ALL {
            let (role, mutates) = match verb {
                Invoke | Report | Cancel => (Role::Invoker, false),
                Reload | Circuit => (Role::Operator, true),
                Write(Enable | Disable | Promote) => (Role::Operator, true),
                Write(_) => (Role::Admin, true),
                Audit => (Role::Admin, false),
                _ => (Role::Reader, false),
            };
            assert_eq!((verb.role(), verb.mutates()), (role, mutates), "{verb:?}");
        }
    }
}
