//! The verb `circuit`: an operator's order for a circuit.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde::de::Deserializer;
use utoipa::ToSchema;

use super::request::{numbers, required};
use crate::domain::actor::Actor;
use crate::domain::line::line;
use crate::service::circuit_control::CircuitOrder;
use crate::service::error::RegistryError;
use crate::service::health_store::OverrideAction;
use crate::service::lookup::named;

/// A reason goes into the audit.
const MAX_REASON_CHARS: usize = 500;
/// Longer is not a stopgap any more: disable the extension instead.
const TTL_SECONDS: RangeInclusive<u64> = 1..=30 * 86_400;

/// The arguments of `circuit`, which is no read: it refuses what it does not know.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CircuitRequest)]
#[serde(deny_unknown_fields)]
pub struct CircuitArguments {
    /// The extension.
    #[schema(value_type = String)]
    id: Option<String>,
    /// The version; without one, the current.
    version: Option<String>,
    /// What to do.
    #[schema(value_type = String, pattern = "^(open|close|reset)$")]
    action: Option<String>,
    /// For how long, in seconds; without it until the next order.
    #[serde(default, deserialize_with = "ttl_seconds")]
    #[schema(minimum = 1, maximum = 2592000)]
    ttl_seconds: Option<u64>,
    /// Why.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// The actor, if neither the subject nor a header names one.
    pub actor: Option<String>,
}

fn ttl_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    numbers::within(deserializer, &TTL_SECONDS)
}

impl CircuitArguments {
    /// The order of `actor`.
    ///
    /// # Errors
    /// The field at fault.
    pub fn order(self, actor: Actor) -> Result<CircuitOrder, RegistryError> {
        let id = required("id", self.id)?;
        let version = named(self.version.as_deref());
        let action = required("action", self.action)?;
        let action = OverrideAction::named(&action)
            .ok_or_else(|| RegistryError::field("action", "must be open, close or reset"))?;
        let reason = self.reason.map(|reason| {
            let line = line(&reason, MAX_REASON_CHARS).map(String::from);
            line.map_err(|rule| RegistryError::field("reason", rule))
        });
        if self.ttl_seconds.is_some() && action == OverrideAction::Reset {
            let rule = "cannot be used with `reset`, which happens once";
            return Err(RegistryError::field("ttl_seconds", rule));
        }
        Ok(CircuitOrder {
            id,
            version: version?,
            action,
            ttl: self.ttl_seconds.map(Duration::from_secs),
            reason: reason.transpose()?,
            actor,
        })
    }
}
