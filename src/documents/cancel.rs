//! The verb `cancel`: which call, and how many there were.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::to_bytes;
use crate::service::error::RegistryError;

/// The arguments of `cancel`.
#[derive(Debug, Deserialize)]
pub struct CancelArguments<'a> {
    #[serde(borrow)]
    call: Option<Cow<'a, str>>,
}

impl CancelArguments<'_> {
    /// The id of the calls that are to end.
    ///
    /// # Errors
    /// There is none.
    pub fn call(&self) -> Result<&str, RegistryError> {
        let call = self.call.as_deref();
        call.ok_or_else(|| RegistryError::field("call", "is missing"))
    }
}

#[derive(Serialize)]
struct Cancelled {
    cancelled: usize,
}

/// The number of calls that were cancelled.
pub fn cancelled(count: usize) -> Bytes {
    to_bytes(&Cancelled { cancelled: count })
}
