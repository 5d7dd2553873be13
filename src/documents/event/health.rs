//! A success rate that crossed the minimum.

use serde::Serialize;
use utoipa::ToSchema;

/// `data` of `health_degraded` and `health_recovered`.
#[derive(Serialize, ToSchema)]
pub(in crate::documents) struct RateCrossed<'a> {
    pub(super) id: &'a str,
    pub(super) version: &'a str,
    /// Whether the version is the current one, whose rate is the extension's.
    pub(super) current: bool,
    pub(super) success_rate: f64,
    pub(super) min_success_rate: f64,
}
