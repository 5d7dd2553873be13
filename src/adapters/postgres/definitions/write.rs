//! One change: a place among the writers, attempts, and what their outcome means.

use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio_postgres::error::{DbError, SqlState};

use super::PostgresDefinitions;
use super::transact::Ended;
use crate::adapters::postgres::error::PostgresError;
use crate::domain::edit::EditError;
use crate::domain::policy::Policy;
use crate::service::clock::standstill::timeout;
use crate::service::definitions::{AuditEntry, AuditQuery};
use crate::service::definitions::{Definitions, Write, WriteError, Written};

/// Attempts while other transactions get in the way.
const ATTEMPTS: usize = 3;
/// For a place among the writers: as long as the database waits for a lock.
const TURN_LIMIT: Duration = Duration::from_secs(2);

impl Definitions for PostgresDefinitions {
    async fn write(&self, write: &Write, policy: &Policy) -> Result<Written, WriteError> {
        let _turn = self.turn().await?;
        for _ in 0..ATTEMPTS {
            match self.attempt(write, policy).await {
                Err(Failure::Conflicting) => {}
                Err(Failure::Final(error)) => return Err(error),
                Ok(written) => return Ok(written),
            }
        }
        Err(WriteError::Locked { blocked_by: None })
    }

    async fn audit(&self, query: &AuditQuery) -> Result<(Vec<AuditEntry>, bool), WriteError> {
        self.read_audit(query).await
    }
}

/// Why an attempt is not the answer.
enum Failure {
    /// Another transaction was in the way, as a deadlock shows: worth another attempt.
    Conflicting,
    Final(WriteError),
}

impl PostgresDefinitions {
    async fn turn(&self) -> Result<SemaphorePermit<'_>, WriteError> {
        match timeout(TURN_LIMIT, self.writers.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(WriteError::Locked {
                blocked_by: self.pool.blocker().await,
            }),
        }
    }

    async fn attempt(&self, write: &Write, policy: &Policy) -> Result<Written, Failure> {
        match self.transact(write, policy).await {
            Ok(written) => Ok(written),
            Err(Ended::Refused(refused)) => Err(Failure::Final(WriteError::Refused(refused))),
            Err(Ended::Failed(error)) => Err(self.failure(&error).await),
            Err(Ended::InDoubt { xid, written }) => self.settle(&xid, written).await,
        }
    }

    async fn settle(&self, xid: &str, written: Written) -> Result<Written, Failure> {
        let target = self.pool.target();
        match self.pool.fate(xid).await {
            Some(true) => Ok(written),
            Some(false) => Err(Failure::Final(WriteError::Away(format!(
                "{target}: COMMIT failed; nothing was changed"
            )))),
            None => Err(Failure::Final(WriteError::Unknown(format!(
                "{target}: COMMIT got no answer"
            )))),
        }
    }

    async fn failure(&self, error: &PostgresError) -> Failure {
        let refusal = match error {
            PostgresError::Driver(driver) => driver.as_db_error(),
            _ => None,
        };
        let explained = match refusal {
            Some(refusal) => self.explain(refusal).await,
            None => None,
        };
        explained.unwrap_or_else(|| {
            Failure::Final(WriteError::Away(format!("{}: {error}", self.pool.target())))
        })
    }

    /// What a refusal says about the change; `None` where it is about the database.
    async fn explain(&self, refusal: &DbError) -> Option<Failure> {
        let code = refusal.code();
        let again = [
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ];
        if again.contains(code) {
            return Some(Failure::Conflicting);
        }
        let error = match refusal.constraint() {
            // Made meanwhile by a transaction that bypassed the lock; the lock makes it rare.
            Some("extensions_pkey") => WriteError::Refused(EditError::AlreadyExists),
            Some(name) if name.contains("subject") => WriteError::SubjectTaken,
            _ if *code == SqlState::LOCK_NOT_AVAILABLE => WriteError::Locked {
                blocked_by: self.pool.blocker().await,
            },
            _ if is_about_a_value(code) => WriteError::BadValue(format!(
                "the database cannot store a value: {}",
                refusal.message()
            )),
            _ => return None,
        };
        Some(Failure::Final(error))
    }
}

/// A value out of range, or beyond what a row or an index can hold.
fn is_about_a_value(code: &SqlState) -> bool {
    code.code().starts_with("22") || code.code().starts_with("54")
}
