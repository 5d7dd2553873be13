//! The work of a change of one extension.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use super::transact::{Prepared, Refused, Work, name_action};
use super::{Parameter, read, steps};
use crate::adapters::postgres::commit::mark;
use crate::adapters::postgres::snapshot;
use crate::domain::actor::Actor;
use crate::domain::edit::{EditError, Step, plan};
use crate::domain::policy::Policy;
use crate::domain::record::FieldFault;
use crate::service::definitions::{Rehearsal, Write, Written};

/// The fields that this transaction has changed of an extension, as its events name them.
const CHANGED: &str = "SELECT DISTINCT key FROM extension_audit_log AS entry, \
    unnest(ARRAY[changes -> 'old', changes -> 'new']) AS side, \
    jsonb_object_keys(CASE WHEN jsonb_typeof(side) = 'object' THEN side ELSE '{}' END) AS key \
    WHERE extension_id = $1 AND entry.revision = \
        (SELECT revision FROM registry_revision WHERE last_xid = pg_current_xact_id()) \
    ORDER BY 1";

impl Work for Write {
    type Done = Written;

    fn actor(&self) -> &Actor {
        &self.actor
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }

    async fn carry_out(
        &self,
        client: &Client,
        policy: &Policy,
    ) -> Result<Result<Prepared<Written>, Refused>, Error> {
        let id = self.id.as_str();
        let stored = read::record(client, id).await?;
        let plan = match plan(stored.as_ref(), &self.command, self.if_revision, policy) {
            Ok(plan) => plan,
            Err(refused) => return Ok(Err((None, refused))),
        };
        if let Some(action) = plan.action {
            name_action(client, action).await?;
        }
        for step in &plan.steps {
            steps::carry_out(client, id, step).await?;
        }
        let mark = mark(client).await?;
        if mark.is_none() && plan.steps.iter().any(changes) {
            return Ok(Err((None, kept())));
        }
        if self.dry_run {
            let rehearsal = rehearsal(client, id, policy).await?;
            return Ok(Ok((Written::Rehearsed(Box::new(rehearsal)), None)));
        }
        let unchanged = stored.map_or(0, |stored| stored.revision);
        let own = mark.as_ref().map(|mark| mark.revision);
        let written = own.map_or(Written::Nothing(unchanged), Written::At);
        Ok(Ok((written, mark)))
    }
}

/// Whether a step takes a revision whatever is stored: it was decided under the lock.
fn changes(step: &Step) -> bool {
    matches!(
        step,
        Step::Insert(_) | Step::Delete | Step::DeleteVersion(_) | Step::DeleteInstance(_)
    )
}

/// A trigger or a rule of an operator's kept the row as it was, without an error.
fn kept() -> EditError {
    EditError::Invalid(vec![FieldFault {
        field: "id",
        rule: "is kept as it is by a trigger or a rule of the database".to_owned(),
    }])
}

/// What has been done, before it is rolled back.
async fn rehearsal(client: &Client, id: &str, policy: &Policy) -> Result<Rehearsal, Error> {
    let of: [Parameter<'_>; 1] = [(&id, Type::TEXT)];
    let changed = client.query_typed(CHANGED, &of).await?;
    let names = changed.iter().map(|row: &Row| row.try_get(0));
    Ok(Rehearsal {
        changed: names.collect::<Result<_, _>>()?,
        record: snapshot::record(client, policy, id).await?,
    })
}
