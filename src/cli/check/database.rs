//! The database: both addresses, what is in it, every right, faulty rows, and whether notifications
//! arrive.

use std::sync::Arc;
use std::time::Duration;

use super::line::{Advice, Line};
use crate::adapters::postgres::session::Session;
use crate::adapters::postgres::{Pool, PostgresSource, inspect};
use crate::app::policy;
use crate::config::{DatabaseSettings, Settings};
use crate::service::trouble::Trouble;

/// The most that clocks may differ: times shown are only as accurate as they are.
const CLOCKS: Duration = Duration::from_secs(30);

const PAGE: &str = "docs/troubleshooting.md#the-database-cannot-be-used";
const CONNECTION: Advice = (
    "set EXTENSION_REGISTRY_DB_URL (or DB_HOST and the others), and look whether it takes the login",
    PAGE,
);
const SCHEMA: Advice = (
    "run `beamline-registry migrate` with an account that owns the schema",
    PAGE,
);
const OTHER: Advice = ("see the table for the fix", PAGE);
const RIGHTS: Advice = (
    "run deploy/postgres/grants.sql",
    "docs/access.md#in-postgres",
);
const READ: Advice = (
    "the daemon refuses data that it sees only in part; see the table for the fix",
    PAGE,
);
const FAULT: Advice = (
    "correct or delete the row; the others are served",
    "docs/troubleshooting.md#a-record-is-quarantined",
);
/// Faulty rows that are named; more are counted.
const NAMED: usize = 20;
const LISTEN: Advice = (
    "behind a transaction pooler, set EXTENSION_REGISTRY_DB_LISTEN_URL to the database itself",
    "docs/troubleshooting.md#changes-arrive-late",
);
const CLOCK: Advice = ("have both hosts keep their time by NTP", PAGE);

pub(super) async fn lines(settings: &Settings, database: &DatabaseSettings) -> Vec<Line> {
    let instance_id = &settings.identity.instance_id;
    let what = "connects for queries";
    let mut lines = match Session::open(&database.pool, instance_id).await {
        Ok(session) => looked_at(what, &session).await,
        Err(error) => vec![Line::bad(what, error, CONNECTION)],
    };
    let what = "connects for LISTEN";
    lines.push(match Session::open(&database.listen, instance_id).await {
        Ok(_) => Line::good(what),
        Err(error) => Line::bad(what, error, CONNECTION),
    });
    if lines.iter().all(Line::is_good) {
        lines.extend(definitions(settings, database).await);
        lines.push(notifications(settings, database).await);
    }
    lines
}

async fn looked_at(what: &str, session: &Session) -> Vec<Line> {
    let client = session.client();
    let schema = match inspect::schema(client).await {
        Ok(schema) => schema,
        Err(error) => {
            let advice = unusable(error.trouble);
            return vec![Line::bad(what, error.to_string(), advice)];
        }
    };
    let mut lines = vec![Line::good(format!("{what}: {schema}"))];
    let unreadable = inspect::unreadable(client).await;
    let what = "may read every table";
    let unread = unreadable.iter().map(ToString::to_string);
    lines.extend(unread.map(|error| Line::bad(what, error, RIGHTS)));
    let what = "has every right that it needs";
    match inspect::missing_rights(client).await {
        Ok(missing) if missing.is_empty() && unreadable.is_empty() => lines.push(Line::good(what)),
        Ok(missing) => lines.extend(missing.iter().map(|right| {
            let problem = format!("the account lacks {right}");
            Line::bad(what, problem, RIGHTS)
        })),
        Err(error) => lines.push(Line::bad(what, error.to_string(), RIGHTS)),
    }
    let what = "would record every change";
    lines.push(match inspect::triggers(client).await {
        Ok(()) => Line::good(what),
        Err(error) if error.trouble == Trouble::NotAllowed => {
            Line::bad(what, error.to_string(), RIGHTS)
        }
        Err(error) => Line::bad(what, error.to_string(), SCHEMA),
    });
    let what = "has about our time";
    lines.push(match inspect::clock_difference(client).await {
        Ok(difference) if difference > CLOCKS => {
            let difference = humantime::format_duration(Duration::from_secs(difference.as_secs()));
            let problem = format!("its clock and ours differ by {difference}");
            Line::bad(what, problem, CLOCK)
        }
        Ok(_) => Line::good(what),
        Err(error) => Line::bad(what, error.to_string(), CONNECTION),
    });
    lines
}

/// A migration helps one of them only: the others name the fix themselves.
const fn unusable(trouble: Trouble) -> Advice {
    match trouble {
        Trouble::Schema => SCHEMA,
        Trouble::NotAllowed => RIGHTS,
        _ => OTHER,
    }
}

async fn definitions(settings: &Settings, database: &DatabaseSettings) -> Vec<Line> {
    let what = "reads every definition";
    let pool = match Pool::new(database, &settings.identity.instance_id) {
        Ok(pool) => Arc::new(pool),
        Err(error) => return vec![Line::bad(what, error.to_string(), CONNECTION)],
    };
    let source = PostgresSource::new(pool, Arc::new(policy(settings)));
    let (count, faults) = match source.everything().await {
        Ok(found) => (found.extensions.len(), found.faults),
        Err(error) => return vec![Line::bad(what, error.to_string(), READ)],
    };
    let mut lines = vec![Line::good(format!("{what}: {count} extensions"))];
    // The daemon works without them: only their callers get 404.
    lines.extend(faults.iter().take(NAMED).map(|fault| {
        let what = format!("{} is sound", fault.origin);
        Line::doubtful(what, fault.reason.clone(), FAULT)
    }));
    if let more @ 1.. = faults.len().saturating_sub(NAMED) {
        let problem = format!("{more} more are quarantined");
        lines.push(Line::doubtful("every other row is sound", problem, FAULT));
    }
    lines
}

async fn notifications(settings: &Settings, database: &DatabaseSettings) -> Line {
    let what = "hears notifications";
    match inspect::notification(database, &settings.identity.instance_id).await {
        Ok(took) => Line::good(format!("{what} in {:.1} ms", took.as_secs_f64() * 1e3)),
        Err(error) => Line::bad(what, error, LISTEN),
    }
}
