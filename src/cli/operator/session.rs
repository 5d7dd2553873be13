//! A connection, and how requests are sent over it: to which sidecar, as which actor, with which
//! timeout.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use clap::ArgMatches;
use serde_json::value::RawValue;

use super::arguments::{PATIENCE, patience_with};
use super::failure::{Failure, Outcome};
use super::text::clean;
use crate::adapters::nats::ask::{AskError, Asker, Replies, Reply, To, servers};
use crate::adapters::nats::verb::Verb;
use crate::cli::screen::Screen;
use crate::cli::{Invocation, err};
use crate::documents::headers::{ACTOR, SOURCE, STALE_MS};
use crate::domain::actor::{Actor, ActorSource};

/// A connection and the manner of asking over it.
pub(super) struct Session<'a> {
    /// What was typed.
    pub(super) matches: &'a ArgMatches,
    pub(super) screen: &'a Screen,
    pub(super) asker: Asker,
    pub(super) prefix: &'a str,
    /// Where all this is, in words.
    pub(super) servers: String,
    pub(super) patience: Duration,
    /// Which sidecar is asked, unless all are.
    pub(super) to: To<'a>,
    /// Sidecars whose data was already reported to come from elsewhere.
    told: RefCell<BTreeSet<String>>,
}

impl<'a> Session<'a> {
    /// Connects by settings and arguments.
    pub(super) async fn open(invocation: &'a Invocation) -> Outcome<Self> {
        let (settings, matches) = (&invocation.settings, &invocation.arguments);
        // Not every command has every argument.
        let text = |name| matches.try_get_one::<String>(name).ok().flatten();
        let patience = matches.get_one("wait").copied().unwrap_or(PATIENCE);
        let user = user().map(|user| format!("/{user}")).unwrap_or_default();
        let name = format!("beamline-registry/cli{user}");
        Ok(Self {
            matches,
            screen: &invocation.screen,
            asker: Asker::connect(&settings.nats, &name, patience).await?,
            prefix: settings.subjects.prefix.as_str(),
            servers: servers(&settings.nats),
            patience,
            to: match (text("as"), text("local")) {
                (Some(actor), _) => To::As(actor),
                (None, Some(instance)) => To::Local(instance),
                (None, None) => To::Any,
            },
            told: RefCell::default(),
        })
    }

    /// The answer to a request.
    pub(super) async fn ask(&self, to: To<'_>, verb: Verb, body: &RawValue) -> Outcome<Reply> {
        let mut replies = self.send(to, verb, body, HeaderMap::new()).await?;
        let patience = self.matches.get_one::<Duration>("wait").copied();
        let patience = patience.unwrap_or(patience_with(verb));
        let reply = self.next(to, &mut replies, patience).await?;
        Failure::of(&reply).map_or(Ok(reply), Err)
    }

    /// Sends a request whose replies are read by the caller.
    pub(super) async fn send(
        &self,
        to: To<'_>,
        verb: Verb,
        body: &RawValue,
        mut headers: HeaderMap,
    ) -> Outcome<Replies> {
        if verb.mutates()
            && !matches!(to, To::As(_))
            && let Some(user) = user().and_then(|user| user.parse::<HeaderValue>().ok())
        {
            headers.insert(ACTOR, user);
        }
        let subject = to.subject(self.prefix, verb);
        let body = Bytes::copy_from_slice(body.get().as_bytes());
        let sent = self.asker.ask(subject, headers, body, self.patience);
        sent.await.map_err(|error| self.explain(to, error))
    }

    /// The next reply to a request that was sent to `to`.
    pub(super) async fn next(
        &self,
        to: To<'_>,
        replies: &mut Replies,
        patience: Duration,
    ) -> Outcome<Reply> {
        let reply = replies.next(patience).await;
        let reply = reply.map_err(|error| self.explain(to, error))?;
        self.tell_origin(to, &reply);
        Ok(reply)
    }

    /// Reports where the data comes from, unless from a database that answers: once for each
    /// sidecar that is asked by name, and once for all others.
    fn tell_origin(&self, to: To<'_>, reply: &Reply) {
        let place = match to {
            // Each is asked by its name afterwards.
            To::All => return,
            To::Local(name) => format!("sidecar `{name}`: "),
            To::Any | To::As(_) => String::new(),
        };
        let Some(origin) = origin(reply.header(SOURCE), reply.header(STALE_MS)) else {
            return;
        };
        let line = clean(&format!("note: {place}{origin}"));
        if self.told.borrow_mut().insert(place) {
            err(&line);
        }
    }

    /// Why a request that was sent to `to` has no answer.
    pub(super) fn explain(&self, to: To<'_>, error: AskError) -> Failure {
        let place = format!("under `{}` at {}", self.prefix, self.servers);
        Failure::unanswered(&match (error, to) {
            (AskError::NoResponders, To::Local(name)) => {
                format!("no sidecar `{name}` answers {place}")
            }
            (AskError::NoResponders, _) => format!("no registry answers {place}"),
            (AskError::Silent(patience), _) => {
                let patience = humantime::format_duration(patience);
                format!("no answer {place} within {patience}")
            }
            (error, _) => error.to_string(),
        })
    }
}

/// Where data comes from, by the headers of a reply. A database that answers may be of no use, too.
fn origin(source: Option<&str>, stale_ms: Option<&str>) -> Option<String> {
    let from = |source: &str| format!("from {source}, as no database could be used yet");
    let stale = |ms: &str| format!("as of {ms} ms ago, as the database cannot be used");
    source.map(from).or(stale_ms.map(stale))
}

/// The user's name at the operating system, where it can be audited.
fn user() -> Option<String> {
    let name = whoami::username().ok()?;
    Actor::parse(&name, ActorSource::Header).ok().map(|_| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_answers_is_not_called_unreachable() {
        let stale = "as of 7 ms ago, as the database cannot be used";
        let files = "from fixtures, as no database could be used yet";
        for (source, stale_ms, told) in [
            (None, None, None),
            (None, Some("7"), Some(stale)),
            (Some("fixtures"), None, Some(files)),
            (Some("fixtures"), Some("7"), Some(files)),
        ] {
            assert_eq!(origin(source, stale_ms).as_deref(), told);
        }
    }
}
