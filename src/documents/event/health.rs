//! A success rate that crossed the minimum.

use serde::Serialize;

use crate::domain::health::Crossing;
use crate::domain::ids::ExtensionId;

/// `data` of `health_degraded` and `health_recovered`.
#[derive(Serialize)]
pub(super) struct Crossed<'a> {
    id: &'a str,
    success_rate: f64,
    min_success_rate: f64,
}

impl<'a> Crossed<'a> {
    pub(super) fn new(id: &'a ExtensionId, success_rate: f64, min_success_rate: f64) -> Self {
        Self {
            id: id.as_str(),
            success_rate,
            min_success_rate,
        }
    }
}

/// The kind of event that tells of a crossing.
pub(super) const fn kind(crossing: Crossing) -> &'static str {
    match crossing {
        Crossing::Degraded => "health_degraded",
        Crossing::Recovered => "health_recovered",
    }
}
