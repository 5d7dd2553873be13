//! The answer to `ping`.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::to_bytes;

#[derive(Serialize, ToSchema)]
pub(super) struct Pong<'a> {
    ok: bool,
    instance_id: &'a str,
}

/// Yes, and which sidecar.
pub fn pong(instance_id: &str) -> Bytes {
    to_bytes(&Pong {
        ok: true,
        instance_id,
    })
}
