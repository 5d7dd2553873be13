//! The answer to `report`, for routers that ask for one.

use bytes::Bytes;
use serde::Serialize;

use super::to_bytes;

#[derive(Serialize)]
struct Noted {
    ok: bool,
}

/// The result is entered.
pub fn noted() -> Bytes {
    to_bytes(&Noted { ok: true })
}
