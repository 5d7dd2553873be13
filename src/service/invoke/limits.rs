//! How large, how many, how patient: the daemon's limits and what an extension's record says.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::breaker::{Overrides, Settings};
use crate::domain::extension::Extension;

/// The daemon's own limits.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The largest payload, in bytes.
    pub max_payload_bytes: usize,
    /// The largest request metadata, in bytes.
    pub max_metadata_bytes: usize,
    /// Calls of one extension at a time.
    pub max_in_flight: usize,
    /// When circuits open.
    pub breaker: Settings,
    /// The success rate under which an extension is degraded, 0 to 1.
    pub min_success_rate: f64,
}

/// The limits of one extension.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest payload, in bytes.
    pub max_payload_bytes: usize,
    /// The largest request metadata, in bytes.
    pub max_metadata_bytes: usize,
    /// Calls at a time.
    pub max_in_flight: usize,
    /// When its circuits open.
    pub breaker: Settings,
}

/// The fields of `metadata` that mean something to the registry, each unread: one that makes no
/// sense must not take the others with it.
#[derive(Debug, Default, Deserialize)]
struct Known<'a> {
    #[serde(borrow)]
    max_payload_size: Option<&'a RawValue>,
    #[serde(borrow)]
    max_metadata_size: Option<&'a RawValue>,
    #[serde(borrow)]
    max_in_flight: Option<&'a RawValue>,
}

impl Limits {
    /// The limits of `extension`. What its metadata says in a form nobody can read is not there;
    /// its breaker settings were checked when it was applied.
    pub fn of(extension: &Extension, defaults: &Defaults) -> Self {
        let known: Known<'_> =
            serde_json::from_str(extension.metadata.as_str()).unwrap_or_default();
        let figure = |field: Option<&RawValue>, default: usize| {
            let figure = field.and_then(|text| serde_json::from_str(text.get()).ok());
            figure.unwrap_or(default)
        };
        let overrides = extension.circuit_breaker.as_ref();
        let overrides = overrides.and_then(|object| Overrides::parse(object).ok());
        Self {
            max_payload_bytes: figure(known.max_payload_size, defaults.max_payload_bytes),
            max_metadata_bytes: figure(known.max_metadata_size, defaults.max_metadata_bytes),
            max_in_flight: figure(known.max_in_flight, defaults.max_in_flight),
            breaker: match overrides {
                None => defaults.breaker.clone(),
                Some(overrides) => overrides.apply(&defaults.breaker),
            },
        }
    }
}
