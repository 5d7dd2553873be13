//! What can be asked for. Who may ask, and where, is NATS's (`adapters/nats/verb`).

use crate::domain::words::words;

words! {
    /// A verb: the token after the prefix.
    pub enum Verb {
        /// One id or many: what serves this request.
        Lookup = "lookup",
        /// All enabled extensions of a type.
        LookupByType = "lookup_by_type",
        /// A page of extensions.
        List = "list",
        /// A stored record.
        Get = "get",
        /// Why a lookup answers what it answers.
        Explain = "explain",
        /// This sidecar at a glance.
        Stats = "stats",
        /// Read the source again.
        Reload = "reload",
        /// Are you there?
        Ping = "ping",
        /// Call an extension.
        Invoke = "invoke",
        /// Create an extension.
        Create = "create",
        /// Change fields of one.
        Update = "update",
        /// Delete one.
        Delete = "delete",
        /// Take one into service, or many.
        Enable = "enable",
        /// Take one out of service, or many.
        Disable = "disable",
        /// Add a version, or replace it.
        PutVersion = "put_version",
        /// Change fields of one.
        UpdateVersion = "update_version",
        /// Change the share of a version.
        Rollout = "rollout",
        /// Delete a version.
        DeleteVersion = "delete_version",
        /// Make a version the current one.
        Promote = "promote",
        /// Add an instance, or replace it.
        PutInstance = "put_instance",
        /// Delete an instance.
        DeleteInstance = "delete_instance",
        /// The audit.
        Audit = "audit",
        /// A router reports the outcome of a call of its own.
        Report = "report",
        /// How one extension, or all of them, are doing.
        Health = "health",
        /// The circuits of this sidecar.
        Circuits = "circuits",
        /// Force a circuit, or let it go.
        Circuit = "circuit",
        /// End a call.
        Cancel = "cancel",
    }
}
