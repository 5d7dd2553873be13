//! The answer to a change that leaves no record to show, as a deletion.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::to_bytes;

#[derive(Serialize, ToSchema)]
pub(super) struct Committed<'a> {
    id: &'a str,
    revision: u64,
}

/// The id, and the revision in which it changed.
pub fn committed(id: &str, revision: u64) -> Bytes {
    to_bytes(&Committed { id, revision })
}
