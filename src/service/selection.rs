//! Which extension and version serve a request, health considered: section 4, steps 1 to 6.
//!
//! Steps 2 to 5 are the entry's own ([`crate::domain::routing`]); this adds what only a running
//! process knows: circuits and success rates. It decides once, at admission.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::circuits::Circuits;
use super::error::RegistryError;
use super::lookup::{Lookups, refused};
use super::read::{Reason, Reads};
use crate::domain::breaker::CircuitState;
use crate::domain::catalog::Catalog;
use crate::domain::context::Context;
use crate::domain::entry::{Entry, Refusal};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::routing::{Candidate, Resolved};

/// One call in so many tries a version that others are led around.
const TRIAL_SHARE: u64 = 20;

/// A version of an extension that will serve a request.
#[derive(Debug, Clone)]
pub struct Target {
    /// The extension.
    pub entry: Arc<Entry>,
    /// Which of its candidates.
    candidate: usize,
    /// The extension that was asked for, where this one stands in for it.
    pub fallback_from: Option<ExtensionId>,
    /// Why this one.
    pub reason: Reason,
}
