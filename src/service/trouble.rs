//! What can be wrong with the database, by kind. Every place that reports it, for operators and for
//! programs, uses this: log, `stats`, `/readyz`, `check` and the codes of replies.

use std::fmt;

use crate::domain::words::words;

words! {
    /// The kinds of trouble. Only [`Trouble::Unreachable`] means that there is no answer; all others
    /// are answers of the database itself.
    pub enum Trouble {
        /// No connection can be made, it broke, or nothing came back in time.
        Unreachable = "unreachable",
        /// It does not let this account in, or there is no such database.
        Login = "login",
        /// The account lacks a right.
        NotAllowed = "not_allowed",
        /// Rows are there that the account may not see.
        Hidden = "hidden",
        /// Migrations are missing, or a table or column is.
        Schema = "schema",
        /// Its tables are a version's that was never released.
        Unreleased = "unreleased",
        /// The tables are in a schema that the search path does not lead to.
        Elsewhere = "elsewhere",
        /// Its encoding is not UTF8.
        Encoding = "encoding",
        /// The server is older than what the registry needs.
        TooOld = "too_old",
        /// Another transaction's lock was in the way for too long.
        Locked = "locked",
        /// Another transaction came between; worth another attempt.
        Conflict = "conflict",
        /// It ended a statement or a session that took too long.
        Slow = "slow",
        /// It takes no changes now: a standby, or a server that is kept from writing.
        ReadOnly = "read_only",
        /// It has no room, memory or connection left.
        Full = "full",
        /// It does not take a value.
        Refused = "refused",
        /// Anything else: a fault of this program, or of the server.
        Unexpected = "unexpected",
    }
}

impl Trouble {
    /// What comes before the database's own words.
    const fn opening(self) -> &'static str {
        match self {
            Self::Unreachable => "the database is unreachable: ",
            Self::Login => "the database refuses the login: ",
            Self::Hidden => "the database hides rows: ",
            Self::Locked => "the database is locked: ",
            Self::Conflict => "conflict with another transaction: ",
            Self::Slow => "the database took too long: ",
            Self::ReadOnly => "the database is read-only: ",
            Self::Full => "the database is out of resources: ",
            Self::Refused => "the database refuses: ",
            Self::NotAllowed
            | Self::Schema
            | Self::Unreleased
            | Self::Elsewhere
            | Self::Encoding
            | Self::TooOld => "",
            Self::Unexpected => "the database answered an unexpected error: ",
        }
    }

    /// What an operator does about it, where that is always the same.
    const fn advice(self) -> &'static str {
        match self {
            Self::NotAllowed => ". Run deploy/postgres/grants.sql",
            Self::Hidden => {
                ". Run ALTER TABLE ... DISABLE ROW LEVEL SECURITY, or put the table back"
            }
            Self::Conflict => ": try again",
            Self::Schema => ": run `beamline-registry migrate`",
            Self::Unreleased => {
                ": export with that version, and import into a new database with this one"
            }
            Self::Elsewhere => {
                ": set the search_path of the account (ALTER ROLE ... SET search_path), or give it \
                 USAGE on that schema"
            }
            Self::Encoding => {
                ": make a database with ENCODING 'UTF8' TEMPLATE template0, dump and restore"
            }
            Self::TooOld => ": upgrade the server",
            _ => "",
        }
    }
}

/// Why the database did not do what was asked. `Display` is for the log and for operators' commands;
/// no secrets, no rows. Everyone else gets [`Self::outside`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DatabaseError {
    /// Which kind of trouble.
    pub trouble: Trouble,
    /// Which database; empty where it is about the request.
    pub place: String,
    /// Its own words.
    pub what: String,
    /// The holder of the lock, if the database reports it.
    pub blocked_by: Option<String>,
}

impl DatabaseError {
    /// An error of a kind, in words.
    pub fn new(trouble: Trouble, what: impl Into<String>) -> Self {
        Self {
            trouble,
            place: String::new(),
            what: what.into(),
            blocked_by: None,
        }
    }

    /// The same of the database at `place`.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        let place = place.to_owned();
        Self { place, ..self }
    }

    /// There is no answer.
    pub fn unreachable(what: impl Into<String>) -> Self {
        Self::new(Trouble::Unreachable, what)
    }

    /// The same for callers, `stats` and `/readyz`: not which database it is. What a connection or a
    /// login is refused with names hosts and accounts; the log has it.
    pub fn outside(&self) -> String {
        match self.trouble {
            Trouble::Unreachable | Trouble::Login => {
                self.trouble.opening().trim_end_matches(": ").to_owned()
            }
            _ => self.clone().at("").to_string(),
        }
    }

    /// Whether it may be gone by itself within a moment.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self.trouble, Trouble::Unreachable)
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.trouble.opening())?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.what)?;
        if let Some(blocked_by) = &self.blocked_by {
            write!(f, ", blocked by {blocked_by}")?;
        }
        f.write_str(self.trouble.advice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_words_and_only_one_is_unreachable() {
        let mut seen = std::collections::BTreeSet::new();
        for trouble in Trouble::ALL {
            let text = DatabaseError::new(trouble, "x").to_string();
            assert_eq!(
                text.contains("unreachable"),
                trouble == Trouble::Unreachable
            );
            assert!(!text.contains("away"), "{text}");
            assert!(seen.insert(text), "{trouble:?} has words of its own");
        }
    }

    #[test]
    fn nobody_outside_is_told_where_it_is() {
        let hba = "no pg_hba.conf entry for host \"10.0.0.7\", user \"ann\", database \"b\"";
        for (trouble, what, outside) in [
            (Trouble::Login, hba, "the database refuses the login"),
            (
                Trouble::Unreachable,
                "certificate not valid for name \"db.example\"",
                "the database is unreachable",
            ),
            (
                Trouble::Schema,
                "the schema is behind",
                "the schema is behind: run `beamline-registry migrate`",
            ),
            (
                Trouble::Full,
                "too many clients",
                "the database is out of resources: too many clients",
            ),
        ] {
            let error = DatabaseError::new(trouble, what).at("db.example:5432/b");
            assert_eq!(error.outside(), outside);
            let log = format!("db.example:5432/b: {what}");
            assert!(error.to_string().contains(&log), "{error}");
        }
    }

    #[test]
    fn what_to_do_is_part_of_the_message() {
        let error = DatabaseError::new(
            Trouble::NotAllowed,
            "permission denied for table extensions",
        );
        assert_eq!(
            error.to_string(),
            "permission denied for table extensions. Run deploy/postgres/grants.sql"
        );
        let error = DatabaseError {
            blocked_by: Some("pid 7, psql, ann".to_owned()),
            ..DatabaseError::new(Trouble::Locked, "canceled")
        };
        assert_eq!(
            error.to_string(),
            "the database is locked: canceled, blocked by pid 7, psql, ann"
        );
    }
}
