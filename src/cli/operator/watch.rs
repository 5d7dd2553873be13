//! `watch`: the events as they happen, until somebody has seen enough.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::arguments::{patience, switch};
use super::failure::Failure;
use super::json;
use super::screen::Screen;
use super::session::Session;
use super::view::event::{self, KINDS};
use super::{document, is_set, text};
use crate::adapters::nats::ask::{AskError, Link, Reply, To};
use crate::adapters::nats::verb::Verb;
use crate::cli::err;
use crate::config::Settings;

pub(super) const NAME: &str = "watch";

/// Events come when they come; this only bounds a wait.
const FOR_EVER: Duration = Duration::from_secs(86_400);

pub(super) fn command() -> Command {
    let many = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Append);
    Command::new(NAME)
        .about("Follow the events of all sidecars, until Ctrl-C")
        .arg(
            many("kind")
                .value_parser(PossibleValuesParser::new(KINDS))
                .hide_possible_values(true)
                .help("Only this kind, such as circuit_opened; may be repeated"),
        )
        .arg(many("id").help("Only this extension; may be repeated"))
        .arg(switch(
            "json",
            "Print the events as they come, one per line",
        ))
        .arg(patience())
}

/// Prints a line per event; ends well with Ctrl-C, or when nobody reads any more.
pub(super) async fn run(
    settings: &Settings,
    matches: &ArgMatches,
    screen: &Screen,
) -> Result<(), Failure> {
    let session = Session::open(settings, matches).await?;
    let filter = Filter::of(session.prefix, matches);
    let mut events = session
        .asker
        .subscribe(format!("{}>", filter.prefix))
        .await?;
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    tokio::select! {
        _ = &mut interrupt => return Ok(()),
        () = greet(&session) => {}
    }
    let mut link = session.asker.link();
    let mut known = Link {
        up: true,
        ..Link::default()
    };
    loop {
        tokio::select! {
            _ = &mut interrupt => return Ok(()),
            Ok(()) = link.changed() => {
                let now = link.borrow_and_update().clone();
                for line in news(&known, &now) {
                    err(&line);
                }
                known = now;
            }
            event = events.next(FOR_EVER) => match event {
                Ok(event) => show(&filter, &event, is_set(matches, "json"), screen)?,
                Err(AskError::Silent(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Says what is watched. The answer of a registry also proves that the server has heard of the
/// subscription; without one there is nothing to see yet, which is no reason to leave.
async fn greet(session: &Session<'_>) {
    let place = format!("`{}.events.>` at {}", session.prefix, session.servers);
    let pong = session.ask(To::Any, Verb::Ping, &json::object([])).await;
    match pong {
        Ok(_) => err(&format!("watching {place}")),
        Err(_) => err(&format!(
            "watching {place}, though no registry answers there now"
        )),
    }
}

/// What whoever watches has to know of a change. Complaints of the server are not among it: those
/// about our subject end the watch.
fn news(before: &Link, now: &Link) -> Vec<String> {
    let mut news = Vec::new();
    match (before.up, now.up) {
        (false, true) => news.push("connected again".to_owned()),
        (true, false) => news.push("the connection is lost; trying again".to_owned()),
        _ => {}
    }
    if now.dropped > before.dropped {
        let dropped = now.dropped - before.dropped;
        news.push(format!(
            "events were lost, at least {dropped}: they come faster than they are read"
        ));
    }
    news
}

fn show(filter: &Filter, event: &Reply, json: bool, screen: &Screen) -> Result<(), Failure> {
    let Some(kind) = filter.kind(&event.subject) else {
        return Ok(());
    };
    let Ok(document) = document::raw(&event.body) else {
        err(&format!("no event: {}", text::clean(&event.subject)));
        return Ok(());
    };
    match json {
        // One per line, whoever has published it: in JSON, an end of line is but a space.
        true => screen.line(&document.get().replace(['\n', '\r'], " "))?,
        false => screen.line(&event::line(kind, &document::value(&document), screen))?,
    }
    Ok(())
}

/// Which events are shown. It is applied here: permissions for all events are one line.
struct Filter {
    /// What all subjects of events begin with.
    prefix: String,
    kinds: Vec<String>,
    ids: Vec<String>,
}

impl Filter {
    fn of(prefix: &str, matches: &ArgMatches) -> Self {
        let many = |name| matches.get_many::<String>(name).into_iter().flatten();
        Self {
            prefix: format!("{prefix}.events."),
            kinds: many("kind").cloned().collect(),
            ids: many("id").cloned().collect(),
        }
    }

    /// The kind of an event that is shown.
    fn kind<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix(&self.prefix)?;
        let (kind, id) = match rest.split_once('.') {
            Some((kind, id)) => (kind, Some(id)),
            None => (rest, None),
        };
        let is = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || wanted.iter().any(|wanted| Some(wanted.as_str()) == value)
        };
        (is(&self.kinds, Some(kind)) && is(&self.ids, id)).then_some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_is_told() {
        let link = |up, dropped| Link {
            up,
            dropped,
            refusals: Vec::new(),
        };
        for (before, now, told) in [
            (link(true, 0), link(true, 0), &[][..]),
            (link(true, 0), link(false, 0), &["the connection is lost"]),
            (link(false, 1), link(true, 1), &["connected again"]),
            (
                link(true, 1),
                link(true, 4),
                &["events were lost, at least 3"],
            ),
        ] {
            let news = news(&before, &now);
            assert_eq!(news.len(), told.len(), "{news:?}");
            assert!(
                news.iter()
                    .zip(told)
                    .all(|(line, start)| line.starts_with(start))
            );
        }
        let complaint = Link {
            refusals: vec!["a complaint".to_owned()],
            ..link(true, 0)
        };
        assert_eq!(news(&link(true, 0), &complaint), [""; 0]);
    }

    #[test]
    fn filters_choose_by_kind_and_id() {
        let filter = |kinds: &[&str], ids: &[&str]| Filter {
            prefix: "p.events.".to_owned(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        for (filter, subject, kind) in [
            (
                filter(&[], &[]),
                "p.events.circuit_opened.a",
                Some("circuit_opened"),
            ),
            (
                filter(&[], &[]),
                "p.events.health_summary",
                Some("health_summary"),
            ),
            (filter(&[], &["a"]), "p.events.health_summary", None),
            (
                filter(&[], &["a", "b"]),
                "p.events.circuit_opened.b",
                Some("circuit_opened"),
            ),
            (
                filter(&["circuit_closed"], &[]),
                "p.events.circuit_opened.a",
                None,
            ),
            (
                filter(&["circuit_closed"], &["a"]),
                "p.events.circuit_closed.a",
                Some("circuit_closed"),
            ),
        ] {
            assert_eq!(filter.kind(subject), kind, "{subject}");
        }
    }
}
