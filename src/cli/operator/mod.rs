//! The operator's commands: each is a request over NATS, and its answer a table.
//!
//! [`commands`] is the table of what can be asked; [`arguments`] and [`field`] make the command
//! line from it, [`session`] and [`pages`] ask, [`show`] shows. A document goes to standard output
//! and everything else to standard error, so that scripts can rely on either.

mod arguments;
mod audit;
mod commands;
mod completion;
mod event;
mod explain;
mod failure;
mod field;
mod fleet;
mod invoke;
mod json;
mod pages;
mod session;
mod show;
mod text;
mod together;
mod unknown;
mod watch;

use clap::ArgMatches;
use serde_json::value::RawValue;

pub(super) use self::arguments::{subcommands, switch};
pub(super) use self::completion::answered as completed;
use self::failure::{Failure, Outcome};
use self::field::{Field, Given, Place};
use self::pages::Answer;
use self::session::Session;
pub(super) use self::text::clean;
use self::text::exact;
use super::document::{at, list};
use super::screen::Screen;
use super::{Ended, Invocation};
use crate::adapters::nats::ask::To;
use crate::adapters::nats::verb::Verb;

/// Sends the request of the command line, shows the answer, and returns the exit code.
pub(super) async fn run(invocation: &Invocation) -> Ended {
    let outcome = match invocation.command.as_str() {
        completion::NAME => completion::run(invocation),
        watch::NAME => watch::run(invocation).await,
        invoke::NAME => invoke::run(invocation).await,
        name => match commands::all().find(|verb| commands::name(*verb) == name) {
            Some(verb) => ask(invocation, verb).await,
            None => Err(Failure::usage(&format!("unknown command `{name}`"))),
        },
    };
    let json = is_json(&invocation.arguments);
    outcome.map_err(|failure| failure.report(json))
}

async fn ask(invocation: &Invocation, verb: Verb) -> Outcome<()> {
    let matches = &invocation.arguments;
    let given = given(commands::fields(verb), matches)?;
    if !verb.answers_any() && matches.try_contains_id("as").is_ok_and(|is_given| is_given) {
        let name = commands::name(verb);
        let fault = format!("`{name}` has no subject of an actor: leave out --as");
        return Err(Failure::usage(&fault));
    }
    let session = Session::open(invocation).await?;
    let nobody_is_named = !verb.answers_any() && matches!(session.to, To::Any);
    let all = is_set(matches, "all") || nobody_is_named;
    let screen = &match form(matches) {
        // A line may be of any length.
        Some("wide") => Screen {
            width: None,
            ..invocation.screen
        },
        _ => invocation.screen,
    };
    if let Some(chosen) = commands::fleet(verb).filter(|_| all) {
        return fleet::run(&session, verb, chosen, given, screen).await;
    }
    let answer = match Answer::of(&session, session.to, verb, given.clone()).await {
        Err(failure) => return Err(unknown::explained(&session, failure).await),
        Ok(answer) => answer,
    };
    let document = answer.document(verb);
    if is_json(matches) {
        for page in &answer.pages {
            screen.bytes(page, true)?;
        }
    } else if form(matches) == Some("name") {
        for name in names(verb, &document, &given) {
            screen.line(&name)?;
        }
    } else if is_set(matches, "diff") {
        screen.line(&audit::diff(&document, screen))?;
    } else {
        screen.line(&commands::view(verb).of(&document, screen))?;
    }
    failure::of_parts(&document)
}

/// The ids in an answer, of sidecars if it is about them; where it has none, the one in the request.
fn names(verb: Verb, document: &RawValue, given: &[Given]) -> Vec<String> {
    // A change of many: the ids are all there is of them.
    if at(document, "unchanged").is_some() {
        return list(document, "changed").into_iter().map(exact).collect();
    }
    let pages = commands::pages(verb).map(|pages| pages.list);
    let mut lists = pages.into_iter().chain(["extensions"]);
    if let Some(name) = lists.find(|name| at(document, name).is_some()) {
        let rows = list(document, name).into_iter();
        return rows.filter_map(id_of).map(exact).collect();
    }
    let one = id_of(at(document, "record").unwrap_or(document));
    let asked = given.iter().find(|(name, _)| name == "id");
    let one = one.or_else(|| asked.map(|(_, id)| &**id));
    one.map(exact).into_iter().collect()
}

fn id_of(row: &RawValue) -> Option<&RawValue> {
    at(row, "id").or_else(|| at(row, "instance_id"))
}

/// The document in `body`.
///
/// # Errors
/// It is not JSON.
fn raw(body: &[u8]) -> Outcome<&RawValue> {
    serde_json::from_slice(body)
        .map_err(|_| Failure::unanswered("the answer is not JSON: is this a registry?"))
}

/// The form of `-o`, where the command has it.
fn form(matches: &ArgMatches) -> Option<&str> {
    let form = matches.try_get_one::<String>("output").ok().flatten();
    form.map(String::as_str)
}

/// Whether a program reads the answer.
fn is_json(matches: &ArgMatches) -> bool {
    is_set(matches, "json") || form(matches) == Some("json")
}

/// Whether a switch is set that not every command has.
fn is_set(matches: &ArgMatches, name: &str) -> bool {
    matches!(matches.try_get_one::<bool>(name), Ok(Some(true)))
}

/// The fields of the request. Pairs count more than a body, and flags more than pairs, except for what
/// the command itself names: what a change is about is not one of the things that it changes.
fn given(fields: &[Field], matches: &ArgMatches) -> Outcome<Vec<Given>> {
    let is_named = |name: &str| {
        let mut named = fields.iter();
        named.any(|field| field.place == Place::Must && field.name == name)
    };
    let mut given: Vec<Given> = Vec::new();
    for field in fields {
        if let Some(key) = field.repeated(matches) {
            let fault = format!("`{}` is given twice", clean(&key));
            return Err(Failure::usage(&fault));
        }
        for (name, value) in field.given(matches) {
            let differs = |(known, other): &Given| *known == name && !is_same(other, &value);
            if is_named(&name) && given.iter().any(differs) {
                let fault = format!("`{name}` differs from the one that the command names");
                return Err(Failure::usage(&fault));
            }
            given.push((name, value));
        }
    }
    Ok(given)
}

/// Whether two values are the same, however a string is written.
fn is_same(one: &RawValue, other: &RawValue) -> bool {
    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
    one.get() == other.get() || text(one).is_some_and(|one| text(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json() {
        assert!(raw(b" {}\n").is_ok());
        for body in [&b"oops"[..], b"", b"{", b"\"\xff\""] {
            raw(body).unwrap_err();
        }
    }

    #[test]
    fn the_names_are_those_of_what_is_shown() {
        let given = [("id".to_owned(), json::value(&"asked"))];
        for (verb, document, expected) in [
            (
                Verb::List,
                r#"{"extensions":[{"id":"a"},{"id":"b"}],"next":null}"#,
                "a b",
            ),
            (Verb::List, r#"{"extensions":[],"next":null}"#, ""),
            (Verb::Lookup, r#"{"id":"a","fallback":[]}"#, "a"),
            (
                Verb::Lookup,
                r#"{"extensions":[{"id":"a"}],"errors":[{"id":"b"}]}"#,
                "a",
            ),
            (Verb::Health, r#"{"id":"a","versions":[]}"#, "a"),
            (Verb::Ping, r#"{"ok":true,"instance_id":"pod-1"}"#, "pod-1"),
            (
                Verb::Enable,
                r#"{"changed":["a","b"],"unchanged":["c"],"revision":7}"#,
                "a b",
            ),
            (
                Verb::Update,
                r#"{"changed":["retry"],"record":{"id":"a"}}"#,
                "a",
            ),
            (Verb::Delete, r#"{"changed":["id"],"record":null}"#, "asked"),
            (Verb::Reload, r#"{"added":0}"#, "asked"),
        ] {
            let parsed = serde_json::from_str(document).unwrap();
            assert_eq!(
                names(verb, parsed, &given).join(" "),
                expected,
                "{document}"
            );
        }
        let everything = serde_json::from_str(r#"{"added":0}"#).unwrap();
        assert_eq!(names(Verb::Reload, everything, &[]), [""; 0]);
    }
}
