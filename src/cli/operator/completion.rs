//! Completion in the shell: `completion SHELL` prints what asks this program at each TAB, and
//! [`answered`] answers, with the ids, versions, instances and sidecars of the registry that runs.
//!
//! A prompt must not wait: what does not answer at once is left out.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use bytes::Bytes;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use serde_json::value::RawValue;

use super::failure::{Failure, Outcome};
use super::{commands, json, raw, unknown};
use crate::adapters::nats::ask::{Asker, To};
use crate::adapters::nats::verb::Verb;
use crate::cli::document::{list, string};
use crate::cli::{Invocation, arguments};
use crate::config::{Settings, Surroundings};

pub(super) const NAME: &str = "completion";

/// Two scripts are our own. Bash parts words at `=` and `:`, so that with clap's a line with an
/// address completes nothing; zsh with clap's puts a space between `timeout_ms=` and its value.
const BASH: &str = include_str!("completion.bash");
const ZSH: &str = include_str!("completion.zsh");
/// The variable by which a shell asks. Our own: a daemon whose environment happens to have another
/// program's must not take itself for asked, and end.
const ASKS: &str = "BEAMLINE_REGISTRY_COMPLETE";
/// For a connection, and for an answer.
const PATIENCE: Duration = Duration::from_millis(400);
/// For another sidecar after one has answered.
const QUIET: Duration = Duration::from_millis(100);
/// Names that are offered: a client that may reply can do so for ever.
const MAX_NAMES: usize = 1024;

pub(super) fn command() -> Command {
    let shells = Shells::builtins().names().collect::<Vec<_>>();
    let shell = Arg::new("shell").required(true).help("The shell");
    Command::new(NAME)
        .about("Print the completion script of a shell")
        .arg(shell.value_parser(PossibleValuesParser::new(shells)))
        .after_help(
            "Examples:\n  source <(beamline-registry completion bash)\n  \
             autoload -Uz compinit; compinit; source <(beamline-registry completion zsh)\n  \
             beamline-registry completion fish | source",
        )
}

/// Prints the script.
pub(super) fn run(invocation: &Invocation) -> Outcome<()> {
    let shell = invocation.arguments.get_one::<String>("shell");
    let shell = shell.map(String::as_str).unwrap_or_default();
    let script: Vec<u8> = match shell {
        "bash" => BASH.into(),
        "zsh" => ZSH.into(),
        _ => clap_script(shell)?,
    };
    Ok(invocation.screen.bytes(&script, false)?)
}

fn clap_script(shell: &str) -> Outcome<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell);
    let shell = shell.ok_or_else(|| Failure::usage("the shell is not known"))?;
    let mut script = Vec::new();
    let name = "beamline-registry";
    shell.write_registration(ASKS, name, name, name, &mut script)?;
    Ok(script)
}

/// Answers a shell that asks how the line goes on; whether one did. Before anything else is started.
pub(crate) fn answered() -> bool {
    let here = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(arguments::command).var(ASKS);
    let asked = asked.try_complete(std::env::args_os(), here.as_deref());
    // A shell that we do not know gets no words.
    asked.unwrap_or(true)
}

/// An argument, with its possible values.
pub(super) fn suggested(arg: Arg) -> Arg {
    let candidates: fn() -> Vec<CompletionCandidate> = match arg.get_id().as_str() {
        "id" | "ids" => || offered(&[(Verb::List, "extensions", "id")]),
        "version" => || {
            offered(&[
                (Verb::Get, "", "version"),
                (Verb::Get, "versions", "version"),
            ])
        },
        "instance_id" => || offered(&[(Verb::Get, "instances", "instance_id")]),
        "local" => || offered(&[(Verb::Ping, "", "instance_id")]),
        "fields" => fields,
        _ => return arg,
    };
    arg.add(ArgValueCandidates::new(candidates))
}

/// The line so far.
fn line() -> Option<ArgMatches> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let words = words.map(unread);
    let command = arguments::command().ignore_errors(true);
    command.try_get_matches_from(words).ok()
}

/// The word, with an object in the place of a value that would be read from a file or from standard
/// input: there the shell waits for what is typed next.
fn unread(word: OsString) -> OsString {
    let text = word.to_str().unwrap_or_default();
    let (flag, value) = match text.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => (format!("{flag}="), value),
        _ => (String::new(), text),
    };
    match value == "-" || value.starts_with('@') {
        true => format!("{flag}{{}}").into(),
        false => word,
    }
}

/// The fields that the command takes.
fn fields() -> Vec<CompletionCandidate> {
    let line = line();
    let command = line.as_ref().and_then(ArgMatches::subcommand_name);
    let verb = commands::all().find(|verb| Some(commands::name(*verb).as_str()) == command);
    let fields = verb.into_iter().flat_map(Verb::said);
    let begun = fields.map(|field| format!("{}=", field.name));
    begun.map(CompletionCandidate::new).collect()
}

/// The names found: of each verb's answer, the list of that name (else the answer itself) and in it
/// the field.
fn offered(found: &[(Verb, &str, &str)]) -> Vec<CompletionCandidate> {
    let names = || {
        let line = line()?;
        let surroundings = Surroundings::of_process();
        let loaded = Settings::load(arguments::given(&line), &surroundings);
        let (settings, ..) = loaded.ok()?;
        done(names(&settings, &line, found))?.ok()
    };
    let names = names().unwrap_or_default().into_iter();
    names.map(CompletionCandidate::new).collect()
}

/// What comes of `work`. What still blocks a thread then, as the look-up of a host does where no
/// name server answers, is not waited for.
fn done<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().ok()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Some(done)
}

async fn names(
    settings: &Settings,
    line: &ArgMatches,
    found: &[(Verb, &str, &str)],
) -> Outcome<Vec<String>> {
    let asker = Asker::connect(&settings.nats, "beamline-registry/completion", PATIENCE).await?;
    let id = line.subcommand().and_then(|(_, matches)| {
        // Of several, the first.
        let of = |name| matches.try_get_one::<Box<RawValue>>(name).ok().flatten();
        of("id").or_else(|| of("ids")).cloned()
    });
    let mut names = Vec::new();
    for (verb, list_name, field) in found {
        let (to, body) = match (verb, &id) {
            (Verb::Ping, _) => (To::All, json::object([])),
            (Verb::Get, Some(id)) => (To::Any, json::object([("id".to_owned(), id.clone())])),
            (Verb::Get, None) => continue,
            _ => (To::Any, unknown::all()),
        };
        let subject = to.subject(settings.subjects.prefix.as_str(), *verb);
        let body = Bytes::copy_from_slice(body.get().as_bytes());
        let mut replies = asker.ask(subject, HeaderMap::new(), body, PATIENCE).await?;
        let deadline = Instant::now() + PATIENCE;
        let mut patience = PATIENCE;
        while names.len() < MAX_NAMES && !patience.is_zero() {
            let Ok(reply) = replies.next(patience).await else {
                break;
            };
            // What is no answer of a registry has no names.
            if let Ok(document) = raw(&reply.body) {
                let rows = match *list_name {
                    "" => vec![document],
                    name => list(document, name),
                };
                let found = rows.iter().map(|row| string(row, field));
                names.extend(found.filter(|name| is_plain(name)));
            }
            if to != To::All {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            patience = left.min(QUIET);
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Whether `name` is nothing but a name to a shell, which puts it into the line as it is: it comes
/// from any program that answers for a registry.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "to block is what is tried")]
    fn a_prompt_does_not_wait_for_what_blocks_a_thread() {
        let (_held, blocked) = mpsc::channel::<()>();
        let block = move || blocked.recv_timeout(Duration::from_secs(20));
        let begun = Instant::now();
        let done = done(async {
            drop(tokio::task::spawn_blocking(block));
            7
        });
        assert_eq!(done, Some(7));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_name_is_nothing_that_a_shell_would_run() {
        for name in ["a", "mask_pii-2", "v1.10", "_x"] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "",
            "--all",
            "$(id)",
            "`id`",
            "a;b",
            "a b",
            "a\nb",
            "\u{1b}[2J",
            "a=@b",
            "*",
        ] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn only_what_would_be_read_is_replaced() {
        for (word, taken) in [
            ("-", "{}"),
            ("@a.json", "{}"),
            ("--body=-", "--body={}"),
            ("--payload=@a.json", "--payload={}"),
            ("--", "--"),
            ("--body", "--body"),
            ("--body={\"a\":1}", "--body={\"a\":1}"),
            ("note=@home", "note=@home"),
            ("", ""),
        ] {
            assert_eq!(unread(word.into()), OsString::from(taken), "{word}");
        }
    }
}
