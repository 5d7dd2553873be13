//! What rests after push-back, in the documents that show it.

use serde::Serialize;
use utoipa::ToSchema;

use super::shown;
use crate::service::invoke::Resting;

/// One that rests.
#[derive(Serialize, ToSchema)]
#[schema(as = Resting)]
pub(super) struct RestingBody<'a> {
    /// The instance; null for a version without instances.
    instance_id: Option<&'a str>,
    #[schema(format = DateTime)]
    until: Option<String>,
}

impl<'a> RestingBody<'a> {
    pub(super) fn all(resting: &'a [Resting]) -> Vec<Self> {
        let bodies = resting.iter().map(|it| Self {
            instance_id: it.instance.as_ref().map(|id| id.as_str()),
            until: shown(it.until),
        });
        bodies.collect()
    }
}
