//! Asking every sidecar: first who is there, then each by its own name, so that every answer has
//! one, and long ones their pages.

use std::time::Duration;

use async_nats::HeaderMap;
use clap::ArgMatches;
use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::commands::{Entry, Fleet};
use super::failure::Failure;
use super::field::Given;
use super::json;
use super::pages;
use super::screen::Screen;
use super::session::Session;
use super::table::{self, Cell};
use super::text;
use crate::adapters::nats::ask::To;
use crate::adapters::nats::verb::Verb;
use crate::cli::err;

/// After the last sidecar has answered, how long for another one.
const QUIET: Duration = Duration::from_millis(500);
/// Sidecars asked at a time.
const AT_ONCE: usize = 32;

/// A row for each sidecar, or for each item of its answer; documents one per line for `--json`.
pub(super) async fn run(
    session: &Session<'_>,
    entry: &Entry,
    fleet: Fleet,
    matches: &ArgMatches,
    given: Vec<Given>,
    screen: &Screen,
) -> Result<(), Failure> {
    let instances = instances(session).await?;
    let json = super::is_set(matches, "json");
    let asking = instances.iter().map(|instance| {
        let given = given.clone();
        async move {
            let to = To::Local(instance);
            let answer = match json {
                true => pages::texts(session, to, entry, matches, given)
                    .await
                    .map(Answer::Texts),
                false => pages::all(session, to, entry, matches, given)
                    .await
                    .map(Answer::Document),
            };
            (instance.as_str(), answer)
        }
    });
    let answers: Vec<_> = stream::iter(asking).buffered(AT_ONCE).collect().await;
    let mut outcome = Ok(());
    let mut documents = Vec::new();
    for (instance_id, answer) in answers {
        match answer {
            Ok(Answer::Document(document)) => documents.push((instance_id, document)),
            Ok(Answer::Texts(texts)) => {
                for answer in &texts {
                    let line = Line {
                        instance_id,
                        answer,
                    };
                    screen.line(json::value(&line).get())?;
                }
            }
            Err(failure) => {
                err(&format!("{}:", text::clean(instance_id)));
                failure.tell(json);
                outcome = Err(Failure::Told);
            }
        }
    }
    if !json {
        screen.line(&drawn(fleet, &documents, screen))?;
    }
    outcome
}

/// What one sidecar answers: for people as one document, for scripts as it came.
enum Answer {
    Document(Value),
    Texts(Vec<Box<RawValue>>),
}

#[derive(Serialize)]
struct Line<'a> {
    instance_id: &'a str,
    answer: &'a RawValue,
}

/// The sidecars that answer, in order.
async fn instances(session: &Session<'_>) -> Result<Vec<String>, Failure> {
    let nothing = json::object([]);
    let mut replies = session
        .send(To::All, Verb::Ping, &nothing, HeaderMap::new())
        .await?;
    let mut instances = Vec::new();
    let mut patience = session.patience;
    loop {
        let reply = session.next(To::All, &mut replies, patience).await;
        match reply {
            Ok(reply) => {
                let document: Option<Value> = serde_json::from_slice(&reply.body).ok();
                let name = document
                    .as_ref()
                    .map(|pong| text::string(pong, "/instance_id"));
                instances.extend(name.filter(|name| !name.is_empty()).map(str::to_owned));
                patience = QUIET.min(session.patience);
            }
            Err(failure) if instances.is_empty() => return Err(failure),
            Err(_) => break,
        }
    }
    instances.sort_unstable();
    instances.dedup();
    Ok(instances)
}

fn drawn(fleet: Fleet, answered: &[(&str, Value)], screen: &Screen) -> String {
    let rows = |(_, document): &(&str, Value)| (fleet.rows)(document).len();
    let Some((_, first)) = answered
        .first()
        .filter(|_| answered.iter().map(rows).sum::<usize>() > 0)
    else {
        return format!("nothing to show from {} sidecars", answered.len());
    };
    let columns = (fleet.columns)(first);
    let header: Vec<_> = ["instance"]
        .into_iter()
        .chain(columns.iter().map(|(name, _)| *name))
        .collect();
    let rows = answered.iter().flat_map(|(instance, document)| {
        let rows = (fleet.rows)(document).into_iter();
        rows.map(move |row| {
            let cells = columns.iter().map(|(_, cell)| cell(row));
            [Cell::new(text::clean(instance))]
                .into_iter()
                .chain(cells)
                .collect()
        })
    });
    table::draw(&header, rows, screen)
}
