//! The arguments of reads, and of `reload`.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;
use utoipa::IntoParams;

use super::numbers;
use crate::documents::{circuits, list};
use crate::domain::breaker::CircuitState;
use crate::domain::extension::ExtensionType;
use crate::domain::ids::ExtensionId;
use crate::service::error::RegistryError;
use crate::service::health::{CircuitQuery, HealthQuery};
use crate::service::read::ListQuery;

/// How new an answer must be. All that a read without other arguments has.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Freshness {
    /// The revision the answer must have seen.
    #[serde(default, deserialize_with = "numbers::any")]
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
    #[param(maximum = 10000)]
    #[serde(default, deserialize_with = "numbers::waits_ms")]
    pub wait_ms: Option<u64>,
}

/// The arguments of `list`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListArguments {
    /// Only extensions of this type.
    #[serde(rename = "type")]
    #[param(pattern = "^(pre|validator|post|provider)$")]
    pub kind: Option<String>,
    /// Whether people enabled them; without it, only those that they did.
    #[param(value_type = Option<String>, pattern = "^(true|false|all)$")]
    pub enabled: Option<EnabledFilter>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "numbers::rows")]
    pub limit: Option<u64>,
    /// The `next` of an earlier page.
    pub cursor: Option<String>,
    /// The revision the answer must have seen.
    #[serde(default, deserialize_with = "numbers::any")]
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
    #[param(maximum = 10000)]
    #[serde(default, deserialize_with = "numbers::waits_ms")]
    pub wait_ms: Option<u64>,
}

impl ListArguments {
    /// All enabled extensions of the type that `payload` names.
    pub fn of_type(payload: &[u8]) -> Self {
        Self {
            kind: Some(String::from_utf8_lossy(payload).into_owned()),
            ..Self::default()
        }
    }

    /// How new the answer must be.
    pub fn freshness(&self) -> Freshness {
        Freshness {
            min_revision: self.min_revision,
            wait_ms: self.wait_ms,
        }
    }

    /// The listing that is asked for.
    ///
    /// # Errors
    /// An unknown type, or a cursor that no page has given out.
    pub fn query(&self) -> Result<ListQuery, RegistryError> {
        let kind = self.kind.as_deref().map(ExtensionType::parse).transpose();
        let after = self.cursor.as_deref().map(list::parse_cursor);
        Ok(ListQuery {
            kind: kind.map_err(|rule| RegistryError::field("type", rule))?,
            enabled: self.enabled.map_or(Some(true), |filter| filter.0),
            limit: self.limit,
            after: after.transpose()?,
        })
    }
}

/// `true`, `false` or `"all"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnabledFilter(pub Option<bool>);

impl<'de> Deserialize<'de> for EnabledFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match <&RawValue>::deserialize(deserializer)?.get() {
            "true" => Ok(Self(Some(true))),
            "false" => Ok(Self(Some(false))),
            r#""all""# => Ok(Self(None)),
            _ => Err(D::Error::custom("must be true, false or \"all\"")),
        }
    }
}

/// The arguments of `health`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HealthArguments {
    /// Only this extension.
    #[param(ignore)]
    pub id: Option<String>,
    /// Only extensions whose circuit is in this state.
    #[param(pattern = "^(closed|open|half_open)$")]
    pub state: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "numbers::rows")]
    pub limit: Option<u64>,
    /// The `next` of an earlier page.
    pub cursor: Option<String>,
    /// The revision the answer must have seen.
    #[serde(default, deserialize_with = "numbers::any")]
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
    #[param(maximum = 10000)]
    #[serde(default, deserialize_with = "numbers::waits_ms")]
    pub wait_ms: Option<u64>,
}

impl HealthArguments {
    /// Those of nothing but how new the answer must be.
    pub fn fresh(freshness: Freshness) -> Self {
        Self {
            min_revision: freshness.min_revision,
            wait_ms: freshness.wait_ms,
            ..Self::default()
        }
    }

    /// How new the answer must be.
    pub fn freshness(&self) -> Freshness {
        Freshness {
            min_revision: self.min_revision,
            wait_ms: self.wait_ms,
        }
    }

    /// The listing that is asked for.
    ///
    /// # Errors
    /// An unknown state, or a cursor that no page has given out.
    pub fn query(&self) -> Result<HealthQuery, RegistryError> {
        let state = self.state.as_deref().map(|text| {
            let rule = "must be closed, open or half_open";
            CircuitState::parse(text).ok_or_else(|| RegistryError::field("state", rule))
        });
        let after = self.cursor.as_deref().map(list::parse_cursor);
        Ok(HealthQuery {
            state: state.transpose()?,
            limit: self.limit,
            after: after.transpose()?,
        })
    }
}

/// The arguments of `circuits`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CircuitsArguments {
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "numbers::rows")]
    pub limit: Option<u64>,
    /// The `next` of an earlier page.
    pub cursor: Option<String>,
    /// The revision the answer must have seen.
    #[serde(default, deserialize_with = "numbers::any")]
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
    #[param(maximum = 10000)]
    #[serde(default, deserialize_with = "numbers::waits_ms")]
    pub wait_ms: Option<u64>,
}

impl CircuitsArguments {
    /// How new the answer must be.
    pub fn freshness(&self) -> Freshness {
        Freshness {
            min_revision: self.min_revision,
            wait_ms: self.wait_ms,
        }
    }

    /// The listing that is asked for.
    ///
    /// # Errors
    /// A cursor that no page has given out.
    pub fn query(&self) -> Result<CircuitQuery, RegistryError> {
        let after = self.cursor.as_deref().map(circuits::parse_cursor);
        Ok(CircuitQuery {
            limit: self.limit,
            after: after.transpose()?,
        })
    }
}

/// The arguments of `audit`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditArguments {
    /// Only entries of this extension.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$", example = "mask_pii")]
    pub id: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "numbers::rows")]
    pub limit: Option<u64>,
    /// Only entries before this one: the `next` of an earlier page.
    #[serde(default, deserialize_with = "numbers::any")]
    pub before: Option<u64>,
}

/// The arguments of `reload`, which is no read: it refuses what it does not know.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadArguments {
    /// Only this id.
    pub id: Option<String>,
    /// Who asks, where nothing else says so.
    pub actor: Option<String>,
}

impl ReloadArguments {
    /// To read one extension again.
    pub fn of_id(id: &str) -> Self {
        Self {
            id: Some(id.to_owned()),
            actor: None,
        }
    }
}

/// An id that a request names, where it names one.
pub(in crate::documents) fn id(text: Option<&str>) -> Result<Option<ExtensionId>, RegistryError> {
    let id = text.map(ExtensionId::parse).transpose();
    id.map_err(|rule| RegistryError::field("id", rule))
}
