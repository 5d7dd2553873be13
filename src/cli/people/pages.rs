//! Answers that come in pages, followed to their end.

use std::time::Instant;

use clap::ArgMatches;
use serde_json::Value;
use serde_json::value::RawValue;

use super::commands::{Entry, Pages};
use super::failure::{self, Failure};
use super::field::Given;
use super::json;
use super::screen::Screen;
use super::session::Session;
use crate::adapters::nats::ask::{Reply, To};

/// The most items that a registry puts on a page.
const PAGE: usize = 1000;

/// The field that views find beside those of an answer: how long it took, in milliseconds.
pub(super) const ELAPSED_MS: &str = "elapsed_ms";

/// Asks `to` for every page that `matches` wants, and gives each to `page` as it comes.
///
/// # Errors
/// The first failure.
pub(super) async fn each(
    session: &Session<'_>,
    to: To<'_>,
    entry: &Entry,
    matches: &ArgMatches,
    mut given: Vec<Given>,
    mut page: impl FnMut(Reply, Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(pages) = entry.pages else {
        let reply = session.ask(to, entry.verb, &json::object(given)).await?;
        let document = document(&reply)?;
        return page(reply, document);
    };
    let limit = matches.get_one::<u64>("limit");
    let limit = limit
        .and_then(|limit| usize::try_from(*limit).ok())
        .or(pages.shown);
    let mut left = limit.unwrap_or(usize::MAX);
    while left > 0 {
        let mut body = given.clone();
        body.push(("limit".to_owned(), json::value(&left.min(PAGE))));
        let reply = session.ask(to, entry.verb, &json::object(body)).await?;
        let document = document(&reply)?;
        let items = document.get(pages.list).and_then(Value::as_array);
        left = left.saturating_sub(items.map_or(0, Vec::len));
        let next = document
            .get("next")
            .filter(|next| !next.is_null())
            .map(json::value);
        page(reply, document)?;
        let Some(next) = next else { break };
        let seen = given
            .iter()
            .any(|(name, value)| name == pages.cursor && value.get() == next.get());
        if seen {
            break;
        }
        given.retain(|(name, _)| name != pages.cursor);
        given.push((pages.cursor.to_owned(), next));
    }
    Ok(())
}

/// All pages as one document: the last one, with the items of all.
pub(super) async fn all(
    session: &Session<'_>,
    to: To<'_>,
    entry: &Entry,
    matches: &ArgMatches,
    given: Vec<Given>,
) -> Result<Value, Failure> {
    let started = Instant::now();
    let mut items = Vec::new();
    let mut last = Value::Null;
    let gather = |_, mut document: Value| {
        if let Some(pages) = entry.pages {
            items.append(&mut taken(pages, &mut document));
        }
        last = document;
        Ok(())
    };
    each(session, to, entry, matches, given, gather).await?;
    if let Some(list) = entry.pages.and_then(|pages| last.get_mut(pages.list)) {
        *list = Value::Array(items);
    }
    if let Some(fields) = last.as_object_mut() {
        let elapsed = started.elapsed().as_secs_f64() * 1e3;
        fields.insert(ELAPSED_MS.to_owned(), Value::from(elapsed));
    }
    Ok(last)
}

/// The text of each page, as it was answered.
pub(super) async fn texts(
    session: &Session<'_>,
    to: To<'_>,
    entry: &Entry,
    matches: &ArgMatches,
    given: Vec<Given>,
) -> Result<Vec<Box<RawValue>>, Failure> {
    let mut texts = Vec::new();
    let gather = |reply: Reply, _| {
        texts.extend(serde_json::from_slice::<Box<RawValue>>(&reply.body));
        Ok(())
    };
    each(session, to, entry, matches, given, gather).await?;
    Ok(texts)
}

/// Prints each page as it was answered, one per line.
pub(super) async fn raw(
    session: &Session<'_>,
    entry: &Entry,
    matches: &ArgMatches,
    given: Vec<Given>,
    screen: &Screen,
) -> Result<(), Failure> {
    let mut outcome = Ok(());
    let print = |reply: Reply, document| {
        screen.bytes(&reply.body, true)?;
        outcome = failure::of_parts(&document);
        Ok(())
    };
    each(session, session.to(), entry, matches, given, print).await?;
    outcome
}

fn taken(pages: Pages, document: &mut Value) -> Vec<Value> {
    match document.get_mut(pages.list).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn document(reply: &Reply) -> Result<Value, Failure> {
    serde_json::from_slice(&reply.body)
        .map_err(|_| Failure::Unanswered("the answer is no JSON: is this a registry?".to_owned()))
}
