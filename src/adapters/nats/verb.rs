//! What can be asked for, and by which role.

use self::Verb::*;
pub use crate::documents::verb::Verb;

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
    /// Whether the id may be in the subject, after the verb.
    pub const fn takes_id(self) -> bool {
        matches!(self, Lookup | Get | Explain | Invoke | Health) || self.needs_only_an_id()
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
            Reload | Circuit | Enable | Disable | Promote => Role::Operator,
            Create | Update | Delete | PutVersion | UpdateVersion | Rollout | DeleteVersion
            | PutInstance | DeleteInstance | Audit => Role::Admin,
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

    /// Whether it changes a definition.
    pub const fn writes(self) -> bool {
        self.mutates() && !matches!(self, Reload | Circuit)
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
                Reload | Circuit | Enable | Disable | Promote => (Role::Operator, true),
                Create | Update | Delete | PutVersion | UpdateVersion | Rollout | DeleteVersion
                | PutInstance | DeleteInstance => (Role::Admin, true),
                Audit => (Role::Admin, false),
                _ => (Role::Reader, false),
            };
            assert_eq!((verb.role(), verb.mutates()), (role, mutates), "{verb:?}");
            let writes = mutates && verb != Reload && verb != Circuit;
            assert_eq!(verb.writes(), writes, "{verb:?}");
        }
    }
}
