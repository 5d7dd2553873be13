//! `watch`: the events as they happen, until Ctrl-C.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};
use tokio::time::sleep;

use super::arguments::{PATIENCE, patience, switch};
use super::event;
use super::failure::Outcome;
use super::json;
use super::session::Session;
use super::together::Together;
use super::{is_set, raw, text};
use crate::adapters::nats::ask::{AskError, Link, Reply, To};
use crate::adapters::nats::verb::Verb;
use crate::cli::screen::Screen;
use crate::cli::{Invocation, err};
use crate::documents::event::KINDS;

pub(super) const NAME: &str = "watch";
const LOST: &str = "the connection is lost; trying again";

/// Changes of one revision come at once. How long a shown event waits for others, where some kinds
/// are not asked for.
const SOON: Duration = Duration::from_millis(300);

/// Events come when they come; this only bounds a wait.
const FOR_EVER: Duration = Duration::from_secs(86_400);
/// Between two attempts to connect.
const AGAIN: Duration = Duration::from_secs(1);

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
        .arg(switch("json", "Print the events as JSON, one per line"))
        .arg(patience(PATIENCE))
}

/// Prints a line per event; exits with 0 on Ctrl-C, or when the reader closes the pipe.
pub(super) async fn run(invocation: &Invocation) -> Outcome<()> {
    let session = Session::open(invocation).await?;
    let mut together = None;
    tokio::select! {
        failed = watch(invocation, session, &mut together) => return failed,
        _ = tokio::signal::ctrl_c() => {}
    }
    end(&invocation.screen, together)
}

/// Follows one connection after the other.
async fn watch<'a>(
    invocation: &'a Invocation,
    mut session: Session<'a>,
    together: &mut Option<Together>,
) -> Outcome<()> {
    loop {
        follow(&session, together).await?;
        end(session.screen, together.take())?;
        err(LOST);
        session = again(invocation).await;
    }
}

/// A new connection, as soon as a server takes us.
async fn again(invocation: &Invocation) -> Session<'_> {
    loop {
        sleep(AGAIN).await;
        if let Ok(session) = Session::open(invocation).await {
            return session;
        }
    }
}

/// Prints the events of one connection, until the client library has ended, as by a panic: it
/// cannot read every header block. What waits for more of its revision is left in `together`.
async fn follow(session: &Session<'_>, together: &mut Option<Together>) -> Outcome<()> {
    let (subjects, screen) = (format!("{}.events.>", session.prefix), session.screen);
    let mut events = match session.asker.subscribe(subjects).await {
        Ok(events) => events,
        Err(AskError::Closed) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    greet(session).await;
    let mut link = session.asker.link();
    let mut known = Link {
        up: true,
        ..Link::default()
    };
    loop {
        let patience = if together.is_some() { SOON } else { FOR_EVER };
        let begun = together.as_ref().map(|it| it.begun);
        if begun.is_some_and(|begun| begun.elapsed() >= SOON) {
            end(screen, together.take())?;
        }
        tokio::select! {
            Ok(()) = link.changed() => {
                let now = link.borrow_and_update().clone();
                for line in news(&known, &now) {
                    err(&line);
                }
                known = now;
            }
            event = events.next(patience) => match event {
                Ok(event) => show(session, &event, together)?,
                Err(AskError::Silent(_)) => end(screen, together.take())?,
                // Of no request of ours: anybody may publish a message with that status.
                Err(AskError::NoResponders) => {}
                Err(AskError::Closed) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Prints what is watched. The answer of a registry also proves that the server has heard of the
/// subscription; without one there is nothing to see yet, which is no reason to leave.
async fn greet(session: &Session<'_>) {
    let place = format!("`{}.events.>` at {}", session.prefix, session.servers);
    let pong = session.ask(To::Any, Verb::Ping, &json::object([])).await;
    let but = match pong {
        Ok(_) => "",
        Err(_) => ", though no registry answers there now",
    };
    err(&text::clean(&format!("watching {place}{but}")));
}

/// What a watching operator has to know of a change. Complaints of the server are not among it:
/// those about our subject end the watch.
fn news(before: &Link, now: &Link) -> Vec<String> {
    let link = match (before.up, now.up) {
        (false, true) => Some("connected again".to_owned()),
        (true, false) => Some(LOST.to_owned()),
        _ => None,
    };
    let lost = now.dropped.saturating_sub(before.dropped);
    let lost = (lost > 0)
        .then(|| format!("events were lost, at least {lost}: they come faster than they are read"));
    link.into_iter().chain(lost).collect()
}

/// Shows what there is of the changes of a revision.
fn end(screen: &Screen, together: Option<Together>) -> Outcome<()> {
    if let Some(together) = together {
        screen.line(&together.shown(screen))?;
    }
    Ok(())
}

/// Shows an event that is asked for; changes of one revision when all of them are here. It is chosen
/// here: permissions for all events are one line.
fn show(session: &Session<'_>, event: &Reply, together: &mut Option<Together>) -> Outcome<()> {
    let many = |name| {
        let values = session.matches.get_many::<String>(name);
        let values = values.into_iter().flatten().map(String::as_str);
        values.collect::<Vec<_>>()
    };
    let start = format!("{}.events.", session.prefix);
    let name = event.subject.strip_prefix(&start).unwrap_or_default();
    let Some(kind) = wanted(name, &many("kind"), &many("id")) else {
        return Ok(());
    };
    let Ok(document) = raw(&event.body) else {
        err(&format!("not an event: {}", text::clean(&event.subject)));
        return Ok(());
    };
    if is_set(session.matches, "json") {
        // One per line, from any publisher: in JSON, an end of line is just white space.
        let line = document.get().replace(['\n', '\r'], " ");
        return Ok(session.screen.line(&line)?);
    }
    if let Some(one) = Together::begin(kind, document) {
        let taken = together.as_mut().is_some_and(|it| it.takes(&one));
        if !taken {
            end(session.screen, together.replace(one))?;
        }
        if together.as_ref().is_some_and(Together::is_whole) {
            end(session.screen, together.take())?;
        }
        return Ok(());
    }
    let line = event::shown(kind, document, session.screen);
    Ok(session.screen.line(&line)?)
}

/// The kind of the event `KIND` or `KIND.ID`, if it is one of those wanted.
fn wanted<'a>(name: &'a str, kinds: &[&str], ids: &[&str]) -> Option<&'a str> {
    // An event of no extension has no id.
    let (kind, id) = name.split_once('.').unwrap_or((name, ""));
    let is = |wanted: &[&str], value| wanted.is_empty() || wanted.contains(&value);
    (is(kinds, kind) && is(ids, id)).then_some(kind)
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
    fn events_are_chosen_by_kind_and_id() {
        let (opened, summary) = ("circuit_opened.a", "health_summary");
        for (name, kinds, ids, is) in [
            (opened, &[][..], &[][..], true),
            (summary, &[], &[], true),
            (summary, &[], &["a"], false),
            (opened, &[], &["b", "a"], true),
            (opened, &["circuit_closed"], &[], false),
            (opened, &["circuit_opened"], &["a"], true),
        ] {
            let kind = name.split('.').next().filter(|_| is);
            assert_eq!(wanted(name, kinds, ids), kind, "{name} {kinds:?} {ids:?}");
        }
    }
}
