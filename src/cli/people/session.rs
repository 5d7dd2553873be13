//! A patience, and how its requests are sent: to whom, as whom, with how much patience.

use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use clap::ArgMatches;
use serde_json::value::RawValue;

use super::arguments::PATIENCE;
use super::failure::{Failure, Refused};
use crate::adapters::nats::ask::{AskError, Asker, Replies, Reply, To, servers};
use crate::adapters::nats::verb::Verb;
use crate::config::Settings;
use crate::documents::headers::ACTOR;
use crate::domain::actor::{Actor, ActorSource};

/// A connection and the manner of asking over it.
pub(super) struct Session<'a> {
    pub(super) asker: Asker,
    pub(super) prefix: &'a str,
    pub(super) servers: String,
    pub(super) patience: Duration,
    /// Who is asked, unless all are.
    to: To<'a>,
}

impl<'a> Session<'a> {
    /// Connects as settings and arguments say.
    pub(super) async fn open(
        settings: &'a Settings,
        matches: &'a ArgMatches,
    ) -> Result<Self, Failure> {
        // Not every command has every argument.
        let text = |name| matches.try_get_one::<String>(name).ok().flatten();
        let text = |name| text(name).map(String::as_str);
        let patience = matches.get_one::<Duration>("wait").copied();
        let patience = patience.unwrap_or(PATIENCE);
        let name = user().map_or_else(
            || "beamline-registry/cli".to_owned(),
            |user| format!("beamline-registry/cli/{user}"),
        );
        let asker = Asker::connect(&settings.nats, &name, patience).await?;
        Ok(Self {
            asker,
            prefix: settings.subjects.prefix.as_str(),
            servers: servers(&settings.nats),
            patience,
            to: match (text("as"), text("local")) {
                (Some(actor), _) => To::As(actor),
                (None, Some(instance)) => To::Local(instance),
                (None, None) => To::Any,
            },
        })
    }

    /// The answer to a request.
    pub(super) async fn ask(
        &self,
        to: To<'_>,
        verb: Verb,
        body: &RawValue,
    ) -> Result<Reply, Failure> {
        let mut replies = self.send(to, verb, body, HeaderMap::new()).await?;
        let reply = self.next(to, &mut replies, self.patience).await?;
        match Refused::of(&reply) {
            Some(refused) => Err(Failure::Refused(refused)),
            None => Ok(reply),
        }
    }

    /// Sends a request whose replies are read by the caller.
    pub(super) async fn send(
        &self,
        to: To<'_>,
        verb: Verb,
        body: &RawValue,
        mut headers: HeaderMap,
    ) -> Result<Replies, Failure> {
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

    /// The next reply to a request that was sent `to` somebody.
    pub(super) async fn next(
        &self,
        to: To<'_>,
        replies: &mut Replies,
        patience: Duration,
    ) -> Result<Reply, Failure> {
        let reply = replies.next(patience).await;
        reply.map_err(|error| self.explain(to, error))
    }

    /// Who is asked.
    pub(super) fn to(&self) -> To<'a> {
        self.to
    }

    fn explain(&self, to: To<'_>, error: AskError) -> Failure {
        let place = format!("under `{}` at {}", self.prefix, self.servers);
        match (error, to) {
            (AskError::NoResponders, To::Local(name)) => {
                Failure::Unanswered(format!("no sidecar `{name}` answers {place}"))
            }
            (AskError::NoResponders, _) => {
                Failure::Unanswered(format!("no registry answers {place}"))
            }
            (AskError::Silent(patience), _) => Failure::Unanswered(format!(
                "no answer {place} within {}",
                humantime::format_duration(patience)
            )),
            (error, _) => error.into(),
        }
    }
}

/// The user's name at the operating system, where it can be audited.
fn user() -> Option<String> {
    let name = whoami::username().ok()?;
    Actor::parse(&name, ActorSource::Header).ok().map(|_| name)
}
