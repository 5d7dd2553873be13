//! Answers that come in pages, followed to their end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::ArgMatches;
use serde_json::Value;
use serde_json::value::RawValue;

use super::commands::{Entry, Pages};
use super::document::{self, Fields};
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

/// The field that names what no page could hold.
pub(super) const OMITTED: &str = "omitted";

/// One page, of which only that is read which leads to the next one.
struct Page {
    /// As it was answered, byte for byte.
    body: Bytes,
    raw: Box<RawValue>,
    /// None of an answer that is no object.
    fields: Fields,
}

impl Page {
    fn of(reply: Reply) -> Result<Self, Failure> {
        let raw = document::raw(&reply.body)?;
        Ok(Self {
            fields: json::fields(&raw).unwrap_or_default(),
            body: reply.body,
            raw,
        })
    }

    fn field(&self, name: &str) -> Option<&RawValue> {
        self.fields.get(name).map(|raw| &**raw)
    }

    fn items(&self, pages: Pages) -> Vec<&RawValue> {
        document::members(self.field(pages.list))
    }

    fn next(&self) -> Option<&RawValue> {
        self.field("next").filter(|next| next.get() != "null")
    }
}

/// All pages of an answer.
pub(super) struct Answer {
    pages: Vec<Page>,
    elapsed: Duration,
}

impl Answer {
    /// Asks `to` for every page that `matches` wants.
    ///
    /// # Errors
    /// The first failure.
    pub(super) async fn of(
        session: &Session<'_>,
        to: To<'_>,
        entry: &Entry,
        matches: &ArgMatches,
        given: Vec<Given>,
    ) -> Result<Self, Failure> {
        let started = Instant::now();
        let mut pages = Vec::new();
        let gather = |page| {
            pages.push(page);
            Ok(())
        };
        each(session, to, entry, matches, given, gather).await?;
        Ok(Self {
            pages,
            elapsed: started.elapsed(),
        })
    }

    /// The text of each page.
    pub(super) fn texts(&self) -> impl Iterator<Item = &RawValue> {
        self.pages.iter().map(|page| &*page.raw)
    }

    /// All pages as one document for a view: the last one, with the items of all.
    pub(super) fn document(&self, entry: &Entry) -> Value {
        let last = self.pages.last().map(|page| document::value(&page.raw));
        let mut document = last.unwrap_or_default();
        if let Some(pages) = entry.pages
            && let Some(list) = document.get_mut(pages.list)
        {
            let items = self.pages.iter().flat_map(|page| page.items(pages));
            *list = items.map(document::value).collect();
        }
        if let Some(fields) = document.as_object_mut() {
            let omitted = self.pages.iter().map(|page| page.field(OMITTED));
            let omitted = omitted.flat_map(document::members).map(document::value);
            let omitted: Vec<Value> = omitted.collect();
            if !omitted.is_empty() {
                fields.insert(OMITTED.to_owned(), omitted.into());
            }
            let elapsed = self.elapsed.as_secs_f64() * 1e3;
            fields.insert(ELAPSED_MS.to_owned(), Value::from(elapsed));
        }
        document
    }
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
    let print = |page: Page| {
        screen.bytes(&page.body, true)?;
        let errors = page.field("errors").map(document::value);
        outcome = failure::of_parts(errors.as_ref());
        Ok(())
    };
    each(session, session.to(), entry, matches, given, print).await?;
    outcome
}

/// Asks `to` for every page that `matches` wants, and gives each to `found` as it comes.
async fn each(
    session: &Session<'_>,
    to: To<'_>,
    entry: &Entry,
    matches: &ArgMatches,
    mut given: Vec<Given>,
    mut found: impl FnMut(Page) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(pages) = entry.pages else {
        let reply = session.ask(to, entry.verb, &json::object(given)).await?;
        return found(Page::of(reply)?);
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
        let page = Page::of(reply)?;
        left = left.saturating_sub(page.items(pages).len());
        let next = page.next().map(ToOwned::to_owned);
        found(page)?;
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
