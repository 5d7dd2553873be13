//! Asking every sidecar: first who is there, then each by its own name, so that every answer has
//! one, and long ones their pages.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use clap::ArgMatches;
use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::commands::{Entry, Fleet};
use super::document;
use super::failure::Failure;
use super::field::Given;
use super::json;
use super::pages::Answer;
use super::screen::Screen;
use super::session::Session;
use super::table::{self, Cell};
use super::text;
use crate::adapters::nats::ask::{AskError, Reply, To};
use crate::adapters::nats::verb::Verb;
use crate::cli::err;
use crate::domain::subject::is_token;

/// After the last sidecar has answered, how long for another one.
const QUIET: Duration = Duration::from_millis(500);
/// Sidecars asked in all; a fleet has some dozens.
const MAX_INSTANCES: usize = 1024;
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
            let answer = Answer::of(session, to, entry, matches, given).await;
            (instance.as_str(), answer)
        }
    });
    let answers: Vec<_> = stream::iter(asking).buffered(AT_ONCE).collect().await;
    let mut outcome = Ok(());
    let mut documents = Vec::new();
    for (instance_id, answer) in answers {
        match answer {
            Ok(answer) if !json => documents.push((instance_id, answer.document(entry))),
            Ok(answer) => {
                for answer in answer.texts() {
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

#[derive(Serialize)]
struct Line<'a> {
    instance_id: &'a str,
    answer: &'a RawValue,
}

/// The sidecars that answer, in order: those that do within the session's patience, and no more
/// than [`MAX_INSTANCES`], since whoever may reply can do so under any name, for ever.
async fn instances(session: &Session<'_>) -> Result<BTreeSet<String>, Failure> {
    let nothing = json::object([]);
    let mut replies = session
        .send(To::All, Verb::Ping, &nothing, HeaderMap::new())
        .await?;
    let deadline = Instant::now() + session.patience;
    let mut instances = BTreeSet::new();
    let mut patience = session.patience;
    while !patience.is_zero() {
        match session.next(To::All, &mut replies, patience).await {
            Ok(reply) => instances.extend(name(&reply)),
            Err(failure) if instances.is_empty() => return Err(failure),
            Err(_) => break,
        }
        if instances.len() == MAX_INSTANCES {
            err(&format!(
                "only the first {MAX_INSTANCES} sidecars that answered are asked"
            ));
            break;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        patience = match instances.is_empty() {
            true => left,
            false => QUIET.min(left),
        };
    }
    match instances.is_empty() {
        true => Err(session.explain(To::All, AskError::Silent(session.patience))),
        false => Ok(instances),
    }
}

/// Whose pong this is; none of a name that cannot be part of a subject.
fn name(pong: &Reply) -> Option<String> {
    let document = document::parsed(&pong.body).ok()?;
    let name = text::string(&document, "/instance_id");
    is_token(name).then(|| name.to_owned())
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
