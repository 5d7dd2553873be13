//! Who publishes the events of a revision: whoever advances the one row of `event_claims`.

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::PostgresHealth;
use super::transaction::{Parameter, bigint, count};
use crate::service::health_store::{
    Change, ChangeKind, Claimed, Claims, RevisionChanges, StoreError,
};

/// Advances by at most 100 revisions, never beyond what is committed, and reads at most 100
/// changes of each. A row without change tells of a claim whose audit entries are gone.
///
/// A claim left over from another epoch says nothing about this one: it is brought up to date
/// without events, as nobody knows which were published.
const CLAIM: &str = "
    WITH head AS (SELECT epoch, revision FROM registry_revision WHERE epoch = $1::uuid),
    before AS (SELECT epoch, revision FROM event_claims FOR UPDATE),
    claimed AS (
        UPDATE event_claims c
        SET epoch = head.epoch,
            revision = CASE WHEN before.epoch = head.epoch
                THEN least($2, head.revision, before.revision + 100) ELSE head.revision END
        FROM head, before
        WHERE before.epoch <> head.epoch OR before.revision < least($2, head.revision)
        RETURNING CASE WHEN before.epoch = head.epoch THEN before.revision ELSE c.revision END
                AS after, c.revision AS up_to),
    entries AS (
        SELECT a.*, row_number() OVER (PARTITION BY a.revision ORDER BY a.id) AS place,
            count(*) OVER (PARTITION BY a.revision) AS total
        FROM extension_audit_log a, claimed
        WHERE a.revision > claimed.after AND a.revision <= claimed.up_to
          AND a.action <> 'circuit_override')
    SELECT claimed.up_to, e.revision, e.total, e.extension_id, e.action,
        CASE WHEN e.action NOT IN ('created', 'deleted') THEN ARRAY(
            SELECT DISTINCT jsonb_object_keys(
                CASE WHEN jsonb_typeof(side) = 'object' THEN side ELSE '{}' END)
            FROM unnest(ARRAY[e.changes -> 'old', e.changes -> 'new']) AS side
            ORDER BY 1) END,
        (e.changes -> 'reason')::text
    FROM claimed LEFT JOIN entries e ON e.place <= 100
    ORDER BY e.revision, e.place";

impl Claims for PostgresHealth {
    async fn claim(&self, epoch: &str, revision: u64) -> Result<Option<Claimed>, StoreError> {
        let revision = bigint(revision);
        let parameters: [Parameter<'_>; 2] = [(&epoch, Type::TEXT), (&revision, Type::INT8)];
        let rows = self.transact("claiming events", CLAIM, &parameters).await?;
        claimed(&rows).map_err(|error| self.unreadable(error))
    }
}

fn claimed(rows: &[Row]) -> Result<Option<Claimed>, Error> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let mut revisions: Vec<RevisionChanges> = Vec::new();
    for row in rows {
        let Some(revision) = row.try_get::<_, Option<i64>>(1)?.map(count) else {
            continue;
        };
        let change = change(row)?;
        match revisions.last_mut() {
            Some(last) if last.revision == revision => last.changes.push(change),
            _ => revisions.push(RevisionChanges {
                revision,
                total: count(row.try_get(2)?),
                changes: vec![change],
            }),
        }
    }
    Ok(Some(Claimed {
        up_to: count(first.try_get(0)?),
        revisions,
    }))
}

fn change(row: &Row) -> Result<Change, Error> {
    let fields: Option<Vec<Box<str>>> = row.try_get(5)?;
    Ok(Change {
        extension: row.try_get(3)?,
        kind: kind(row.try_get(4)?),
        fields: fields.unwrap_or_default(),
        reason: row.try_get(6)?,
    })
}

/// Changes of versions and instances are updates of their extension.
fn kind(action: &str) -> ChangeKind {
    match action {
        "created" => ChangeKind::Created,
        "deleted" => ChangeKind::Deleted,
        "enabled" => ChangeKind::Enabled,
        "disabled" => ChangeKind::Disabled,
        "auto_disabled" => ChangeKind::AutoDisabled,
        "auto_enabled" => ChangeKind::AutoEnabled,
        _ => ChangeKind::Updated,
    }
}
