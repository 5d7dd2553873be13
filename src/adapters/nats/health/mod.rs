//! The verbs about health, as far as they are NATS: what `health` takes, and `report`.

mod arguments;

use self::arguments::ReportArguments;
pub(super) use self::arguments::health_arguments;
use super::payload::optional_object;
use super::replies::Answer;
use super::request::Request;
use crate::documents;
use crate::service::error::RegistryError;
use crate::service::invoke::Tools;

/// Enters what a router's own call came to.
pub(super) fn report(tools: &Tools, request: &Request) -> Result<Answer, RegistryError> {
    let arguments: ReportArguments<'_> = optional_object(&request.payload)?;
    tools.report(arguments.reported()?)?;
    Ok(Answer::plain(documents::report::noted()))
}
