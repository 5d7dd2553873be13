//! The verb `cancel`: which call, and how many there were.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request::required;
use super::to_bytes;
use crate::domain::call_id::CallId;
use crate::service::error::RegistryError;

/// The arguments of `cancel`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CancelRequest)]
pub struct CancelArguments {
    /// The id of the calls that are to end.
    #[schema(value_type = String)]
    call: Option<String>,
}

impl CancelArguments {
    /// The id of the calls that are to end.
    ///
    /// # Errors
    /// There is none, or it can be no call's.
    pub fn call(&self) -> Result<CallId, RegistryError> {
        let call = required("call", self.call.as_deref())?;
        CallId::parse(call).map_err(|rule| RegistryError::field("call", rule))
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Cancelled {
    /// How many calls had the id.
    cancelled: usize,
}

/// The number of calls that were cancelled.
pub fn cancelled(count: usize) -> Bytes {
    to_bytes(&Cancelled { cancelled: count })
}
