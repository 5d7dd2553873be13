//! Ports: what the fleet shares through the database besides definitions.
//!
//! A file has one port. [`HealthReports`] adds what each sidecar counts to the fleet's sums,
//! exactly once, through a [`Ledger`](ledger::Ledger). [`Overrides`], [`AutoSwitch`] and [`Claims`]
//! are the decisions that hold for all: forced circuits, automatic disabling, probing, publishing.
//!
//! Moments are from this process's monotonic clock: a store carries them as ages, so clocks need
//! neither agree nor stay as they are set.

mod claims;
pub mod ledger;
mod overrides;
mod reports;
mod switch;

use thiserror::Error;

pub use self::claims::{Change, ChangeKind, Claimed, Claims, MAX_CHANGES, RevisionChanges};
pub use self::overrides::{NewOverride, Override, OverrideAction, Overrides};
pub use self::reports::{
    Boot, Figures, Flush, Flushed, HealthReports, HeldCircuit, MAX_CIRCUITS, MAX_NAMED,
    MAX_REPORTS, Report, Sidecars, Written,
};
pub use self::switch::{AutoDisabled, AutoSwitch};
use crate::service::trouble::DatabaseError;

/// Why the store did not do what was asked. `Display` is fit for operators; no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Nothing was written.
    #[error(transparent)]
    Failed(#[from] DatabaseError),
    /// The connection broke before the answer: it may have been written, and may be repeated.
    #[error("{0}; it may have been written")]
    Unknown(DatabaseError),
}

impl StoreError {
    /// The trouble with the database.
    pub const fn database(&self) -> &DatabaseError {
        let (Self::Failed(error) | Self::Unknown(error)) = self;
        error
    }
}
