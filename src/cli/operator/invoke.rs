//! `invoke`: calls an extension as a router does, and prints what it answers, byte for byte.

use std::time::Duration;

use async_nats::HeaderMap;
use clap::{ArgMatches, Command};
use serde_json::value::RawValue;

use super::arguments::{patience, recipient, switch};
use super::commands::{CHOSEN, CONTEXT, ID};
use super::failure::{ERROR_CODE, Failure, Outcome};
use super::field::Place::{Flag, Named};
use super::field::{Field, Kind, field};
use super::session::Session;
use super::text::clean;
use super::{explain, given, is_set, json, raw, unknown};
use crate::adapters::nats::ask::Reply;
use crate::adapters::nats::verb::Verb;
use crate::cli::screen::Screen;
use crate::cli::{Invocation, err, headers_of};
use crate::domain::quote::quoted;

pub(super) const NAME: &str = "invoke";

/// How long to wait for an answer without `--wait`: extensions may be slow, and repeated.
const PATIENCE: Duration = Duration::from_secs(60);
/// The registry answers at the deadline; its answer takes a moment.
const GRACE: Duration = Duration::from_millis(500);

const FIELDS: &[Field] = &[ID, PAYLOAD, METADATA, CONTEXT, OVERRIDE, CHOSEN, TIMEOUT];
const PAYLOAD: Field = field(Flag, "payload", Kind::Json, "Its payload [default: {}]");
const METADATA: Field = field(Flag, "metadata", Kind::Pairs, "Metadata; may be repeated");
const OVERRIDE: Field = field(
    Named("override"),
    "config",
    Kind::Pairs,
    "Overrides its config; may be repeated",
);
const TIMEOUT: Field = field(
    Named("timeout"),
    "timeout_ms",
    Kind::Millis,
    "How long the extension may take",
);

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Call an extension, and print its answer byte for byte")
        .args(FIELDS.iter().map(Field::arg))
        .arg(switch(
            "dry-run",
            "Send nothing; show the choice and the request",
        ))
        .arg(switch("stream", "Print a streamed answer chunk by chunk").conflicts_with("dry-run"))
        .arg(switch("verbose", "Print the answer's headers to standard error").short('v'))
        .arg(switch("json", "Print errors and dry runs as JSON"))
        .args(recipient())
        .arg(patience(PATIENCE))
        .mut_arg("wait", |wait| {
            wait.help("How long to wait for each answer [default: 1m]")
        })
}

/// Calls, and prints.
pub(super) async fn run(invocation: &Invocation) -> Outcome<()> {
    let (matches, screen) = (&invocation.arguments, &invocation.screen);
    let patience = matches.get_one("wait").copied().unwrap_or(PATIENCE);
    let body = body(matches, patience)?;
    let session = Session::open(invocation).await?;
    let mut headers = HeaderMap::new();
    if is_set(matches, "stream") {
        headers.insert("Beamline-Accept", "stream");
    }
    let (to, verb) = (session.to, Verb::Invoke);
    let mut replies = session.send(to, verb, &body, headers).await?;
    let mut pieces = 0u64;
    loop {
        let reply = session.next(to, &mut replies, patience + GRACE).await?;
        if is_set(matches, "verbose") {
            headers_of(&reply).iter().for_each(|line| err(&clean(line)));
        }
        pieces += 1;
        let number = reply.header("Beamline-Seq");
        if number.is_some_and(|number| number.parse() != Ok(pieces)) {
            let why = format!("piece {pieces} of the answer was lost on its way here");
            return Err(Failure::new(1, why));
        }
        match reply.header("Beamline-Stream") {
            Some("chunk") => screen.bytes(&reply.body, false)?,
            Some("end") if reply.header(ERROR_CODE).is_none() => {
                return Ok(screen.bytes(&reply.body, screen.width.is_some())?);
            }
            _ => {
                let Err(failure) = finish(&reply, matches, screen) else {
                    return Ok(());
                };
                return Err(unknown::explained(&session, failure).await);
            }
        }
    }
}

/// The request. The registry gets our time limit: it answers in time, and its answer is more useful
/// than silence. A stream may go on for as long as its pieces come in time.
fn body(matches: &ArgMatches, patience: Duration) -> Outcome<Box<RawValue>> {
    let mut fields = vec![("payload".to_owned(), json::object([]))];
    if !is_set(matches, "stream") {
        let deadline = json::value(&patience.as_millis());
        fields.push(("deadline_ms".to_owned(), deadline));
    }
    if is_set(matches, "dry-run") {
        fields.push(("dry_run".to_owned(), json::value(&true)));
    }
    fields.extend(given(FIELDS, matches)?);
    Ok(json::object(fields))
}

/// The answer in one piece, or the error that ends everything.
fn finish(reply: &Reply, matches: &ArgMatches, screen: &Screen) -> Outcome<()> {
    let foreign = reply.header("Beamline-Extension-Error").is_some();
    let failure = match Failure::of(reply) {
        Some(_) if foreign => {
            let field = |name| quoted(reply.header(name).unwrap_or_default());
            let (code, why) = (field(ERROR_CODE), field("Nats-Service-Error"));
            let sentence = format!("the extension answered an error: {code} {why}");
            Err(Failure::new(1, sentence))
        }
        Some(failure) => return Err(failure),
        None if is_set(matches, "dry-run") && !is_set(matches, "json") => {
            let document = raw(&reply.body)?;
            screen.line(&explain::view(document, screen))?;
            return Ok(screen.line(&explain::request(document))?);
        }
        None => Ok(()),
    };
    // As it came; on a terminal the prompt begins on a line of its own.
    let end = screen.width.is_some() && !reply.body.ends_with(b"\n");
    screen.bytes(&reply.body, end)?;
    failure
}
