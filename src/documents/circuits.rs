//! The circuits of a sidecar, and the cursor that leads to the next page of them.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{Item, fit};
use super::request::{OfOne, numbers};
use super::resting::RestingBody;
use super::{time, to_bytes};
use crate::domain::breaker::Tick;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::clock::Clock;
use crate::service::error::RegistryError;
use crate::service::health::{CircuitPage, CircuitPlace, CircuitQuery, CircuitRow};
use crate::service::read::page_limit;
use serde::Deserialize;
use utoipa::IntoParams;

/// The arguments of `circuits`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CircuitsArguments {
    /// Only circuits of this extension.
    pub id: Option<String>,
    /// The most that are returned.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "numbers::rows")]
    pub limit: Option<u64>,
    /// The `next` of an earlier page.
    pub cursor: Option<String>,
}

impl OfOne for CircuitsArguments {
    fn id_mut(&mut self) -> &mut Option<String> {
        &mut self.id
    }
}

impl CircuitsArguments {
    /// The listing that is asked for.
    ///
    /// # Errors
    /// A cursor that no page has given out.
    pub fn query(&self) -> Result<CircuitQuery, RegistryError> {
        let after = self.cursor.as_deref().map(parse_cursor);
        Ok(CircuitQuery {
            id: self.id.clone(),
            limit: page_limit(self.limit),
            after: after.transpose()?,
        })
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Circuit<'a> {
    id: &'a str,
    version: &'a str,
    state: &'static str,
    consecutive_failures: u32,
    error_rate: Option<f64>,
    #[schema(format = DateTime)]
    opened_at: Option<String>,
    #[schema(format = DateTime)]
    retry_at: Option<String>,
    forced: ForcedBody,
    /// What rests after push-back; absent when nothing does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resting: Vec<RestingBody<'a>>,
}

/// The end of an override is more useful than its existence; either way it is not `false`.
#[derive(Serialize, ToSchema)]
#[schema(as = Forced)]
#[serde(untagged)]
pub(super) enum ForcedBody {
    Flag(bool),
    Until(String),
}

impl ForcedBody {
    fn of(forced_until: Option<Tick>) -> Self {
        let flag = Self::Flag(forced_until.is_some());
        forced_until.and_then(due).map_or(flag, Self::Until)
    }
}

/// A moment, unless it never comes.
fn due(tick: Tick) -> Option<String> {
    Clock::default().due(tick).and_then(time)
}

/// A page of circuits, shortened to fit `max_bytes`.
///
/// # Errors
/// Not even one circuit fits.
pub fn page(page: &CircuitPage, max_bytes: usize) -> Result<Bytes, RegistryError> {
    let items = page.circuits.iter().map(|row| Item {
        record: circuit(row),
        name: cursor(row),
        cursor: cursor(row),
    });
    fit("circuits", items, page.more, &[], max_bytes)
}

/// One circuit.
pub fn circuit(row: &CircuitRow) -> Bytes {
    let view = row.listed.view;
    to_bytes(&Circuit {
        id: row.listed.id.as_str(),
        version: row.listed.version.as_str(),
        state: view.state.as_str(),
        consecutive_failures: view.consecutive_failures,
        error_rate: view.error_rate,
        opened_at: view.opened_at.and_then(due),
        retry_at: view.retry_at.and_then(due),
        forced: ForcedBody::of(view.forced_until),
        resting: RestingBody::all(&row.resting),
    })
}

/// The place after which the next page begins, as text: `<id>:<version>`.
fn cursor(row: &CircuitRow) -> String {
    format!("{}:{}", row.listed.id, row.listed.version)
}

/// Reads a cursor that [`page`] has given out.
///
/// # Errors
/// It is none.
pub fn parse_cursor(text: &str) -> Result<CircuitPlace, RegistryError> {
    let bad = || RegistryError::field("cursor", "must be the `next` of an earlier page");
    let (id, version) = text.split_once(':').ok_or_else(bad)?;
    let id = ExtensionId::parse(id).map_err(|_| bad())?;
    Ok((id, VersionName::parse(version).map_err(|_| bad())?))
}
