//! The verb `circuit`: what an operator wants of a circuit, checked field by field.

use std::time::Duration;

use super::actor::actor;
use super::payload::{CircuitAction, CircuitArguments, optional_object};
use super::request::Request;
use super::subjects::Route;
use crate::domain::ids::VersionName;
use crate::service::circuit_control::{CircuitControl, CircuitOrder};
use crate::service::circuits::Listed;
use crate::service::error::RegistryError;
use crate::service::health_store::OverrideAction;

/// A reason goes into the audit.
const MAX_REASON_CHARS: usize = 500;

/// Reads an order and has it carried out.
pub async fn force(
    control: &CircuitControl,
    route: Route,
    request: &Request,
) -> Result<Listed, RegistryError> {
    let arguments: CircuitArguments = optional_object(&request.payload)?;
    let id = arguments.id.as_deref().ok_or_else(|| missing("id"))?;
    let version = arguments.version.as_deref().map(VersionName::parse);
    let version = version
        .transpose()
        .map_err(|rule| RegistryError::field("version", rule))?;
    let action = action(arguments.action.ok_or_else(|| missing("action"))?);
    let order = CircuitOrder {
        id,
        version: version.as_ref(),
        action,
        ttl: ttl(action, arguments.ttl_seconds)?,
        reason: arguments.reason.map(reason).transpose()?,
        actor: actor(route, request, arguments.actor.as_deref())?,
    };
    control.carry_out(order).await
}

fn missing(field: &str) -> RegistryError {
    RegistryError::field(field, "is missing")
}

const fn action(action: CircuitAction) -> OverrideAction {
    match action {
        CircuitAction::Open => OverrideAction::Open,
        CircuitAction::Close => OverrideAction::Close,
        CircuitAction::Reset => OverrideAction::Reset,
    }
}

fn ttl(action: OverrideAction, seconds: Option<u64>) -> Result<Option<Duration>, RegistryError> {
    if seconds.is_some() && action == OverrideAction::Reset {
        let rule = "means nothing to a reset, which happens once";
        return Err(RegistryError::field("ttl_seconds", rule));
    }
    Ok(seconds.map(Duration::from_secs))
}

/// Control characters, line breaks included, have no place in a reason: zero bytes would not even
/// be stored.
fn reason(reason: String) -> Result<String, RegistryError> {
    let fault = |rule: String| Err(RegistryError::field("reason", rule));
    if reason.chars().count() > MAX_REASON_CHARS {
        fault(format!("must have at most {MAX_REASON_CHARS} characters"))
    } else if reason.chars().any(char::is_control) {
        fault("must be one line of plain text".to_owned())
    } else {
        Ok(reason)
    }
}
