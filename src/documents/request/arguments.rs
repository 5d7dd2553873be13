//! What every read may ask for.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use super::{numbers, optional_object};
use crate::service::error::RegistryError;

/// How new an answer must be. All that a read without other arguments has.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct Freshness {
    /// The revision the answer must have seen.
    #[serde(default, deserialize_with = "numbers::any")]
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
    #[param(maximum = 10000)]
    #[schema(maximum = 10000)]
    #[serde(default, deserialize_with = "numbers::waits_ms")]
    pub wait_ms: Option<u64>,
}

/// What a read asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Read<T> {
    /// What is its verb's own.
    pub arguments: T,
    /// How new the answer must be.
    pub freshness: Freshness,
}

impl<T: DeserializeOwned> Read<T> {
    /// Reads a JSON object, or nothing: each half ignores what is the other's.
    ///
    /// # Errors
    /// The field at fault.
    pub fn of(payload: &[u8]) -> Result<Self, RegistryError> {
        Ok(Self {
            arguments: optional_object(payload)?,
            freshness: optional_object(payload)?,
        })
    }
}
