//! Asking every sidecar: first which ones there are, then each by its own name, so that every
//! answer has a name and long answers have pages.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::value::RawValue;

use super::commands;
use super::failure::{Failure, Outcome};
use super::field::Given;
use super::pages::Answer;
use super::session::Session;
use super::show::{View, columns};
use super::{form, is_json, json, text};
use crate::adapters::nats::ask::{AskError, To};
use crate::adapters::nats::verb::Verb;
use crate::cli::document::{list, string};
use crate::cli::err;
use crate::cli::screen::{Screen, Tone};
use crate::cli::table::{Column, fit};
use crate::domain::subject::is_token;

/// After the last sidecar has answered, how long for another one.
const QUIET: Duration = Duration::from_millis(500);
/// Sidecars asked in all; a fleet has some dozens.
const MAX_INSTANCES: usize = 1024;
/// Sidecars asked at a time.
const AT_ONCE: usize = 32;

/// A row for each sidecar, or for each item of its answer; its name alone, or documents one per line,
/// where that is asked for.
pub(super) async fn run(
    session: &Session<'_>,
    verb: Verb,
    chosen: &str,
    given: Vec<Given>,
    screen: &Screen,
) -> Outcome<()> {
    let json = is_json(session.matches);
    let instances = instances(session).await?;
    let asking = instances.iter().map(|instance| {
        let answer = Answer::of(session, To::Local(instance), verb, given.clone());
        answer.map(move |answer| (instance.as_str(), answer))
    });
    let answers: Vec<_> = stream::iter(asking).buffered(AT_ONCE).collect().await;
    let (mut outcome, mut documents) = (Ok(()), Vec::new());
    for (instance, answer) in answers {
        match answer {
            Ok(answer) if !json => documents.push((instance, answer.document(verb))),
            Ok(answer) => {
                for page in answer.pages {
                    let name = json::value(&instance);
                    let start = format!(r#"{{"instance_id":{name},"answer":"#);
                    screen.bytes(&[start.as_bytes(), page.trim_ascii(), b"}"].concat(), true)?;
                }
            }
            Err(failure) => {
                err(&format!("{}:", text::clean(instance)));
                failure.report(json);
                outcome = Err(Failure::told());
            }
        }
    }
    if form(session.matches) == Some("name") {
        for (instance, _) in &documents {
            screen.line(&text::clean(instance))?;
        }
    } else if !documents.is_empty() {
        screen.line(&drawn(commands::view(verb), chosen, &documents, screen))?;
    }
    outcome
}

/// The sidecars that answer, in order: those that do within the session's patience, and no more
/// than [`MAX_INSTANCES`], since a client that may reply can do so under any name, for ever.
async fn instances(session: &Session<'_>) -> Outcome<BTreeSet<String>> {
    let (verb, nothing, headers) = (Verb::Ping, json::object([]), HeaderMap::new());
    let mut replies = session.send(To::All, verb, &nothing, headers).await?;
    let deadline = Instant::now() + session.patience;
    let mut instances = BTreeSet::new();
    while instances.len() < MAX_INSTANCES {
        let left = deadline.saturating_duration_since(Instant::now());
        let patience = match instances.is_empty() {
            true => left,
            false => left.min(QUIET),
        };
        match session.next(To::All, &mut replies, patience).await {
            Ok(reply) if !left.is_zero() => {
                // None of a name that cannot be part of a subject.
                let name = super::raw(&reply.body).map(|pong| string(pong, "instance_id"));
                instances.extend(name.ok().filter(|name| is_token(name)));
            }
            Err(failure) if instances.is_empty() && !left.is_zero() => return Err(failure),
            _ if instances.is_empty() => {
                return Err(session.explain(To::All, AskError::Silent(session.patience)));
            }
            _ => return Ok(instances),
        }
    }
    err(&format!("only {MAX_INSTANCES} sidecars are asked"));
    Ok(instances)
}

/// What all sidecars of a fleet should have alike.
const ALIKE: [&str; 4] = ["version", "settings", "source", "epoch"];

/// Marks the cells that differ from what most have, or all where no value has a majority of them: in
/// words too, for readers without colours.
fn mark_odd_ones(column: &mut Column) {
    let texts: Vec<String> = column.cells.iter().map(|cell| cell.text.clone()).collect();
    let times = |text: &String| texts.iter().filter(|other| *other == text).count();
    let most = texts.iter().map(times).max().unwrap_or_default();
    let usual = |text: &&String| times(text) == most;
    let first = texts.iter().find(usual);
    let contested = texts.iter().any(|text| usual(&text) && Some(text) != first);
    for (cell, text) in column.cells.iter_mut().zip(&texts) {
        if contested || times(text) < most {
            cell.text.push_str(" differs");
            cell.tone = Tone::Doubtful;
        }
    }
}

/// One table for the answers of all: the `chosen` columns of each, else the view's.
fn drawn(view: View, chosen: &str, answered: &[(&str, Box<RawValue>)], screen: &Screen) -> String {
    let (name, chosen) = match view {
        View::Rows(name, of_view) if chosen.is_empty() => (name, of_view),
        _ => ("", chosen),
    };
    let found = answered.iter().flat_map(|(instance, document)| {
        let rows = match name {
            "" => vec![&**document],
            name => list(document, name),
        };
        rows.into_iter().map(|row| (text::clean(instance), row))
    });
    let (instances, rows): (Vec<_>, Vec<_>) = found.unzip();
    if rows.is_empty() {
        return format!("nothing to show from {} sidecars", answered.len());
    }
    let mut table = vec![Column::new("instance", instances)];
    table.extend(columns(&rows, chosen, |_, _| None, screen));
    if name.is_empty() {
        let alike = table.iter_mut();
        let alike = alike.filter(|column| ALIKE.contains(&column.name.as_str()));
        alike.for_each(mark_odd_ones);
    }
    fit(table, screen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sidecar_that_differs_is_marked() {
        let marked = |cells: &[&str]| {
            let mut column = Column::new("settings", cells.iter().copied());
            mark_odd_ones(&mut column);
            let texts = column.cells.into_iter().map(|cell| cell.text);
            texts.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(marked(&["a", "a"]), "a, a");
        assert_eq!(marked(&["a", "b", "a"]), "a, b differs, a");
        assert_eq!(marked(&["a"]), "a");
        assert_eq!(marked(&["a", "b"]), "a differs, b differs");
        let halves = marked(&["a", "b", "a", "b", "c"]);
        assert_eq!(halves.matches("differs").count(), 5, "{halves}");
    }
}
