//! Answers that come in pages, followed to their end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::commands;
use super::failure::Outcome;
use super::field::Given;
use super::session::Session;
use super::{json, raw};
use crate::adapters::nats::ask::To;
use crate::adapters::nats::verb::Verb;
use crate::cli::document::{at, fields, list};

/// The most items that a registry puts on a page.
const PAGE: usize = 1000;

/// All pages of an answer, each JSON as it was answered.
pub(super) struct Answer {
    pub(super) pages: Vec<Bytes>,
    elapsed: Duration,
}

impl Answer {
    /// Asks `to` for every page that is wanted.
    ///
    /// # Errors
    /// The first failure.
    pub(super) async fn of(
        session: &Session<'_>,
        to: To<'_>,
        verb: Verb,
        mut given: Vec<Given>,
    ) -> Outcome<Self> {
        let (started, divided) = (Instant::now(), commands::pages(verb));
        let limit = || Some(*session.matches.get_one::<u64>("limit")?);
        let limit = divided.and_then(|pages| match limit() {
            Some(limit) => usize::try_from(limit).ok(),
            None => pages.shown,
        });
        let (mut pages, mut left) = (Vec::new(), limit.unwrap_or(usize::MAX));
        while left > 0 {
            let mut body = given.clone();
            if divided.is_some() {
                body.push(("limit".to_owned(), json::value(&left.min(PAGE))));
            }
            let page = session.ask(to, verb, &json::object(body)).await?.body;
            let document = raw(&page)?;
            let next = at(document, "next").map(ToOwned::to_owned);
            let count = divided.map(|pages| list(document, pages.list).len());
            left = left.saturating_sub(count.unwrap_or_default());
            pages.push(page);
            let (Some(of), Some(next)) = (divided, next) else {
                break;
            };
            let seen = |(name, value): &Given| name == of.cursor && value.get() == next.get();
            if given.iter().any(seen) {
                break;
            }
            given.retain(|(name, _)| name != of.cursor);
            given.push((of.cursor.to_owned(), next));
        }
        Ok(Self {
            pages,
            elapsed: started.elapsed(),
        })
    }

    /// All pages as one document for a view: the last one, with the lists of all. The answer to a
    /// ping also has how long it took.
    pub(super) fn document(&self, verb: Verb) -> Box<RawValue> {
        let pages = self.pages.iter().map(|page| raw(page));
        let pages: Vec<_> = pages.flatten().collect();
        let of_all = |name| {
            let members: Vec<_> = pages.iter().flat_map(|page| list(page, name)).collect();
            (name, json::value(&members))
        };
        let lists = commands::pages(verb).map(|pages| [pages.list, "omitted"]);
        let lists: Vec<_> = lists.into_iter().flatten().map(of_all).collect();
        let elapsed = json::value(&(self.elapsed.as_secs_f64() * 1e3));
        let mut document = pages.last().map(|last| fields(last)).unwrap_or_default();
        for (name, list) in lists.iter().filter(|(_, list)| list.get() != "[]") {
            document.insert((*name).to_owned(), list);
        }
        if verb == Verb::Ping {
            document.insert("elapsed_ms".to_owned(), &elapsed);
        }
        json::value(&document)
    }
}
