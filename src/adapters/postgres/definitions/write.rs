//! One change: lock, read, decide, carry out, commit.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::PostgresDefinitions;
use super::{read, steps};
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::within;
use crate::adapters::postgres::pool;
use crate::domain::edit::{EditError, Plan, plan};
use crate::domain::policy::Policy;
use crate::service::definitions::{AuditEntry, AuditQuery};
use crate::service::definitions::{Definitions, Write, WriteError, Written};

/// For a whole change.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// Attempts while other transactions get in the way.
const ATTEMPTS: usize = 3;

const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '2s'";

/// The triggers of a statement that changes nothing take the lock on the revision, with the rights
/// of the schema's owner.
const LOCK: &str = "UPDATE extensions SET enabled = enabled WHERE false";

const NAME_ACTOR: &str = "SELECT set_config('beamline.actor', $1, true), \
    set_config('beamline.actor_source', $2, true), pg_current_xact_id()::text";

const NAME_ACTION: &str = "SELECT set_config('beamline.action', $1, true)";

/// The revision that this transaction has taken, if it has.
const OWN_REVISION: &str =
    "SELECT revision FROM registry_revision WHERE last_xid = pg_current_xact_id()";

/// Why an attempt ended.
enum Ended {
    Refused(EditError),
    Failed(Error),
    /// The commit was sent, and no answer came.
    InDoubt {
        xid: String,
        revision: Option<u64>,
    },
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Definitions for PostgresDefinitions {
    async fn write(&self, write: &Write, policy: &Policy) -> Result<Written, WriteError> {
        for _ in 1..ATTEMPTS {
            match self.attempt(write, policy).await {
                Err(Failure::Conflicting) => {}
                Err(Failure::Final(error)) => return Err(error),
                Ok(written) => return Ok(written),
            }
        }
        match self.attempt(write, policy).await {
            Ok(written) => Ok(written),
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::Conflicting) => Err(WriteError::Locked { blocked_by: None }),
        }
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
    async fn attempt(&self, write: &Write, policy: &Policy) -> Result<Written, Failure> {
        let connection = self.pool.get().await.map_err(|error| {
            Failure::Final(WriteError::Away(format!("{}: {error}", self.pool.target())))
        })?;
        // An inner error is about the change, an outer one about the connection.
        let transaction = async {
            match transact(&connection, write, policy).await {
                Ok(written) => Ok(Ok(written)),
                Err(Ended::Failed(error)) => Err(error),
                Err(other) => Ok(Err(other)),
            }
        };
        let result = within("the change", CALL_LIMIT, transaction).await;
        let in_doubt = matches!(result, Ok(Err(Ended::InDoubt { .. })));
        let result = if in_doubt {
            drop(deadpool_postgres::Object::take(connection));
            result
        } else {
            pool::put_back(connection, result)
        };
        match result {
            Ok(Ok(written)) => Ok(written),
            Ok(Err(Ended::Refused(refused))) => Err(Failure::Final(WriteError::Refused(refused))),
            Ok(Err(Ended::InDoubt { xid, revision })) => self.settle(&xid, revision).await,
            Ok(Err(Ended::Failed(error))) => Err(self.failure(&PostgresError::Driver(error)).await),
            Err(error) => Err(self.failure(&error).await),
        }
    }

    async fn settle(&self, xid: &str, revision: Option<u64>) -> Result<Written, Failure> {
        match self.fate(xid).await {
            Some(true) => Ok(revision.map_or(Written::Nothing, Written::At)),
            Some(false) => Err(Failure::Final(WriteError::Away(format!(
                "{}: the connection broke; nothing was changed",
                self.pool.target()
            )))),
            None => Err(Failure::Final(WriteError::Unknown(format!(
                "{}: the connection broke during COMMIT",
                self.pool.target()
            )))),
        }
    }

    async fn failure(&self, error: &PostgresError) -> Failure {
        let text = format!("{}: {error}", self.pool.target());
        let PostgresError::Driver(driver) = error else {
            return Failure::Final(WriteError::Away(text));
        };
        let Some(refusal) = driver.as_db_error() else {
            return Failure::Final(WriteError::Away(text));
        };
        let code = refusal.code();
        if *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE
        {
            return Failure::Conflicting;
        }
        Failure::Final(match refusal.constraint() {
            // Made meanwhile by a transaction that bypassed the lock; the lock makes it rare.
            Some("extensions_pkey") => WriteError::Refused(EditError::AlreadyExists),
            Some(name) if name.contains("subject") => WriteError::SubjectTaken,
            _ if *code == SqlState::LOCK_NOT_AVAILABLE => WriteError::Locked {
                blocked_by: self.blocker().await,
            },
            _ if code.code().starts_with("22") => WriteError::BadValue(format!(
                "the database cannot store a value: {}",
                refusal.message()
            )),
            _ => WriteError::Away(text),
        })
    }
}

async fn transact(client: &Client, write: &Write, policy: &Policy) -> Result<Written, Ended> {
    let id = write.id.as_str();
    let (name, source) = (write.actor.name(), write.actor.source().as_str());
    let actor: [super::steps::Parameter<'_>; 2] = [(&name, Type::TEXT), (&source, Type::TEXT)];
    let ((), (), named, stored) = tokio::try_join!(
        biased;
        client.batch_execute(BEGIN),
        client.batch_execute(LOCK),
        client.query_typed(NAME_ACTOR, &actor),
        read::record(client, id),
    )?;
    let xid: String = match named.first() {
        Some(row) => row.try_get(2)?,
        None => String::new(),
    };
    let planned = plan(stored.as_ref(), &write.command, write.if_revision, policy);
    let Plan { action, steps } = match planned {
        Ok(plan) => plan,
        Err(refused) => {
            client.batch_execute("ROLLBACK").await?;
            return Err(Ended::Refused(refused));
        }
    };
    if let Some(action) = action {
        client
            .query_typed(NAME_ACTION, &[(&action, Type::TEXT)])
            .await?;
    }
    for step in &steps {
        steps::carry_out(client, id, step).await?;
    }
    let own = client.query_typed(OWN_REVISION, &[]).await?;
    let revision: Option<i64> = match own.first() {
        Some(row) => Some(row.try_get(0)?),
        None => None,
    };
    let revision = revision.and_then(|revision| u64::try_from(revision).ok());
    match client.batch_execute("COMMIT").await {
        Ok(()) => Ok(revision.map_or(Written::Nothing, Written::At)),
        Err(error) if error.as_db_error().is_none() => Err(Ended::InDoubt { xid, revision }),
        Err(error) => Err(error.into()),
    }
}
