//! What there is too much of, where a request is refused before anything is done for it.

use super::words::words;

words! {
    /// The bound that a request met.
    #[derive(Hash)]
    pub enum Overload {
        /// Requests at a time, or answers that wait to be sent.
        Requests = "requests",
        /// Calls of this sidecar at a time.
        Calls = "calls",
        /// Calls of the extension at a time.
        Full = "full",
        /// Calls of the extension at a time, of which the tenant has its share.
        TenantShare = "tenant_share",
        /// Bytes that requests and replies hold at a time.
        Bytes = "bytes",
    }
}
