//! What there is too much of, where a request is refused before anything is done for it.

/// The bound that a request met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overload {
    /// Requests at a time, or answers that wait to be sent.
    Requests,
    /// Calls of this sidecar at a time.
    Calls,
    /// Calls of the extension at a time.
    Full,
    /// Calls of the extension at a time, of which the tenant has its share.
    TenantShare,
    /// Bytes that requests and replies hold at a time.
    Bytes,
}

impl Overload {
    /// The reason as `details.reason` and the log have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Calls => "calls",
            Self::Full => "full",
            Self::TenantShare => "tenant_share",
            Self::Bytes => "bytes",
        }
    }
}
