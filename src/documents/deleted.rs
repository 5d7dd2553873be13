//! The answer to a deletion.

use bytes::Bytes;
use serde::Serialize;

use super::to_bytes;

#[derive(Serialize)]
struct Deleted<'a> {
    id: &'a str,
    revision: u64,
}

/// The id that is gone, and the revision in which it went.
pub fn deleted(id: &str, revision: u64) -> Bytes {
    to_bytes(&Deleted { id, revision })
}
