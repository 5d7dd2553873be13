//! The verbs about health: `health`, `circuits`, `report`.

mod arguments;

use std::sync::Arc;

use async_nats::Message;

use self::arguments::{CircuitsArguments, HealthArguments, ReportArguments};
use super::payload::{object, optional_object};
use super::replies::Answer;
use super::subjects::Route;
use super::waiting::wait;
use crate::documents;
use crate::service::error::RegistryError;
use crate::service::health::Health;
use crate::service::invoke::Tools;
use crate::service::progress::Progress;

/// The use cases behind the verbs.
#[derive(Debug)]
pub struct HealthVerbs {
    /// How extensions are doing.
    pub health: Arc<Health>,
    /// Where reported results are entered.
    pub tools: Tools,
    /// Revisions as they are applied.
    pub progress: Progress,
}

impl HealthVerbs {
    /// One extension where an id is given, else a page of all.
    pub(super) async fn health(
        &self,
        route: Route,
        message: &Message,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        let arguments = HealthArguments::read(&message.payload, route.id(&message.subject))?;
        wait(&self.progress, arguments.min_revision, arguments.wait_ms).await?;
        let body = match &arguments.id {
            Some(id) => documents::health::health(&self.health.of(id)?),
            None => documents::health::page(&self.health.list(&arguments.query()?)?, max_bytes)?,
        };
        Ok(Answer::plain(body))
    }

    /// A page of this sidecar's circuits.
    pub(super) async fn circuits(
        &self,
        message: &Message,
        max_bytes: usize,
    ) -> Result<Answer, RegistryError> {
        let arguments: CircuitsArguments = optional_object(&message.payload)?;
        wait(&self.progress, arguments.min_revision, arguments.wait_ms).await?;
        let page = self.health.circuits(&arguments.query()?)?;
        Ok(Answer::plain(documents::circuits::page(&page, max_bytes)?))
    }

    /// Enters what a router's own call came to.
    pub(super) fn report(&self, message: &Message) -> Result<Answer, RegistryError> {
        let arguments: ReportArguments<'_> = object(message.payload.trim_ascii())?;
        self.tools.report(arguments.reported()?)?;
        Ok(Answer::plain(documents::report::noted()))
    }
}
