//! Which sidecar publishes the events of a revision: the one that advances the one row of
//! `event_claims`.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::call::{Parameter, bigint, count};
use super::{PostgresHealth, Table, Unusable};
use crate::adapters::postgres::stamp::Stamp;
use crate::service::health_store::{
    Change, ChangeKind, Claimed, Claims, RevisionChanges, StoreError,
};
use crate::service::skipped::Reading;

/// Whether there may be something to claim; seen without a lock, for of many sidecars nearly all come too
/// late.
const LOOK: &str = "SELECT NOT EXISTS (SELECT FROM event_claims c JOIN registry_revision r USING (epoch) \
    WHERE c.epoch = $1::uuid AND c.revision BETWEEN least($2, r.revision) AND r.revision + 100000)";

/// Advances by at most 100 revisions, never beyond what is committed, and reads at most 100
/// changes of each. A row without change stands for a claim whose audit entries are gone.
///
/// A claim left over from another epoch means nothing for this one: it is brought up to date
/// without events, as it is unknown which were published. So is one that cannot be: a negative one,
/// or one so far ahead that no other sidecar can have claimed it since this statement began.
const CLAIM: &str = "
    WITH head AS (SELECT epoch, revision FROM registry_revision WHERE epoch = $1::uuid),
    before AS (SELECT epoch, revision FROM event_claims FOR UPDATE),
    known AS (
        SELECT head.*, before.revision AS after, before.epoch = head.epoch
            AND before.revision BETWEEN 0 AND head.revision + 100000 AS sound
        FROM head, before),
    claimed AS (
        UPDATE event_claims c
        SET epoch = known.epoch, revision = CASE WHEN known.sound
            THEN least($2, known.revision, known.after + 100) ELSE known.revision END
        FROM known
        WHERE NOT known.sound OR known.after < least($2, known.revision)
        RETURNING CASE WHEN known.sound THEN known.after ELSE c.revision END AS after,
            c.revision AS up_to),
    entries AS (
        SELECT a.extension_id, a.action, a.changed_by, a.changes, a.revision, a.timestamp AS made,
            row_number() OVER (PARTITION BY a.revision ORDER BY a.id) AS place,
            count(*) OVER w AS total,
            count(*) FILTER (WHERE a.action = 'created') OVER w AS created,
            count(*) FILTER (WHERE a.action = 'deleted') OVER w AS deleted
        FROM extension_audit_log a, claimed
        WHERE a.revision > claimed.after AND a.revision <= claimed.up_to
          AND a.action <> 'circuit_override'
        WINDOW w AS (PARTITION BY a.revision))
    SELECT claimed.up_to, e.revision, e.total, e.extension_id, e.action,
        CASE WHEN e.action NOT IN ('created', 'deleted') THEN ARRAY(
            SELECT DISTINCT jsonb_object_keys(
                CASE WHEN jsonb_typeof(side) = 'object' THEN side ELSE '{}' END)
            FROM unnest(ARRAY[e.changes -> 'old', e.changes -> 'new']) AS side
            ORDER BY 1) END,
        (e.changes -> 'reason')::text, e.place, e.created, e.deleted, e.changed_by, e.made
    FROM claimed LEFT JOIN entries e ON e.place <= 100
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    WHERE NOT EXISTS (SELECT FROM before)
    ORDER BY 2, 8";

const ENTRIES: Table = Table("extension_audit_log", &[3]);

const NO_ROW: &str = "event_claims has lost its row: \
    INSERT INTO event_claims (epoch, revision) SELECT epoch, revision FROM registry_revision";

impl Claims for PostgresHealth {
    async fn claim(&self, epoch: &str, revision: u64) -> Result<Option<Claimed>, StoreError> {
        let revision = bigint(revision);
        let parameters: [Parameter<'_>; 2] = [(&epoch, Type::TEXT), (&revision, Type::INT8)];
        let seen = self.transact("claiming events", LOOK, &parameters).await?;
        let news: bool = self.one(&seen, |row| row.try_get(0))?;
        if !news {
            return Ok(None);
        }
        let rows = self.transact("claiming events", CLAIM, &parameters).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let up_to: Option<i64> = self.one(&rows, |row| row.try_get(0))?;
        let up_to = up_to.ok_or_else(|| self.damaged(NO_ROW))?;
        let entries = self.each(ENTRIES, Reading::Part, &rows, entry);
        Ok(Some(Claimed {
            up_to: count(up_to),
            revisions: by_revision(entries.into_iter().flatten()),
        }))
    }
}

/// The entries of each revision together.
fn by_revision(entries: impl Iterator<Item = RevisionChanges>) -> Vec<RevisionChanges> {
    let mut revisions: Vec<RevisionChanges> = Vec::new();
    for entry in entries {
        match revisions.last_mut() {
            Some(last) if last.revision == entry.revision => last.changes.extend(entry.changes),
            _ => revisions.push(entry),
        }
    }
    revisions
}

/// One change with its revision; `None` where nothing is left of what was claimed.
fn entry(row: &Row) -> Result<Option<RevisionChanges>, Unusable> {
    let Some(revision) = row.try_get::<_, Option<i64>>(1)? else {
        return Ok(None);
    };
    let fields: Option<Vec<Box<str>>> = row.try_get(5)?;
    let made: Option<Stamp> = row.try_get(11)?;
    Ok(Some(RevisionChanges {
        revision: count(revision),
        at: made.and_then(Stamp::moment),
        total: count(row.try_get(2)?),
        created: count(row.try_get(8)?),
        deleted: count(row.try_get(9)?),
        changed_by: row.try_get(10)?,
        changes: vec![Change {
            extension: row.try_get(3)?,
            kind: kind(row.try_get(4)?),
            fields: fields.unwrap_or_default(),
            reason: row.try_get(6)?,
        }],
    }))
}

/// The kind whose event the action names. Changes of versions and instances are updates of their extension.
fn kind(action: &str) -> ChangeKind {
    let named = ChangeKind::named(action);
    let named = named.or_else(|| ChangeKind::named(&format!("extension_{action}")));
    named.unwrap_or(ChangeKind::Updated)
}
