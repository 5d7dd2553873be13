//! The work of a change of one extension.

use serde_json::Value as Json;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use super::write::{Ended, Prepared, Work, name_action};
use super::{Parameter, steps};
use crate::adapters::postgres::commit::mark;
use crate::adapters::postgres::snapshot;
use crate::domain::actor::Actor;
use crate::domain::edit::{EditError, Step, Stored, plan};
use crate::domain::policy::Policy;
use crate::domain::record::{FieldFault, Fields, Value};
use crate::service::definitions::{Rehearsal, Write, Written};

/// The fields that this transaction has changed of an extension, as its events name them.
const CHANGED: &str = "SELECT DISTINCT field.name FROM extension_audit_log AS entry, \
    unnest(ARRAY[entry.changes -> 'old', entry.changes -> 'new']) AS side (fields), \
    jsonb_object_keys(CASE WHEN jsonb_typeof(side.fields) = 'object' THEN side.fields \
        ELSE '{}' END) AS field (name) \
    WHERE entry.extension_id = $1 AND entry.revision = \
        (SELECT revision FROM registry_revision WHERE last_xid = pg_current_xact_id()) \
    ORDER BY 1";

const CURRENT: &str = "SELECT version FROM extensions WHERE id = $1";

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
    ) -> Result<Prepared<Written>, Ended> {
        let id = self.id.as_str();
        let stored = snapshot::stored(client, id).await?;
        let plan = plan(stored.as_ref(), &self.command, self.if_revision, policy)?;
        if let Some(action) = plan.action {
            name_action(client, action).await?;
        }
        for step in &plan.steps {
            steps::carry_out(client, id, step).await?;
        }
        let mark = mark(client).await?;
        let mut steps = plan.steps.iter();
        if mark.is_none() && steps.any(|step| changes(step, stored.as_ref()))
            || !is_promoted(client, id, &plan.steps).await?
        {
            return Err(kept().into());
        }
        if self.dry_run {
            let rehearsal = rehearsal(client, id, policy).await?;
            return Ok((Written::Rehearsed(Box::new(rehearsal)), None));
        }
        let unchanged = stored.map_or(0, |stored| stored.revision);
        let own = mark.as_ref().map(|mark| mark.revision);
        let written = own.map_or(Written::Nothing(unchanged), Written::At);
        Ok((written, mark))
    }
}

/// Whether a step takes a revision for sure: it was decided under the lock.
fn changes(step: &Step, stored: Option<&Stored>) -> bool {
    let stored = stored.map(|stored| &stored.record);
    match step {
        Step::Insert(_) | Step::Delete | Step::DeleteVersion(_) | Step::DeleteInstance(_) => true,
        Step::Update(patch) => stored.is_some_and(|stored| overwrites(&stored.own, patch)),
        Step::PutVersion(row) => stored.is_some_and(|stored| {
            let known = stored.version(row.text("version").unwrap_or_default());
            known.is_none_or(|known| overwrites(known, row))
        }),
        Step::PutInstance(row) => stored.is_some_and(|stored| {
            let mut all = stored.instances.iter();
            let known = all.find(|known| known.text("instance_id") == row.text("instance_id"));
            known.is_none_or(|known| overwrites(known, row))
        }),
        Step::Switch {
            enabled,
            auto_disabled,
        } => stored.is_some_and(|stored| {
            let is = |name, value: bool| *stored.own.get(name) == Value::Switch(value);
            !is("enabled", *enabled) || !is("auto_disabled", *auto_disabled)
        }),
        _ => false,
    }
}

/// Whether a row changes for sure where `row` is written over it. A default may be what it has, and
/// so may JSON in another notation.
fn overwrites(stored: &Fields<'_>, row: &Fields<'_>) -> bool {
    row.iter().any(|(name, new)| match (stored.get(name), new) {
        (_, Value::Unset) => false,
        (Value::Json(old), Value::Json(new)) => {
            let (old, new) = (serde_json::from_str(old), serde_json::from_str(new));
            let both = old.ok().zip(new.ok());
            both.is_some_and(|(old, new)| differ(&old, &new))
        }
        (Value::Json(_), _) | (_, Value::Json(_)) => false,
        (old, new) => old != new,
    })
}

/// Whether two JSON values differ for sure: floats are not read exactly.
fn differ(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => {
            let [one, other] = [one, other].map(|it| it.as_f64().unwrap_or_default());
            (one - other).abs() > one.abs() * 1e-9
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() != other.len() || one.iter().zip(other).any(|(one, other)| differ(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let differs = |(key, one): (&String, &Json)| {
                other.get(key).is_none_or(|other| differ(one, other))
            };
            one.len() != other.len() || one.iter().any(differs)
        }
        (one, other) => one != other,
    }
}

/// Whether the version that these make the current one is that now. Where a trigger keeps the one
/// before, the other steps of a promotion happen all the same, and one of them removes its row.
async fn is_promoted(client: &Client, id: &str, steps: &[Step]) -> Result<bool, Error> {
    let promoted = steps.iter().find_map(|step| match step {
        Step::Remember(version) => Some(version.as_str()),
        _ => None,
    });
    let Some(promoted) = promoted else {
        return Ok(true);
    };
    let of: [Parameter<'_>; 1] = [(&id, Type::TEXT)];
    let current = client.query_typed_one(CURRENT, &of).await?;
    Ok(current.try_get::<_, Option<&str>>(0)? == Some(promoted))
}

/// A trigger or a rule of an operator's kept the row as it was, without an error.
pub(super) fn kept() -> EditError {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields<'_> {
        [("config", Value::read(json))].into_iter().collect()
    }

    fn retry(times: i64) -> Fields<'static> {
        [("retry", Value::Number(times))].into_iter().collect()
    }

    #[test]
    fn only_what_changes_a_row_for_sure_is_missed() {
        for (old, new, sure) in [
            (r#""a""#, r#""b""#, true),
            ("null", r#""b""#, true),
            (r#""a""#, "null", false),
            ("null", "{}", false),
            ("{}", r#"{"a":1}"#, true),
            (r#"{"a": 1}"#, r#"{"a":1}"#, false),
            (r#"{"a": 100}"#, r#"{"a":1e2}"#, false),
            (r#"{"a": 0.1}"#, r#"{"a":0.2}"#, true),
            (r#"{"a": [1, true]}"#, r#"{"a":[1,false]}"#, true),
            (r#"{"b": 1}"#, r#"{"a":1}"#, true),
        ] {
            assert_eq!(overwrites(&fields(old), &fields(new)), sure, "{old} {new}");
        }
        assert!(!overwrites(&retry(1), &retry(1)));
        assert!(overwrites(&retry(1), &retry(2)));
    }
}
