//! `invoke`: calls an extension as a router does, and prints what it answers, byte for byte.

use std::time::Duration;

use async_nats::HeaderMap;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::value::RawValue;

use super::arguments::{patience, switch, whom};
use super::commands::{CONTEXT, ID, VERSION};
use super::failure::{ERROR_CODE, Failure, Refused};
use super::field::{Field, Kind};
use super::json;
use super::screen::Screen;
use super::session::Session;
use super::{document, given, is_set, text, view};
use crate::adapters::nats::ask::Reply;
use crate::adapters::nats::verb::Verb;
use crate::cli::err;
use crate::config::Settings;
use crate::domain::quote::quoted;

pub(super) const NAME: &str = "invoke";

/// How long for an answer, unless `--wait` says otherwise: extensions may be slow, and repeated.
const PATIENCE: Duration = Duration::from_secs(60);
/// The registry answers at the deadline; its answer takes a moment.
const GRACE: Duration = Duration::from_millis(500);

const FIELDS: &[Field] = &[
    ID,
    Field::flag(
        "payload",
        "payload",
        Kind::Json,
        "What the extension gets [default: {}]",
    ),
    Field::flag(
        "metadata",
        "metadata",
        Kind::Pairs,
        "Metadata; may be repeated",
    ),
    CONTEXT,
    Field::flag(
        "override",
        "config",
        Kind::Pairs,
        "Laid over the extension's config, for this call; may be repeated",
    ),
    VERSION,
    Field::flag(
        "timeout",
        "timeout_ms",
        Kind::Millis,
        "How long the extension may take",
    ),
    Field::flag(
        "dry-run",
        "dry_run",
        Kind::Switch,
        "Send nothing; show the choice, and the request that would be sent",
    ),
];

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Call an extension, and print its answer byte for byte")
        .args(FIELDS.iter().map(Field::arg))
        .arg(switch("stream", "Take an answer in pieces, as they come").conflicts_with("dry_run"))
        .arg(
            Arg::new("verbose")
                .short('v')
                .long("verbose")
                .action(ArgAction::SetTrue)
                .help("Print the headers of the answer to standard error"),
        )
        .arg(switch(
            "json",
            "Print errors and dry runs as the documents that they are",
        ))
        .args(whom())
        .arg(patience())
        .mut_arg("wait", |wait| {
            wait.help("How long to wait for an answer, and for each piece of one [default: 1m]")
        })
}

/// Calls, and prints.
pub(super) async fn run(
    settings: &Settings,
    matches: &ArgMatches,
    screen: &Screen,
) -> Result<(), Failure> {
    let patience = matches.get_one::<Duration>("wait").copied();
    let patience = patience.unwrap_or(PATIENCE);
    let body = body(matches, patience)?;
    let session = Session::open(settings, matches).await?;
    let mut headers = HeaderMap::new();
    if is_set(matches, "stream") {
        headers.insert("Beamline-Accept", "stream");
    }
    let to = session.to();
    let mut replies = session.send(to, Verb::Invoke, &body, headers).await?;
    loop {
        let reply = session.next(to, &mut replies, patience + GRACE).await?;
        if is_set(matches, "verbose") {
            tell_headers(&reply);
        }
        match reply.header("Beamline-Stream") {
            Some("chunk") => screen.bytes(&reply.body, false)?,
            Some("end") if reply.header(ERROR_CODE).is_none() => {
                return Ok(screen.bytes(&reply.body, screen.terminal)?);
            }
            _ => return finish(&reply, matches, screen),
        }
    }
}

/// The request. The registry is told how long we wait: it answers in time, and what it answers
/// tells more than silence.
fn body(matches: &ArgMatches, patience: Duration) -> Result<Box<RawValue>, Failure> {
    let deadline = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let mut fields = vec![
        ("payload".to_owned(), json::object([])),
        ("deadline_ms".to_owned(), json::value(&deadline)),
    ];
    // A stream may go on for as long as its pieces come in time.
    if is_set(matches, "stream") {
        fields.truncate(1);
    }
    fields.extend(given(FIELDS, matches)?);
    Ok(json::object(fields))
}

/// The answer in one piece, or the error that ends everything.
fn finish(reply: &Reply, matches: &ArgMatches, screen: &Screen) -> Result<(), Failure> {
    let foreign = reply.header("Beamline-Extension-Error").is_some();
    match Refused::of(reply) {
        Some(_) if foreign => {
            print(reply, screen)?;
            let field = |name| quoted(reply.header(name).unwrap_or_default());
            let (code, why) = (field(ERROR_CODE), field("Nats-Service-Error"));
            err(&format!(
                "error: the extension answered an error: {code} {why}"
            ));
            Err(Failure::Told)
        }
        Some(refused) => Err(Failure::Refused(refused)),
        None if is_set(matches, "dry_run") && !is_set(matches, "json") => rehearsed(reply, screen),
        None => print(reply, screen),
    }
}

/// The body as it came; on a terminal the prompt begins on a line of its own.
fn print(reply: &Reply, screen: &Screen) -> Result<(), Failure> {
    let end = screen.terminal && !reply.body.ends_with(b"\n");
    Ok(screen.bytes(&reply.body, end)?)
}

/// The choice explained, and the request below it.
fn rehearsed(reply: &Reply, screen: &Screen) -> Result<(), Failure> {
    let document = document::parsed(&reply.body)?;
    screen.line(&view::explain::view(&document, screen))?;
    Ok(screen.line(&view::explain::request(&document))?)
}

fn tell_headers(reply: &Reply) {
    let mut lines: Vec<String> = Vec::new();
    for (name, values) in reply.headers.iter() {
        for value in values {
            let name: &str = name.as_ref();
            lines.push(format!(
                "{}: {}",
                text::clean(name),
                text::clean(value.as_str())
            ));
        }
    }
    lines.sort_unstable();
    err(&lines.join("\n"));
}
