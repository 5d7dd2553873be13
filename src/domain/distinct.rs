//! What distinguishes a sidecar's settings from others'.

use std::collections::BTreeMap;

/// The settings that differ from the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distinct {
    /// Alike where all settings are that a fleet shares: hexadecimal.
    pub fingerprint: String,
    /// The public ones, by name, as they were given.
    pub changed: BTreeMap<&'static str, String>,
}
