//! The one place where errors of the database are sorted.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::{DbError, SqlState};

use super::error::PostgresError;
use crate::service::trouble::{DatabaseError, Trouble};

/// What our own functions raise when the one row is missing: damage, not a refusal of a value.
const LOST_ROW: &str = "registry_revision has lost its row";

/// "cached plan must not change result type", no such column, statement or function, such a statement
/// already.
const OUTDATED: [&str; 5] = ["0A000", "42703", "26000", "42883", "42P05"];

impl PostgresError {
    /// Which kind of trouble it is.
    pub fn trouble(&self) -> Trouble {
        match self {
            // A database that takes no connections at all, ALLOW_CONNECTIONS false.
            Self::Connect(error)
                if error.code() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) =>
            {
                Trouble::Login
            }
            Self::Driver(error) | Self::Connect(error) => of_driver(error),
            Self::Late { .. } | Self::Pool(_) => Trouble::Unreachable,
            Self::SchemaBehind(_) => Trouble::Schema,
            Self::Unreleased(_) => Trouble::Unreleased,
            Self::Encoding(_) => Trouble::Encoding,
            Self::TooOld { .. } => Trouble::TooOld,
            Self::Elsewhere { unusable, .. } if !unusable.is_empty() => Trouble::NotAllowed,
            Self::Elsewhere { .. } => Trouble::Elsewhere,
            Self::Hidden(_) => Trouble::Hidden,
            Self::Damaged(_) => Trouble::Unexpected,
        }
    }

    /// The same in words of the ports. `target` names the database, if the error is about that and
    /// not about the request.
    pub(super) fn sorted(&self, target: &str) -> DatabaseError {
        let error = DatabaseError::new(self.trouble(), self.to_string());
        match error.trouble {
            Trouble::Refused | Trouble::Conflict | Trouble::Locked => error,
            _ => error.at(target),
        }
    }

    /// Whether the statement may have been carried out although no answer came.
    pub(super) fn leaves_doubt(&self) -> bool {
        match self {
            Self::Driver(error) => error.as_db_error().is_none(),
            Self::Late { .. } => true,
            _ => false,
        }
    }

    /// Whether a prepared statement no longer fits: a column has another type, a view replaced a
    /// table, or the server does not know it on this connection.
    pub(super) fn is_outdated(&self) -> bool {
        let code = self.driver().and_then(tokio_postgres::Error::code);
        code.is_some_and(|code| OUTDATED.contains(&code.code()))
    }
}

/// For callers that know which database they asked.
impl From<PostgresError> for DatabaseError {
    fn from(error: PostgresError) -> Self {
        Self::new(error.trouble(), error.to_string())
    }
}

fn of_driver(error: &tokio_postgres::Error) -> Trouble {
    if let Some(refusal) = error.as_db_error() {
        return of_refusal(refusal);
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            // The driver's message for a server that `target_session_attrs` rejects.
            return match io.kind() {
                io::ErrorKind::PermissionDenied if io.raw_os_error().is_none() => Trouble::ReadOnly,
                _ => Trouble::Unreachable,
            };
        }
        cause = error.source();
    }
    let text = error.to_string();
    let starts = |openings: &[&str]| openings.iter().any(|opening| text.starts_with(opening));
    if starts(&["authentication", "invalid configuration"]) {
        Trouble::Login
    } else if starts(&[
        "error deserializing",
        "error serializing",
        "error parsing",
        "error encoding",
        "invalid column",
        "unexpected message",
        "query returned",
    ]) {
        Trouble::Unexpected
    } else {
        Trouble::Unreachable
    }
}

/// Which kind of trouble an answer of the database is.
pub(super) fn of_refusal(refusal: &DbError) -> Trouble {
    match refusal.code() {
        &SqlState::INSUFFICIENT_PRIVILEGE if is_about_hidden_rows(refusal) => Trouble::Hidden,
        &SqlState::RAISE_EXCEPTION if refusal.message() == LOST_ROW => Trouble::Unexpected,
        // Numbers are the database's own: its sequence is behind, as after a restore of rows alone.
        &SqlState::UNIQUE_VIOLATION if refusal.table() == Some("extension_audit_log") => {
            Trouble::Unexpected
        }
        code => match of_answer(code.code(), refusal.routine()) {
            Trouble::Unexpected if is_raised(refusal) => Trouble::Refused,
            trouble => trouble,
        },
    }
}

/// Whether an operator's function refuses, with a code of its own. Ours raise only what is known.
fn is_raised(refusal: &DbError) -> bool {
    let raised = matches!(
        refusal.routine(),
        Some("exec_stmt_raise" | "exec_stmt_assert")
    );
    raised && !refusal.code().code().starts_with("XX")
}

/// Both have the same code; the routine has one name in every language.
fn is_about_hidden_rows(refusal: &DbError) -> bool {
    refusal.routine() == Some("check_enable_rls")
        || refusal.message().contains("row-level security")
}

/// By SQLSTATE and the server's function, classes last.
fn of_answer(code: &str, routine: Option<&str>) -> Trouble {
    let class = code.get(..2).unwrap_or_default();
    match (code, class) {
        // At COMMIT there may be no room for a notification, because a session that listens reads none:
        // no request's fault, though the code is a limit's.
        ("54000", _) if routine == Some("PreCommit_Notify") => Trouble::Full,
        ("42501", _) => Trouble::NotAllowed,
        ("55P03", _) => Trouble::Locked,
        // Cancelled by a limit; a session or a transaction ended by one.
        ("57014" | "57P05" | "25P03" | "25P04", _) => Trouble::Slow,
        ("25006", _) => Trouble::ReadOnly,
        ("42P01" | "42703" | "42883" | "42704", _) | (_, "3F") => Trouble::Schema,
        (_, "28" | "3D") => Trouble::Login,
        (_, "53") => Trouble::Full,
        ("57P01" | "57P02" | "57P03" | "57P04", _) | (_, "08") => Trouble::Unreachable,
        (_, "40") => Trouble::Conflict,
        // A refusal by an operator's own trigger is a rule like any constraint.
        ("P0001", _) | (_, "22" | "23" | "0A" | "54" | "44") => Trouble::Refused,
        _ => Trouble::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::schema::SchemaState;
    use super::*;

    #[test]
    fn each_code_has_its_kind() {
        for (codes, trouble) in [
            (&["42501"][..], Trouble::NotAllowed),
            (&["55P03"], Trouble::Locked),
            (&["57014", "57P05", "25P03", "25P04"], Trouble::Slow),
            (&["25006"], Trouble::ReadOnly),
            (&["42P01", "42703", "42883", "3F000"], Trouble::Schema),
            (&["28P01", "28000", "3D000"], Trouble::Login),
            (&["53100", "53200", "53300"], Trouble::Full),
            (
                &["57P01", "57P02", "57P03", "08006", "08P01"],
                Trouble::Unreachable,
            ),
            (&["40001", "40P01"], Trouble::Conflict),
            (
                &[
                    "22021", "22P05", "22003", "23514", "23502", "0A000", "54000", "P0001",
                ],
                Trouble::Refused,
            ),
            (
                &["XX000", "42601", "21000", "58030", "?"],
                Trouble::Unexpected,
            ),
        ] {
            for code in codes {
                assert_eq!(of_answer(code, None), trouble, "{code}");
            }
        }
    }

    #[test]
    fn no_room_for_a_notification_is_not_the_requests_fault() {
        for (routine, trouble) in [
            (Some("PreCommit_Notify"), Trouble::Full),
            (Some("exec_stmt_raise"), Trouble::Refused),
            (None, Trouble::Refused),
        ] {
            assert_eq!(of_answer("54000", routine), trouble, "{routine:?}");
        }
    }

    /// A flush without an answer may have been written; one that got no connection was not.
    #[test]
    fn what_is_late_leaves_doubt_but_for_a_connection() {
        let late = PostgresError::Late {
            what: "a connection",
            limit: Duration::from_secs(15),
        };
        assert!(late.leaves_doubt());
        let before = late.before_use();
        assert!(!before.leaves_doubt());
        assert_eq!(before.trouble(), Trouble::Unreachable);
        assert_eq!(
            before.to_string(),
            "no connection: a connection took longer than 15s"
        );
    }

    #[test]
    fn what_is_found_wrong_without_an_error_is_sorted_too() {
        let elsewhere = |unusable: &[&str]| PostgresError::Elsewhere {
            search_path: "app".to_owned(),
            schemas: vec!["public".to_owned()],
            unusable: unusable.iter().map(ToString::to_string).collect(),
        };
        let error = elsewhere(&[]).sorted("a:1/b");
        assert_eq!(error.trouble, Trouble::Elsewhere);
        assert!(
            error.what.ends_with(
                "the registry's tables are in schema `public`, but search_path is `app`"
            ),
            "{error}"
        );
        let denied = elsewhere(&["public"]).sorted("a:1/b");
        assert_eq!(denied.trouble, Trouble::NotAllowed);
        assert!(
            denied
                .what
                .contains("permission denied for schema `public`"),
            "{denied}"
        );
        let behind = PostgresError::SchemaBehind(SchemaState { have: 3, need: 7 });
        assert_eq!(
            behind.sorted("a:1/b").to_string(),
            "a:1/b: the database schema is behind (has 3, needs 7): run `beamline-registry migrate`"
        );
        assert_eq!(
            PostgresError::Encoding("LATIN1".to_owned()).trouble(),
            Trouble::Encoding
        );
        let old = PostgresError::TooOld {
            version: "13.14".to_owned(),
            lacks: "unrecognized configuration parameter".to_owned(),
        };
        assert_eq!(
            old.sorted("a:1/b").to_string(),
            "a:1/b: the server is PostgreSQL 13.14, and the registry needs 14 or newer: \
             unrecognized configuration parameter: upgrade the server"
        );
    }
}
