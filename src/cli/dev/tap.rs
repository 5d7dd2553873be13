//! What goes over NATS between routers, registry and extensions, a line for each answered message.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::adapters::nats::ask::{AskError, Asker, Replies, Reply, To};
use crate::adapters::nats::verb::Verb;
use crate::cli::document::string;
use crate::cli::err;
use crate::cli::operator::clean;
use crate::cli::screen::{Screen, Tone};
use crate::config::Settings;
use crate::domain::moment::rfc3339;
use crate::domain::quote::quoted_within;

/// For the connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether the registry answers.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two attempts to connect.
const AGAIN: Duration = Duration::from_secs(1);
/// The registry subscribes to these on connections of their own, one sooner than another.
const ON_EACH_CONNECTION: [Verb; 3] = [Verb::Lookup, Verb::Invoke, Verb::Ping];
/// Messages without an answer yet; of more, the oldest is forgotten.
const PENDING: usize = 1024;
/// Answers to a message that has not been read yet: subscriptions are read in turns.
const EARLY: usize = 64;
/// The most of an answer that is shown.
const SHOWN: usize = 160;

/// A message that waits for its answer.
struct Pending {
    reply: String,
    what: String,
    at: Instant,
}

/// Shows requests and calls, once a server accepts the connection: the daemon waits for one too.
/// Reports why something is not shown, each reason once. Connects again when the client library
/// ends, as it may by a panic over a header block that it cannot read.
pub(super) async fn show(settings: &Settings, screen: Screen) {
    let mut reported = String::new();
    while let Err(error) = follow(settings, screen, &mut reported).await {
        let reason = format!("requests are not shown: {error}");
        if reason != reported {
            err(&clean(&reason));
        }
        if !matches!(error, AskError::Unreachable { .. } | AskError::Closed) {
            return;
        }
        reported = reason;
        sleep(AGAIN).await;
    }
}

/// Prints requests, calls and answers until nobody reads, or nothing may be listened to. What was
/// `reported` before is over once they are.
///
/// # Errors
/// No server takes us, or the connection is closed.
async fn follow(
    settings: &Settings,
    screen: Screen,
    reported: &mut String,
) -> Result<(), AskError> {
    let asker = Asker::connect(&settings.nats, "beamline-registry/dev", PATIENCE).await?;
    let subjects = &settings.subjects;
    let prefix = subjects.prefix.as_str().to_owned();
    let here = To::Local(&settings.identity.instance_id);
    for verb in ON_EACH_CONNECTION {
        wait_for(&asker, &here.subject(&prefix, verb)).await?;
    }
    let mut wanted = vec![format!("{prefix}.>")];
    let allowed = subjects.allowed.iter();
    wanted.extend(allowed.map(|pattern| pattern.as_str().to_owned()));
    // One that ends within a token cannot be subscribed to.
    let replies = subjects.reply_prefixes.iter();
    let replies = replies.filter(|prefix| prefix.ends_with('.'));
    wanted.extend(replies.map(|prefix| format!("{prefix}>")));
    let mut all = Vec::new();
    for subject in wanted {
        let replies = asker.subscribe(subject.clone()).await?;
        all.push(passing(subject, replies));
    }
    reported.clear();
    let mut exchanges = Exchanges {
        prefix,
        ..Exchanges::default()
    };
    let mut messages = stream::select_all(all);
    while let Some(passed) = messages.next().await {
        let message = match passed {
            Ok(message) => message,
            Err((_, AskError::Closed)) => return Err(AskError::Closed),
            Err((subject, error)) => {
                let why = format!("messages at `{subject}` are not shown: {error}");
                err(&clean(&why));
                continue;
            }
        };
        let show = |asked: &Pending, answer: &Reply| screen.line(&answered(asked, answer, &screen));
        if let Err(error) = exchanges.take(message, show) {
            err(&format!("requests are not shown any more: {error}"));
            break;
        }
    }
    Ok(())
}

/// Waits until the registry listens to `subject`, whatever it says of an empty request: one that
/// only we hear would have no answer, instead of "no responders".
async fn wait_for(asker: &Asker, subject: &str) -> Result<(), AskError> {
    loop {
        let sent = asker.ask(subject.to_owned(), HeaderMap::new(), Bytes::new(), PATIENCE);
        let answer = match sent.await {
            Ok(mut replies) => replies.next(PATIENCE).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(_) => return Ok(()),
            Err(AskError::NoResponders | AskError::Silent(_)) => sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

/// Brings messages and answers together.
#[derive(Default)]
struct Exchanges {
    prefix: String,
    pending: VecDeque<Pending>,
    early: VecDeque<Reply>,
}

impl Exchanges {
    /// Notes a message down, or shows it with what it answers. A stream is many answers to one.
    fn take(
        &mut self,
        message: Reply,
        mut show: impl FnMut(&Pending, &Reply) -> io::Result<()>,
    ) -> io::Result<()> {
        let asked = self.pending.iter().find(|it| it.reply == message.subject);
        if let Some(asked) = asked {
            return show(asked, &message);
        }
        let Some(reply) = message.reply.clone() else {
            put(&mut self.early, EARLY, message);
            return Ok(());
        };
        let Some(what) = named(&self.prefix, &message) else {
            return Ok(());
        };
        let (what, at) = (clean(&what), Instant::now());
        let asked = Pending { reply, what, at };
        let early = self.early.iter().filter(|it| it.subject == asked.reply);
        for answer in early {
            show(&asked, answer)?;
        }
        self.early.retain(|it| it.subject != asked.reply);
        put(&mut self.pending, PENDING, asked);
        Ok(())
    }
}

/// Adds to a queue of at most `most`; the oldest gives way.
fn put<T>(queue: &mut VecDeque<T>, most: usize, item: T) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// The messages at `subject`; the last item is why there are no more, such as a missing permission.
fn passing(
    subject: String,
    replies: Replies,
) -> BoxStream<'static, Result<Reply, (String, AskError)>> {
    let next = async |replies: Option<Replies>| {
        let mut replies = replies?;
        loop {
            match replies.next(PATIENCE).await {
                Ok(message) => return Some((Ok(message), Some(replies))),
                Err(AskError::Silent(_) | AskError::NoResponders) => {}
                Err(error) => return Some((Err(error), None)),
            }
        }
    };
    let passing = stream::unfold(Some(replies), next);
    let of_subject = move |error: AskError| (subject.clone(), error);
    let passing = passing.map(move |passed| passed.map_err(&of_subject));
    passing.boxed()
}

/// What a message asks for; nothing for an event.
fn named(prefix: &str, message: &Reply) -> Option<String> {
    let rest = message.subject.strip_prefix(prefix);
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix('.')) else {
        let attempt = message.header("Beamline-Attempt");
        let attempt = attempt.map(|attempt| format!(" (attempt {attempt})"));
        let attempt = attempt.unwrap_or_default();
        return Some(format!("  call {}{attempt}", message.subject));
    };
    let mut tokens: Vec<_> = rest.split('.').filter(|token| !token.is_empty()).collect();
    match tokens.first() {
        Some(&"events" | &"cancelled") => return None,
        Some(&"as" | &"local") => drop(tokens.drain(..2.min(tokens.len()))),
        Some(&"all") => drop(tokens.drain(..1)),
        _ => {}
    }
    // A bare id may be JSON of another kind, as a number is.
    if tokens.len() < 2
        && let Ok(body) = serde_json::from_slice::<&RawValue>(&message.body)
        && body.get().starts_with('{')
    {
        return Some(format!("{} {}", tokens.join(" "), string(body, "id")));
    }
    let body = String::from_utf8_lossy(&message.body);
    Some(match tokens.as_slice() {
        [verb] => format!("{verb} {}", quoted_within(body.trim(), SHOWN)),
        _ => tokens.join(" "),
    })
}

/// What was asked, what was answered, and how long it took.
fn answered(asked: &Pending, message: &Reply, screen: &Screen) -> String {
    let time = rfc3339(SystemTime::now()).unwrap_or_default();
    let time = time.get(11..23).unwrap_or_default();
    let took = asked.at.elapsed().as_secs_f64() * 1e3;
    let (tone, outcome) = match message.header("Nats-Service-Error-Code") {
        Some(code) => (Tone::Bad, format!("error {code}: ")),
        None => (Tone::Good, String::new()),
    };
    let body = String::from_utf8_lossy(&message.body);
    let body = clean(&quoted_within(body.trim(), SHOWN));
    let what = screen.painted(&asked.what, tone);
    format!("{time}  {what}  {took:.1} ms  {}{body}", clean(&outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, body: &str) -> Reply {
        Reply {
            subject: subject.to_owned(),
            reply: None,
            headers: async_nats::HeaderMap::new(),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn an_answer_is_shown_with_its_message_whichever_is_read_first() {
        for asked_first in [true, false] {
            let mut exchanges = Exchanges {
                prefix: "p".to_owned(),
                ..Exchanges::default()
            };
            let asked = Reply {
                reply: Some("_INBOX.1".to_owned()),
                ..message("p.get.a", "")
            };
            let answer = message("_INBOX.1", "{}");
            let mut both = vec![asked, answer];
            if !asked_first {
                both.reverse();
            }
            let mut shown = Vec::new();
            for message in both {
                let show = |asked: &Pending, answer: &Reply| {
                    shown.push((asked.what.clone(), answer.body.clone()));
                    Ok(())
                };
                exchanges.take(message, show).unwrap();
            }
            assert_eq!(shown, [("get a".to_owned(), "{}".into())], "{asked_first}");
            assert!(exchanges.early.is_empty());
        }
    }

    #[test]
    fn a_message_is_named_by_what_it_asks_for() {
        for (subject, body, what) in [
            ("p.lookup", "mask_pii", Some("lookup mask_pii")),
            ("p.lookup", "42", Some("lookup 42")),
            ("p.lookup", r#"{"id":"mask_pii"}"#, Some("lookup mask_pii")),
            ("p.lookup.mask_pii", "", Some("lookup mask_pii")),
            ("p.as.alice.enable.mask_pii", "", Some("enable mask_pii")),
            ("p.local.pod-1.invoke", r#"{"id":"a"}"#, Some("invoke a")),
            ("p.all.ping", "", Some("ping ")),
            ("p.events.circuit_opened.a", "{}", None),
            ("beamline.ext.a", "{}", Some("  call beamline.ext.a")),
            ("p2.ext.a", "{}", Some("  call p2.ext.a")),
        ] {
            assert_eq!(
                named("p", &message(subject, body)).as_deref(),
                what,
                "{subject}"
            );
        }
    }
}
