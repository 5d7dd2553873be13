//! Which tables of the old system there are, and with which columns: read from the catalog.

use std::collections::BTreeMap;

use tokio_postgres::types::Json;
use tokio_postgres::{Error, GenericClient};

use super::kinds::KINDS;

pub(super) const EXTENSIONS: &str = "extensions";
pub(super) const VERSIONS: &str = "extension_versions";
pub(super) const INSTANCES: &str = "extension_instances";
pub(super) const HEALTH: &str = "extension_health";
pub(super) const AUDIT: &str = "extension_audit_log";

/// Its tables, and the columns without which a row would not be what we take it for.
const OLD: [(&str, &str); 5] = [
    (
        EXTENSIONS,
        "id type subject timeout_ms retry enabled config metadata created_at updated_at",
    ),
    (VERSIONS, "id version subject"),
    (INSTANCES, "extension_id instance_id subject weight enabled"),
    (
        HEALTH,
        "extension_id last_success last_failure failure_count success_count avg_latency_ms \
         updated_at",
    ),
    (AUDIT, "id extension_id action changed_by"),
];

/// The columns of an entry of the audit log by which the original and the seeds differ.
const AUDIT_OF_ORIGINAL: [&str; 3] = ["old_values", "new_values", "changed_at"];
const AUDIT_OF_SEEDS: [&str; 2] = ["changes", "timestamp"];

/// What only our migrations make: with one of these, and no migration on record, it was upgraded
/// half by hand.
const OURS: &str = "registry_revision registry_tombstones registry_functions sidecar_boots \
    extension_health_reports extension_circuit_reports circuit_overrides rollout_attempts \
    probe_lease event_claims";

/// Columns that only our migrations add, likewise; what another tool numbers by `revision` would be
/// taken for revisions of ours.
const OUR_COLUMNS: &str = "revision digest promoted incarnation latency_count latency_total_us";

/// Columns in which the upgrade keeps what it changes.
const KEPT: [(&str, &str); 2] = [(VERSIONS, "original"), (AUDIT, "original_id")];

/// Names in the schema that migrations make things in, with kind and columns (name and type). A table
/// that shares rows with others by inheritance, partitions included, has a kind of its own.
const NAMES: &str = "SELECT c.relname::text, \
        CASE WHEN EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhparent, inhrelid)) \
            THEN 'inherited' ELSE c.relkind::text END, \
        coalesce(jsonb_object_agg(a.attname, a.atttypid::regtype::text) FILTER (WHERE a.attnum > 0), '{}') \
    FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped \
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname = ANY ($1) \
        AND c.relkind <> 'i' \
    GROUP BY c.oid, c.relname, c.relkind";

/// Zero if refinery has begun but no migration has finished.
const APPLIED: &str = "SELECT count(*) FROM refinery_schema_history";

/// The comment on `extensions` between the step and V1: see `migrations/old/keys.sql`.
const PREPARED: &str = "Of the old system; ready for the first migration";

#[derive(Debug)]
struct Table {
    /// As in `pg_class.relkind`, but for `inherited`.
    kind: String,
    /// Name and type.
    columns: BTreeMap<String, String>,
}

/// The old system's tables, as they are.
#[derive(Debug)]
pub(super) struct Shape {
    found: BTreeMap<String, Table>,
}

impl Shape {
    /// `None` where nothing is old: the step was done, a migration was applied, or there is none of
    /// the tables.
    pub(super) async fn read(client: &impl GenericClient) -> Result<Option<Self>, Error> {
        let marked = "SELECT obj_description(to_regclass('extensions'), 'pg_class')";
        let mark: Option<String> = client.query_one(marked, &[]).await?.try_get(0)?;
        if mark.as_deref() == Some(PREPARED) {
            return Ok(None);
        }
        let history = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
        if client.query_one(history, &[]).await?.try_get(0)?
            && client.query_one(APPLIED, &[]).await?.try_get::<_, i64>(0)? > 0
        {
            return Ok(None);
        }
        let old = OLD.iter().map(|(name, _)| *name);
        let names: Vec<&str> = old.chain(OURS.split(' ')).collect();
        let mut found = BTreeMap::new();
        for row in client.query(NAMES, &[&names]).await? {
            let (kind, Json(columns)) = (row.try_get(1)?, row.try_get(2)?);
            found.insert(row.try_get(0)?, Table { kind, columns });
        }
        let shape = Self { found };
        Ok((!shape.found.is_empty()).then_some(shape))
    }

    /// The old system's tables, the extensions first.
    pub(super) fn tables(&self) -> impl Iterator<Item = &'static str> {
        let names = OLD.iter().map(|(name, _)| *name);
        names.filter(|name| self.has(name))
    }

    /// Those that can be locked as tables: an oddity must not end the search for others.
    pub(super) fn ordinary(&self) -> impl Iterator<Item = &'static str> {
        self.tables().filter(|name| {
            let found = self.found.get(*name);
            found.is_some_and(|table| table.kind == "r")
        })
    }

    /// Whether there is such a table.
    pub(super) fn has(&self, table: &str) -> bool {
        self.found.contains_key(table)
    }

    /// Whether there is such a column.
    pub(super) fn column(&self, table: &str, column: &str) -> bool {
        self.type_of(table, column).is_some()
    }

    fn type_of(&self, table: &str, column: &str) -> Option<&str> {
        let columns = &self.found.get(table)?.columns;
        columns.get(column).map(String::as_str)
    }

    /// Whether the audit log is the original's.
    pub(super) fn original_audit(&self) -> bool {
        self.column(AUDIT, "old_values")
    }

    /// Whether the health is the original's.
    pub(super) fn original_health(&self) -> bool {
        self.column(HEALTH, "half_open_requests_count")
    }

    /// Whether the original made it, rather than the seeds' SQL.
    pub(super) fn is_original(&self) -> bool {
        self.original_audit()
            || self.original_health()
            || self.has(INSTANCES)
            || self.column(VERSIONS, "routing_rules")
    }

    /// What is neither the original's nor the seeds'.
    pub(super) fn oddities(&self) -> Vec<String> {
        let mut odd = Vec::new();
        for name in OURS.split(' ').filter(|name| self.has(name)) {
            odd.push(format!(
                "there is {name}, but no migration on record: a part of the schema was made by \
                 other means"
            ));
        }
        if !self.has(EXTENSIONS) {
            odd.push("there is no table extensions, but others of the old system".to_owned());
        }
        for (name, needed) in OLD {
            let Some(table) = self.found.get(name) else {
                continue;
            };
            if table.kind != "r" {
                odd.push(format!("{name} is not an ordinary table"));
            }
            let missing: Vec<&str> = needed
                .split(' ')
                .filter(|column| !table.columns.contains_key(*column))
                .collect();
            if !missing.is_empty() {
                odd.push(format!("{name} has no {}", missing.join(", ")));
            }
            let kept = KEPT.into_iter().filter(|(table, _)| *table == name);
            let taken = OUR_COLUMNS.split(' ').chain(kept.map(|(_, column)| column));
            for column in taken.filter(|column| table.columns.contains_key(*column)) {
                odd.push(format!(
                    "{name} has a column {column}, but no migration is on record: a part of the \
                     schema was made by other means; rename it if it is another tool's"
                ));
            }
        }
        for (name, columns, kinds) in KINDS {
            for column in columns.split(' ') {
                let kind = self.type_of(name, column);
                if let Some(kind) = kind.filter(|kind| !kinds.contains(kind)) {
                    odd.push(format!(
                        "{name}.{column} is {kind}, not {}: change its type, or rename it",
                        kinds.join(" or ")
                    ));
                }
            }
        }
        odd.extend(self.odd_audit());
        let both = ["half_open_requests_count", "half_open_request_count"];
        if both.iter().all(|column| self.column(HEALTH, column)) {
            odd.push(format!("{HEALTH} has both {}", both.join(" and ")));
        }
        odd
    }

    fn odd_audit(&self) -> Option<String> {
        let columns = &self.found.get(AUDIT)?.columns;
        let id = self.type_of(AUDIT, "id").unwrap_or("missing");
        let all = AUDIT_OF_ORIGINAL.iter().chain(&AUDIT_OF_SEEDS).copied();
        let mut all: Vec<_> = all.filter(|name| columns.contains_key(*name)).collect();
        all.sort_unstable();
        let (whole, has) = match *all {
            [] => (false, "none of these".to_owned()),
            ["changed_at", "new_values", "old_values"] => (id == "uuid", all.join(", ")),
            ["changes", "timestamp"] => (matches!(id, "integer" | "bigint"), all.join(", ")),
            _ => (false, all.join(", ")),
        };
        (!whole).then(|| {
            format!(
                "{AUDIT} is neither the original's (id uuid, {}) nor the seeds' (id integer, {}): \
                 its id is {id}, and it has {has}",
                AUDIT_OF_ORIGINAL.join(", "),
                AUDIT_OF_SEEDS.join(", "),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_all_tables_that_only_our_migrations_make() {
        let migrations = [
            include_str!("../../../../migrations/V1__definitions.sql"),
            include_str!("../../../../migrations/V2__revision.sql"),
            include_str!("../../../../migrations/V3__audit.sql"),
            include_str!("../../../../migrations/V4__health.sql"),
            include_str!("../../../../migrations/V5__fleet.sql"),
        ];
        let lines = migrations.into_iter().flat_map(str::lines);
        let made = lines.filter_map(|line| line.strip_prefix("CREATE TABLE "));
        let made = made.filter_map(|rest| rest.split(' ').next());
        let mut made: Vec<_> = made.filter(|name| *name != "IF").collect();
        made.sort_unstable();
        let mut ours: Vec<_> = OURS.split(' ').collect();
        ours.sort_unstable();
        assert_eq!(made, ours);
    }
}
