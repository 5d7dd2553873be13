//! Reads of one moment: each a transaction that sees one snapshot and changes nothing.
//!
//! Each is sent whole, without waiting between its statements: that costs one round trip, and a
//! transaction whose reader disappears still ends. A transaction pooler may be in between, so
//! limits are set inside each transaction and every statement is unnamed, unless it is known that there
//! is none.

use std::future::ready;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use super::error::PostgresError;
use super::rows::{Assembly, EXTENSIONS, INSTANCES, VERSIONS, as_stored};
use super::statement::{Parameter, bigint, rows};
use super::transaction::{Limits, Transaction};
use crate::domain::catalog::ActiveSource;
use crate::domain::edit::Stored;
use crate::domain::extension::Extension;
use crate::domain::ids::ExtensionId;
use crate::domain::policy::Policy;
use crate::domain::quarantine::Fault;
use crate::domain::reconcile::{Delta, Everything};
use crate::service::source::{Known, Read};

/// For the one row with the revision.
const HEAD_LIMIT: Duration = Duration::from_secs(2);
/// For each statement that reads definitions.
const ROWS_LIMIT: Duration = Duration::from_secs(20);
/// For a lock: shorter than a statement, so that the database reports it as one.
const LOCK_LIMIT: Duration = Duration::from_millis(1500);
/// Each is sent whole.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Beyond this many extensions or deletions, reading everything is as fast, and does not hold all
/// rows in memory twice.
const MAX_DELTA: usize = 1000;

const HEAD: &str = "SELECT epoch::text, revision, tombstone_floor FROM registry_revision";
/// Here and below, `tableoid` makes a view in the table's place an error: it has none, and could show
/// anything.
const HEAD_OF_TABLE: &str = "SELECT epoch::text, revision, tombstone_floor FROM registry_revision \
    WHERE tableoid IS NOT NULL";
const DIGEST: &str = "SELECT revision, registry_digest() FROM registry_revision";
/// The same, to be compared with what is served. Where the trigger that stamps each row does not always
/// fire, a row may have changed under its digest: then it is turned round, and nothing agrees with it.
const COMPARED: &str = "SELECT revision, CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger \
        WHERE tgname = 'z_digest' AND tgenabled <> 'A' AND tgrelid = ANY \
            ('{extensions,extension_versions,extension_instances}'::regclass[])) \
        THEN translate(registry_digest(), '0123456789abcdef', 'fedcba9876543210') \
        ELSE registry_digest() END \
    FROM registry_revision";
const NO_PARAMETERS: [Parameter<'static>; 0] = [];
/// What takes the place of a table and can show anything, such as a view.
const IMPOSTORS: &str = "SELECT relname::text FROM pg_catalog.pg_class WHERE oid = ANY \
    ('{registry_revision,registry_tombstones,extensions,extension_versions,extension_instances}'\
    ::regclass[]) AND relkind NOT IN ('r', 'p')";
/// The ids that changed after `$1`, and `$2`; at most [`MAX_DELTA`] and one.
const CHANGED: &str = "SELECT id FROM extensions WHERE revision > $1 OR id = $2 LIMIT 1001";
const DELETED: &str = "SELECT id FROM registry_tombstones WHERE revision > $1 \
    AND tableoid IS NOT NULL LIMIT 1001";

/// The rows of what changed. As an array, which is found once: a join would be planned for each.
static CHANGES: LazyLock<[String; 3]> = LazyLock::new(|| {
    let of = |rows: &str, id| {
        format!("{rows} WHERE {id} = ANY (ARRAY({CHANGED})) AND tableoid IS NOT NULL")
    };
    [
        of(&EXTENSIONS, "id"),
        of(&VERSIONS, "id"),
        of(&INSTANCES, "extension_id"),
    ]
});

/// The one row of `registry_revision`.
#[derive(Debug)]
pub(super) struct Head {
    epoch: Box<str>,
    revision: u64,
    tombstone_floor: u64,
}

impl Head {
    fn of(row: Option<&Row>) -> Result<Self, PostgresError> {
        let row = row.ok_or(PostgresError::Damaged(
            "registry_revision has lost its row: run `beamline-registry migrate --new-epoch`",
        ))?;
        Ok(Self {
            epoch: row.try_get::<_, &str>(0)?.into(),
            revision: number(row.try_get(1)?)?,
            tombstone_floor: number(row.try_get(2)?)?,
        })
    }

    /// Whether nothing has changed since.
    pub(super) fn is(&self, known: &Known) -> bool {
        self.epoch == known.epoch && self.revision == known.revision
    }

    /// Whether all changes since are still known.
    pub(super) fn reaches_back_to(&self, known: &Known) -> bool {
        self.epoch == known.epoch
            && (self.tombstone_floor..=self.revision).contains(&known.revision)
    }
}

/// Reads the head.
pub(super) async fn head(client: &Client) -> Result<Head, PostgresError> {
    let reading = client.query_typed(HEAD_OF_TABLE, &[]);
    let rows = snapshot(HEAD_LIMIT).send(client, reading).await?;
    Head::of(rows.first())
}

/// The revision and the digest of all definitions, computed by the database; another one where that may
/// be outdated.
pub(super) async fn digest(client: &Client) -> Result<(u64, u64), PostgresError> {
    let reading = client.query_typed_one(COMPARED, &[]);
    let row = snapshot(ROWS_LIMIT).send(client, reading).await?;
    Ok((number(row.try_get(0)?)?, hexadecimal(&row)?))
}

/// The digest in a row of [`DIGEST`].
fn hexadecimal(row: &Row) -> Result<u64, PostgresError> {
    u64::from_str_radix(row.try_get(1)?, 16)
        .map_err(|_| PostgresError::Damaged("registry_digest() is not a hexadecimal number"))
}

/// The digest of what was read, served or not: what cannot be seen is not taken for gone.
fn seen(extensions: &[Extension], faults: &[Fault]) -> u64 {
    let served = extensions.iter().map(|extension| extension.digest);
    let faulty = faults.iter().filter_map(|fault| fault.extension.as_ref());
    let unserved = faulty.filter_map(|extension| extension.unserved_digest);
    served.chain(unserved).fold(0, u64::wrapping_add)
}

/// What changed after `known`, and the extension `also`; `None` when that is not known. `direct`: no
/// pooler is in between.
pub(super) async fn delta(
    client: &Object,
    direct: bool,
    policy: &Policy,
    known: &Known,
    also: Option<&ExtensionId>,
) -> Result<Option<Read>, PostgresError> {
    let after = bigint(known.revision);
    let also_text = also.map(ExtensionId::as_str);
    let after: Parameter<'_> = (&after, Type::INT8);
    let changed = [after.clone(), (&also_text, Type::TEXT)];
    let deleted = [after];
    let [extensions, versions, instances] = &*CHANGES;
    if direct {
        // All of them before the transaction, which is sent whole.
        let two = &[Type::INT8, Type::TEXT];
        client.prepare_typed_cached(HEAD_OF_TABLE, &[]).await?;
        for sql in &*CHANGES {
            client.prepare_typed_cached(sql, two).await?;
        }
        client.prepare_typed_cached(DELETED, &[Type::INT8]).await?;
    }
    let reading = async {
        tokio::try_join!(
            biased;
            rows(client, direct, HEAD_OF_TABLE, &[]),
            rows(client, direct, extensions, &changed),
            rows(client, direct, versions, &changed),
            rows(client, direct, instances, &changed),
            rows(client, direct, DELETED, &deleted),
        )
    };
    let transaction = snapshot(ROWS_LIMIT).on(direct);
    let (head, extensions, versions, instances, deleted) =
        transaction.send(client, reading).await?;
    let head = Head::of(head.first())?;
    if head.is(known) && also.is_none() {
        return Ok(Some(Read::Unchanged));
    }
    if !head.reaches_back_to(known) || extensions.len().max(deleted.len()) > MAX_DELTA {
        return Ok(None);
    }
    // As found: a deleted row may have had an id that breaks the rules.
    let mut touched: Vec<String> = also.map(ToString::to_string).into_iter().collect();
    for row in extensions.iter().chain(&deleted) {
        touched.push(row.try_get(0)?);
    }
    let (extensions, faults) = assembled(policy, &extensions, &versions, &instances)?;
    Ok(Some(Read::Delta(Delta {
        revision: head.revision,
        touched,
        extensions,
        faults,
    })))
}

/// All there is. Rows become records as they arrive, and are not kept.
pub(super) async fn everything(
    client: &Client,
    policy: &Policy,
) -> Result<Everything, PostgresError> {
    let reading = async {
        tokio::try_join!(
            biased;
            client.query_typed(IMPOSTORS, &[]),
            client.query_typed(HEAD, &[]),
            records(client, policy),
            client.query_typed(DIGEST, &[]),
        )
    };
    let (impostors, head, (extensions, faults), whole) =
        snapshot(ROWS_LIMIT).send(client, reading).await?;
    if let Some(first) = impostors.first() {
        let name: &str = first.try_get(0)?;
        let what = format!("{name} is not a table any more");
        return Err(PostgresError::Hidden(what));
    }
    let head = Head::of(head.first())?;
    let whole = whole.first().map(hexadecimal).transpose()?;
    if whole != Some(seen(&extensions, &faults)) {
        return Err(PostgresError::Hidden(
            "the rows read do not match registry_digest()".to_owned(),
        ));
    }
    Ok(Everything {
        source: ActiveSource::Database,
        epoch: Some(head.epoch),
        revision: head.revision,
        extensions,
        faults,
    })
}

/// The record of `id`, as the transaction on `client` sees it; `None` where there is none, or a faulty
/// one.
pub(super) async fn record(
    client: &Client,
    policy: &Policy,
    id: &str,
) -> Result<Option<Extension>, Error> {
    let (extensions, versions, instances) = rows_of(client, id).await?;
    let (mut extensions, _) = assembled(policy, &extensions, &versions, &instances)?;
    Ok(extensions.pop())
}

/// The same as it is stored; `None` where there is none.
pub(super) async fn stored(client: &Client, id: &str) -> Result<Option<Stored>, Error> {
    let (extensions, versions, instances) = rows_of(client, id).await?;
    let own = extensions.first();
    own.map(|own| as_stored(own, &versions, &instances))
        .transpose()
}

/// The rows of one extension and of its parts.
async fn rows_of(client: &Client, id: &str) -> Result<(Vec<Row>, Vec<Row>, Vec<Row>), Error> {
    let of: [Parameter<'_>; 1] = [(&id, Type::TEXT)];
    let extensions = format!("{} WHERE id = $1", *EXTENSIONS);
    let versions = format!("{} WHERE id = $1", *VERSIONS);
    let instances = format!("{} WHERE extension_id = $1", *INSTANCES);
    tokio::try_join!(
        biased;
        client.query_typed(&extensions, &of),
        client.query_typed(&versions, &of),
        client.query_typed(&instances, &of),
    )
}

fn assembled(
    policy: &Policy,
    extensions: &[Row],
    versions: &[Row],
    instances: &[Row],
) -> Result<(Vec<Extension>, Vec<Fault>), Error> {
    let mut assembly = Assembly::new(policy);
    let mut rows = extensions.iter();
    rows.try_for_each(|row| assembly.extension(row))?;
    let mut rows = versions.iter();
    rows.try_for_each(|row| assembly.version(row))?;
    let mut rows = instances.iter();
    rows.try_for_each(|row| assembly.instance(row))?;
    Ok(assembly.finish())
}

/// All records, as the transaction on `client` sees them, and all faults.
pub(super) async fn records(
    client: &Client,
    policy: &Policy,
) -> Result<(Vec<Extension>, Vec<Fault>), Error> {
    let assembly = Mutex::new(Assembly::new(policy));
    // It is the extensions' before their query is sent, until their last row: parts come after them.
    let first = assembly.lock().await;
    tokio::try_join!(
        biased;
        take(client, &EXTENSIONS, ready(first), Assembly::extension),
        take(client, &VERSIONS, assembly.lock(), Assembly::version),
        take(client, &INSTANCES, assembly.lock(), Assembly::instance),
    )?;
    Ok(assembly.into_inner().finish())
}

/// Sends the query at once, and takes its rows when it is its `turn`.
async fn take<'a, 'p: 'a>(
    client: &Client,
    sql: &str,
    turn: impl Future<Output = MutexGuard<'a, Assembly<'p>>>,
    take: fn(&mut Assembly<'p>, &Row) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut rows = pin!(client.query_typed_raw(sql, NO_PARAMETERS).await?);
    let mut assembly = turn.await;
    while let Some(row) = rows.try_next().await? {
        take(&mut assembly, &row)?;
    }
    Ok(())
}

/// `limit` holds for each statement of the transaction.
fn snapshot(limit: Duration) -> Transaction {
    Transaction::snapshot(Limits {
        statement: limit,
        lock: LOCK_LIMIT,
        idle: IDLE_LIMIT,
    })
}

fn number(value: i64) -> Result<u64, PostgresError> {
    let negative = PostgresError::Damaged("registry_revision holds a negative number");
    u64::try_from(value).map_err(|_| negative)
}
