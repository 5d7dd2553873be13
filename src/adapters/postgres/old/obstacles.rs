//! Everything that cannot be carried over, all of it at once, each with what to do.

use tokio_postgres::{Error, GenericClient, Row};

use super::TYPES;
use super::shape::{AUDIT, EXTENSIONS, HEALTH, INSTANCES, Shape, VERSIONS};
use crate::domain::quote::quoted;
use crate::service::definitions::ACTIONS;

const DEPENDENTS: &str = include_str!("../../../../migrations/old/dependents.sql");

/// Ours is one extension for each subject.
const SHARED: &str = "SELECT subject, array_agg(id::text ORDER BY id) FROM extensions \
    GROUP BY subject HAVING count(*) > 1 ORDER BY subject";

/// A table that the migrating role may not alter, with its owner.
const FOREIGN: &str = "SELECT relname::text, ARRAY[relowner::regrole::text] FROM pg_class \
    WHERE oid = to_regclass($1) AND NOT pg_has_role(relowner, 'USAGE')";

/// The migrating role, where the tables are in a schema in which it may not make any.
const CLOSED: &str = "SELECT current_user::text, ARRAY[current_schema()::text] \
    WHERE NOT has_schema_privilege(current_schema(), 'CREATE')";

/// The primary key of a table, `{}` without one.
const KEY: &str = "SELECT coalesce((SELECT array_agg(a.attname::text ORDER BY place) \
        FROM pg_constraint, unnest(conkey) WITH ORDINALITY AS k (number, place) \
        JOIN pg_attribute a ON a.attrelid = to_regclass($1) AND a.attnum = k.number \
        WHERE conrelid = to_regclass($1) AND contype = 'p'), '{}')";

/// Triggers of other tools that write the audit log in the columns it had.
const AUDITORS: &str = "SELECT tgname || ' on ' || tgrelid::regclass, ARRAY[proname::text] \
    FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid \
    WHERE tgrelid = to_regclass($1) AND NOT tgisinternal AND prosrc ~* 'extension_audit_log' \
    ORDER BY 1";

/// Of other tables on the entries' uuid.
const REFERENCES: &str = "SELECT conname || ' of ' || conrelid::regclass, '{}'::text[] \
    FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass('extension_audit_log')";

/// Actions that are neither the original's nor ours, which are `$1`.
const UNKNOWN: &str = "SELECT action, ARRAY[count(*)::text] FROM extension_audit_log \
    WHERE action NOT IN ('create', 'update', 'delete', 'enable', 'disable') \
        AND action <> ALL ($1::text[]) \
    GROUP BY action ORDER BY action";

/// What prevents the upgrade; empty when nothing does. What is read of rows needs the columns to be
/// there, so nothing else is reported about an odd shape.
pub(super) async fn find(client: &impl GenericClient, shape: &Shape) -> Result<Vec<String>, Error> {
    let mut found = shape.oddities();
    if !found.is_empty() {
        return Ok(found);
    }
    found.extend(of_tables(client, shape).await?);
    let shared = client.query(SHARED, &[]).await?;
    found.extend(lines(&shared, ", ", |subject, ids| {
        let subject = quoted(subject);
        format!(
            "the subject {subject} is shared by {ids}: give all but one another subject, or delete \
             them"
        )
    })?);
    found.extend(of_rows(client, shape).await?);
    if shape.has(AUDIT) {
        let ours: &[&str] = &ACTIONS;
        let unknown = client.query(UNKNOWN, &[&ours]).await?;
        found.extend(lines(&unknown, "", |action, count| {
            let action = quoted(action);
            format!(
                "{AUDIT} has the action {action}, which is none of the known ones, {count} times"
            )
        })?);
    }
    Ok(found)
}

async fn of_tables(client: &impl GenericClient, shape: &Shape) -> Result<Vec<String>, Error> {
    let closed = client.query(CLOSED, &[]).await?;
    let mut found = lines(&closed, "", |role, schema| {
        let role = quoted(role);
        format!("{role} may create nothing in schema {schema}: GRANT CREATE ON SCHEMA to that role")
    })?;
    for table in shape.tables() {
        let foreign = client.query(FOREIGN, &[&table]).await?;
        found.extend(lines(&foreign, "", |table, owner| {
            format!("{table} belongs to {owner}: migrate as its owner")
        })?);
        let key: Vec<String> = client.query_one(KEY, &[&table]).await?.try_get(0)?;
        let needed = key_of(table);
        if key != needed {
            found.push(format!(
                "{table} has no primary key ({}): add it",
                needed.join(", ")
            ));
        }
        let auditors = client.query(AUDITORS, &[&table]).await?;
        found.extend(lines(&auditors, "", |trigger, function| {
            format!(
                "trigger {trigger} calls {function}, which writes {AUDIT}: drop it, ours write the \
                 log"
            )
        })?);
    }
    if shape.original_audit() {
        let references = client.query(REFERENCES, &[]).await?;
        found.extend(lines(&references, "", |constraint, _| {
            format!("constraint {constraint} refers to the uuid of {AUDIT}: drop it")
        })?);
    }
    let dependents = format!("WITH changing AS ({TYPES}) {DEPENDENTS}");
    let dependents = client.query(&dependents, &[]).await?;
    found.extend(lines(&dependents, "; ", |column, things| {
        format!(
            "{column} changes its type or is dropped, and this depends on it: {things}: drop it \
             first, and recreate it afterwards"
        )
    })?);
    Ok(found)
}

/// The columns of a table's primary key.
fn key_of(table: &str) -> &'static [&'static str] {
    match table {
        VERSIONS => &["id", "version"],
        INSTANCES => &["extension_id", "instance_id"],
        HEALTH => &["extension_id"],
        _ => &["id"],
    }
}

/// Rows of extensions that do not exist, possible where a foreign key was dropped; texts that ours
/// have no room for, possible where the column was widened.
async fn of_rows(client: &impl GenericClient, shape: &Shape) -> Result<Vec<String>, Error> {
    let orphans = |table: &'static str, id: &str| {
        let what = format!("{table} has rows of extensions that do not exist: ");
        let of_none = format!("NOT EXISTS (SELECT FROM {EXTENSIONS} e WHERE e.id = part.{id})");
        (table, of_none, what, "delete them, or add the extensions")
    };
    let too_long = |table: &'static str, column: &str, most: u32| {
        let what = format!("{table}.{column} has more than {most} characters in ");
        let is_long = format!("length({column}) > {most}");
        (table, is_long, what, "shorten it, or delete the rows")
    };
    let faults = [
        orphans(VERSIONS, "id"),
        orphans(INSTANCES, "extension_id"),
        orphans(HEALTH, "extension_id"),
        too_long(EXTENSIONS, "id", 255),
        too_long(EXTENSIONS, "subject", 512),
        too_long(VERSIONS, "subject", 512),
        too_long(INSTANCES, "subject", 512),
    ];
    let mut found = Vec::new();
    for (table, is_faulty, what, advice) in faults {
        if !shape.has(table) {
            continue;
        }
        let name = key_of(table).join(" || '/' || ");
        let sql = format!(
            "SELECT '{table}', array_agg(({name})::text ORDER BY {name}) FROM {table} AS part \
             WHERE {is_faulty} HAVING count(*) > 0"
        );
        let rows = client.query(&sql, &[]).await?;
        let fault = |_: &str, names: &str| format!("{what}{names}: {advice}");
        found.extend(lines(&rows, ", ", fault)?);
    }
    Ok(found)
}

/// One line for each row of a name and a list.
fn lines(
    rows: &[Row],
    separator: &str,
    words: impl Fn(&str, &str) -> String,
) -> Result<Vec<String>, Error> {
    let line = |row: &Row| {
        let list: Vec<&str> = row.try_get(1)?;
        let list: Vec<_> = list.into_iter().map(quoted).collect();
        Ok(words(row.try_get(0)?, &list.join(separator)))
    };
    rows.iter().map(line).collect()
}
