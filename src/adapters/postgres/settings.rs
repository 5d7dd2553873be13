//! The settings of our sessions: the one place where they are made.
//!
//! A server, a database or an account can have defaults that hide rows, end sessions or change what
//! a text means (`ALTER ROLE ... SET`). Each that would is overruled here, twice:
//!
//! - [`session`] is sent when a connection is made, by every kind of connection, in the round trip
//!   in which the tables are looked for. Not as startup options: a transaction pooler refuses those.
//! - Every transaction ([`super::transaction`]) repeats what can hide rows or end it. A transaction
//!   pooler may run each transaction on another connection to the server, without what was set in a
//!   session; the other way round what a session has set may reach other clients of the pooler that
//!   log in as the same account. Where there is known to be none, what every sidecar runs at every change
//!   and flush does without: it is a good part of what that costs the server.
//!
//! Left alone on purpose: `search_path` (see [`super::place`]); `role`, by which accounts that change
//! work as one that stays; `default_transaction_read_only`, by which a server says that it is not the
//! one to write to, and `target_session_attrs` goes by it; `synchronous_commit` and what else is
//! about durability or speed.

use std::time::Duration;

use super::address::Purpose;

/// Settings for all sessions. `row_security` off makes rows that a policy hides an error.
const EVERYBODY: &[(&str, &str)] = &[
    ("row_security", "off"),
    ("idle_session_timeout", "0"),
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    ("quote_all_identifiers", "off"),
    ("gin_fuzzy_search_limit", "0"),
    ("IntervalStyle", "postgres"),
    ("DateStyle", "ISO, YMD"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("client_min_messages", "warning"),
    // The actor, and what the change is called in the audit, are named in each transaction.
    ("beamline.actor", ""),
    ("beamline.actor_source", ""),
    ("beamline.action", ""),
];

/// What some servers have: `transaction_timeout` since 17, the other since a minor release.
/// An account that may not set the last one gets an error: without triggers a change has no
/// revision.
const WHERE_KNOWN: &str = "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES \
    ('transaction_timeout', '0'), ('restrict_nonsystem_relation_kind', ''), \
    ('session_replication_role', 'origin')) AS setting (name, value) \
    WHERE pg_catalog.current_setting(name, true) <> value";

/// What the daemon's own connections have where a transaction sets nothing else. For a lock shorter than
/// what waits for the answer, so that the database reports it as one.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_TIMEOUT: Duration = Duration::from_millis(1500);
/// Transactions of ours are never idle for long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a new connection for `purpose` sends. Two messages: the server's own time limit holds for
/// the whole message that changes it, and may be too short for the rest. Commands have no time
/// limit, and keep the database's time zone, in which they read the times of an old one.
pub(super) fn session(purpose: Purpose) -> [String; 2] {
    let (statement, lock) = match purpose {
        Purpose::Command => (Duration::ZERO, Duration::ZERO),
        Purpose::Listen | Purpose::Pool => (STATEMENT_TIMEOUT, LOCK_TIMEOUT),
    };
    let limit = format!("SET statement_timeout = {}", statement.as_millis());
    let mut sql = format!(
        "SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}",
        lock.as_millis(),
        IDLE_TIMEOUT.as_millis(),
    );
    for (name, value) in EVERYBODY {
        sql.push_str(&format!("; SET {name} = '{value}'"));
    }
    if purpose != Purpose::Command {
        sql.push_str("; SET TimeZone = 'UTC'");
    }
    [limit, format!("{sql}; {WHERE_KNOWN}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_reads_times_in_the_databases_own_zone_and_takes_its_time() {
        let [_, daemon] = session(Purpose::Pool);
        let [limit, command] = session(Purpose::Command);
        assert!(daemon.contains("TimeZone") && !command.contains("TimeZone"));
        assert_eq!(limit, "SET statement_timeout = 0");
    }
}
