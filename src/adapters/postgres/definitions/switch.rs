//! The work of a switch: many extensions, all or none, in one revision.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::Parameter;
use super::change::kept;
use super::steps::reset_circuits;
use super::write::{Ended, Prepared, Work, name_action};
use crate::adapters::postgres::columns::Columns;
use crate::adapters::postgres::commit::mark;
use crate::adapters::postgres::tables::EXTENSIONS;
use crate::domain::actor::Actor;
use crate::domain::edit::EditError;
use crate::domain::policy::Policy;
use crate::domain::record::{FieldFault, Fields, Gate, Value};
use crate::domain::selector::Selected;
use crate::service::definitions::{Switch, Switched, Which};

/// The most extensions at once.
const MOST: usize = 1000;

/// `auto_disabled` is taken back where they are enabled, and stays where not. Answers which of them are
/// as they are to be, and does not call changed what a trigger has put back.
const SWITCH: &str = "WITH switched AS (UPDATE extension_definitions \
        SET enabled = $2, auto_disabled = auto_disabled AND NOT $2 \
        WHERE id = ANY ($1) AND (enabled <> $2 OR auto_disabled AND $2) \
        RETURNING id, enabled, auto_disabled) \
    SELECT id FROM switched WHERE enabled = $2 AND NOT (auto_disabled AND $2)";

const HEAD: &str = "SELECT revision FROM registry_revision";

impl Work for Switch {
    type Done = Switched;

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
    ) -> Result<Prepared<Switched>, Ended> {
        let records = self.records(client).await?;
        if self.enabled {
            for record in &records {
                if let Err(faults) = Gate::of(policy).extension(record) {
                    let refused = EditError::Invalid(faults);
                    return Err(Ended::Refused(Some(id(record)), refused));
                }
            }
            name_action(client, "enabled").await?;
        }
        let ids: Vec<_> = records.iter().map(id).collect();
        let parameters: [Parameter<'_>; 2] =
            [(&ids, Type::TEXT_ARRAY), (&self.enabled, Type::BOOL)];
        let rows = client.query_typed(SWITCH, &parameters).await?;
        let changed = rows.iter().map(|row| row.try_get(0));
        let mut changed: Vec<String> = changed.collect::<Result<_, _>>()?;
        changed.sort_unstable();
        let missing = records
            .iter()
            .find(|record| self.switches(record) && changed.binary_search(&id(record)).is_err());
        if let Some(record) = missing {
            return Err(Ended::Refused(Some(id(record)), kept()));
        }
        if self.enabled {
            let all: Vec<_> = ids.iter().map(String::as_str).collect();
            reset_circuits(client, &all).await?;
        }
        let unchanged: Vec<_> = ids
            .into_iter()
            .filter(|id| changed.binary_search(id).is_err())
            .collect();
        let mark = mark(client).await?;
        let revision = match &mark {
            Some(own) => own.revision,
            None => {
                let head = client.query_typed_one(HEAD, &[]).await?;
                head.try_get::<_, i64>(0)?.unsigned_abs()
            }
        };
        let switched = Switched {
            changed,
            unchanged,
            revision,
        };
        Ok((switched, mark))
    }
}

impl Switch {
    /// Whether this record is not yet as it is to be.
    fn switches(&self, record: &Fields<'_>) -> bool {
        let is = |name, value: bool| *record.get(name) == Value::Switch(value);
        !is("enabled", self.enabled) || self.enabled && is("auto_disabled", true)
    }

    /// The records of those that are meant, in the order of their ids.
    async fn records(&self, client: &Client) -> Result<Vec<Fields<'static>>, Ended> {
        let ids: Option<Vec<_>> = match &self.which {
            Which::Ids(ids) => Some(ids.iter().map(|id| id.as_str()).collect()),
            Which::Matching(_) => None,
        };
        let columns = EXTENSIONS.columns();
        let sql = format!(
            "SELECT {columns} FROM extensions WHERE $1 IS NULL OR id = ANY ($1) ORDER BY id"
        );
        let of: [Parameter<'_>; 1] = [(&ids, Type::TEXT_ARRAY)];
        let mut records = Vec::new();
        for row in client.query_typed(&sql, &of).await? {
            let record = EXTENSIONS.fields(&mut Columns::of(&row))?;
            let meant = match &self.which {
                Which::Ids(_) => true,
                Which::Matching(selector) => selector.matches(selected(&record)),
            };
            if meant {
                records.push(record.into_owned());
            }
        }
        if let Which::Ids(ids) = &self.which {
            let known = |wanted: &str| records.iter().any(|it| it.text("id") == Some(wanted));
            if let Some(unknown) = ids.iter().find(|id| !known(id.as_str())) {
                return Err(Ended::Refused(
                    Some(unknown.to_string()),
                    EditError::NotFound,
                ));
            }
        }
        if records.len() > MOST {
            let rule = format!("matches {} extensions of at most {MOST}", records.len());
            let field = "selector";
            return Err(EditError::Invalid(vec![FieldFault { field, rule }]).into());
        }
        Ok(records)
    }
}

fn id(record: &Fields<'_>) -> String {
    record.text("id").unwrap_or_default().to_owned()
}

fn selected<'a>(record: &'a Fields<'_>) -> Selected<'a> {
    Selected {
        kind: record.text("type").unwrap_or_default(),
        owner: record.text("owner"),
        version: record.text("version").unwrap_or_default(),
        metadata: match record.get("metadata") {
            Value::Json(json) => json,
            _ => "{}",
        },
    }
}
