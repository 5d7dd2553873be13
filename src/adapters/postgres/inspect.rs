//! What `check` looks at in a database that lets us in: one line for each thing that is wrong.

use std::future::poll_fn;
use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::{AsyncMessage, Client};

use super::address::{Address, Purpose};
use super::error::PostgresError;
use super::limit::within;
use super::place;
use super::schema::schema_state;
use super::session::Session;
use crate::config::DatabaseSettings;
use crate::service::trouble::DatabaseError;

/// Every table and view that the daemon reads, be it only to change what is there.
const TABLES: &str = "extensions extension_versions extension_instances extension_definitions \
    extension_version_definitions extension_instance_definitions registry_revision \
    registry_tombstones extension_health extension_health_reports \
    extension_circuit_reports extension_circuit_states sidecar_boots live_sidecars \
    circuit_overrides probe_lease rollout_attempts extension_audit_log event_claims";

/// What the daemon may have to do beside reading, and may not. A right on some columns counts as
/// one on the table: `deploy/postgres/grants.sql` gives all of them together. Functions are those
/// that it gives, see `registry_grant` in `migrations/functions/rights.sql`.
const RIGHTS: &str = "
    SELECT format('%s ON %s', privilege, relation)
    FROM (VALUES
        ('{UPDATE}'::text[], '{extensions,event_claims}'::text[]),
        ('{INSERT,UPDATE}', '{extension_health}'),
        ('{INSERT,UPDATE,DELETE}', '{extension_definitions,extension_version_definitions,
            extension_instance_definitions,extension_health_reports,extension_circuit_reports,
            sidecar_boots,circuit_overrides,probe_lease,rollout_attempts}')
    ) AS needed (privileges, relations), unnest(relations) AS relation,
        unnest(privileges) AS privilege
    WHERE NOT CASE privilege
        WHEN 'DELETE' THEN has_table_privilege(relation, privilege)
        ELSE has_any_column_privilege(relation, privilege) END
    UNION ALL
    SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
    FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
    WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
        AND (p.proname IN ('registry_auto_disable', 'registry_auto_enable',
                'registry_audit_override', 'registry_rollout_halt')
            OR NOT p.prosecdef AND p.proname NOT IN ('registry_grant', 'registry_prune_audit')
                AND obj_description(p.oid, 'pg_proc') = 'Part of beamline-registry'
                AND (r.rolsuper OR p.proowner IN (
                    SELECT relowner FROM pg_class WHERE oid = 'registry_revision'::regclass)))
        AND NOT has_function_privilege(p.oid, 'EXECUTE')
    ORDER BY 1";

/// A channel that is not used elsewhere: no daemon takes it for a change.
const CHANNEL: &str = "beamline_registry_check";
/// For a notification to come back, and for everything before it.
const ANSWER: Duration = Duration::from_secs(5);

/// The schema and where it is; other sets of tables are named; they are not read.
///
/// # Errors
/// What makes the database unusable.
pub async fn schema(client: &Client) -> Result<String, DatabaseError> {
    let state = schema_state(client).await?;
    state.usable()?;
    // The session's path is the one schema by now; the others are found all the same.
    let place = place::find(client).await?;
    let mut text = state.to_string();
    if !place.others.is_empty() {
        let (home, others) = (place.home.unwrap_or_default(), place.others.join("`, `"));
        text.push_str(&format!(
            "; `{home}` is used, and there are such tables in `{others}` too"
        ));
    }
    Ok(text)
}

/// Rights that the account of this session lacks, such as `INSERT ON circuit_overrides`.
///
/// # Errors
/// They cannot be looked up.
pub async fn missing_rights(client: &Client) -> Result<Vec<String>, DatabaseError> {
    let rows = client.query_typed(RIGHTS, &[]).await;
    let rows = rows.map_err(PostgresError::from)?;
    let rights = rows.iter().map(|row| row.try_get(0));
    Ok(rights
        .collect::<Result<_, _>>()
        .map_err(PostgresError::from)?)
}

/// Whether each of the registry's triggers is there and fires: without one, every change is refused.
///
/// # Errors
/// The first that is not, or why they cannot be looked at.
pub async fn triggers(client: &Client) -> Result<(), DatabaseError> {
    let check = "SELECT registry_check_triggers()::text";
    let checked = client.query_typed(check, &[]).await;
    Ok(checked.map(drop).map_err(PostgresError::from)?)
}

/// Everything that keeps the tables from being read, one line each.
pub async fn unreadable(client: &Client) -> Vec<DatabaseError> {
    let mut faults = Vec::new();
    for table in TABLES.split(' ') {
        let sql = format!("SELECT FROM {table} LIMIT 0");
        if let Err(error) = client.batch_execute(&sql).await {
            faults.push(PostgresError::from(error).into());
        }
    }
    faults
}

/// How far the server's clock is from ours, whichever is ahead.
///
/// # Errors
/// It cannot be asked.
pub async fn clock_difference(client: &Client) -> Result<Duration, DatabaseError> {
    let now = "SELECT pg_catalog.clock_timestamp()";
    let row = client.query_typed_one(now, &[]).await;
    let theirs: SystemTime = row
        .and_then(|row| row.try_get(0))
        .map_err(PostgresError::from)?;
    let ours = SystemTime::now();
    let ahead = theirs.duration_since(ours);
    Ok(ahead.unwrap_or_else(|behind| behind.duration()))
}

/// How long a notification takes from the one address to the other. Behind a transaction pooler none
/// arrives: the daemon would find changes at its next safety sync only.
///
/// # Errors
/// No connection, or nothing comes back in time.
pub async fn notification(
    settings: &DatabaseSettings,
    instance_id: &str,
) -> Result<Duration, String> {
    let address = Address::new(&settings.listen, Purpose::Command, instance_id);
    let address = address.map_err(|error| error.to_string())?;
    let giver = Session::open(&settings.pool, instance_id).await?;
    let trip = async {
        let (client, mut connection) = address.connect().await?;
        let heard = async {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(_) = message? {
                    return Ok(());
                }
            }
            let (what, limit) = ("a notification", ANSWER);
            Err(PostgresError::Late { what, limit })
        };
        let given = async {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
            let begun = Instant::now();
            giver
                .client()
                .batch_execute(&format!("NOTIFY {CHANNEL}"))
                .await?;
            Ok::<_, PostgresError>(begun)
        };
        let ((), begun) = tokio::try_join!(heard, given)?;
        Ok::<_, PostgresError>(begun.elapsed())
    };
    let taken: Result<_, PostgresError> = within("a notification", ANSWER, trip).await;
    taken.map_err(|error| error.sorted(&address.target).to_string())
}
