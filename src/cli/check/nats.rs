//! NATS: every server, the login, and the right to each subject that the daemon uses.

use super::line::{Advice, Line};
use crate::adapters::nats::trial::{Refused, Trial};
use crate::app::layout;
use crate::config::{NatsAddress, Settings};

const SERVER: Advice = (
    "set EXTENSION_REGISTRY_NATS_URL, and look whether the server runs",
    "docs/troubleshooting.md#nobody-answers",
);
const LOGIN: Advice = (
    "set a login that the server knows; its log names the user it refused",
    "docs/access.md#credentials-and-how-they-are-renewed",
);
const TLS: Advice = (
    "set the CA that signed the server's certificate and use the name in it, or use nats:// if \
     the server has no TLS",
    "docs/access.md#credentials-and-how-they-are-renewed",
);
const RIGHTS: Advice = (
    "give the daemon's user this right, as deploy/nats/nats-server.conf does",
    "docs/access.md#over-nats",
);
const INBOX: Advice = (
    "set EXTENSION_REGISTRY_NATS_INBOX_PREFIX to where the daemon's user may receive, such as \
     _INBOX.registry",
    "docs/access.md#over-nats",
);
const PAYLOAD: Advice = (
    "raise max_payload of the server, or lower EXTENSION_REGISTRY_MAX_PAYLOAD_BYTES",
    "docs/configuration.md#limits",
);
const SUBSCRIPTIONS: Advice = (
    "raise max_subscriptions of the server, or the limit of the daemon's account or user",
    "docs/troubleshooting.md#nobody-answers",
);
const SLOW: Advice = (
    "look at the server's log and at the network",
    "docs/troubleshooting.md#nobody-answers",
);

/// As `stats` names the setting.
const REPLY_PREFIXES: &str = "REPLY_PREFIXES";

pub(super) async fn lines(settings: &Settings) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut first = None;
    for server in &settings.nats.servers {
        match Trial::connect(&settings.nats, server, &settings.identity.instance_id).await {
            Ok(trial) => {
                let what = format!("connects to {server}: {}", trial.server());
                lines.push(Line::good(what));
                first = first.or(Some(trial));
            }
            Err(problem) => lines.push(unconnected(server, problem)),
        }
    }
    if let Some(mut trial) = first {
        lines.extend(rights(settings, &mut trial).await);
    }
    lines
}

fn unconnected(server: &NatsAddress, problem: String) -> Line {
    let lower = problem.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let advice = if has(&["tls", "certificate", "corrupt message"]) {
        TLS
    } else if has(&["authorization", "authentication", "nkey", "seed", "jwt"]) {
        LOGIN
    } else {
        SERVER
    };
    Line::bad(format!("connects to {server}"), problem, advice)
}

async fn rights(settings: &Settings, trial: &mut Trial) -> Vec<Line> {
    let mut lines = Vec::new();
    let what = format!("receives at {}.>", settings.nats.inbox_prefix.as_str());
    match trial.round_trip().await {
        Ok(took) => {
            let took = took.as_secs_f64() * 1e3;
            lines.push(Line::good(format!("{what} in {took:.1} ms")));
        }
        Err(problem) => {
            // What proves everything else does not come back.
            lines.push(Line::bad(what, problem, INBOX));
            return lines;
        }
    }
    let limits = (trial.max_payload(), settings.limits.max_payload_bytes);
    lines.push(match limits {
        (server, ours) if server < ours => {
            let what = format!("takes payloads of {ours} bytes");
            Line::doubtful(what, format!("the server takes {server}"), PAYLOAD)
        }
        (server, _) => Line::good(format!("takes messages of {server} bytes")),
    });
    let layout = layout(settings);
    match trial.subscribes(&layout).await {
        Ok((count, refused)) if refused.is_empty() => {
            let what = format!("may subscribe to all {count} subjects of requests");
            lines.push(Line::good(what));
        }
        Ok((_, refused)) => {
            lines.extend(refused.iter().map(|refused| denied("subscribe", refused)))
        }
        Err(problem) => lines.push(Line::bad("may subscribe", problem, SLOW)),
    }
    lines.push(match trial.holds(&layout).await {
        Ok(most) => Line::good(format!("may have {most} subscriptions on a connection")),
        Err(problem) => {
            let what = "may have all its subscriptions on a connection";
            Line::bad(what, problem, SUBSCRIPTIONS)
        }
    });
    lines.extend(publishing(settings, trial).await);
    lines
}

async fn publishing(settings: &Settings, trial: &mut Trial) -> Vec<Line> {
    let subjects = &settings.subjects;
    let prefix = subjects.prefix.as_str();
    let events = trial.event(&format!("{prefix}.events.check")).await;
    let mut lines = vec![published(&format!("{prefix}.events.>"), events, Line::bad)];
    let cancelled = trial.publishes(&format!("{prefix}.cancelled.check")).await;
    let place = format!("{prefix}.cancelled.*");
    lines.push(published(&place, cancelled, Line::doubtful));

    let (mut answered, mut refused) = (Vec::new(), Vec::new());
    for beginning in &subjects.reply_prefixes {
        let subject = format!("{beginning}check.{}", trial.token());
        let place = format!("{beginning}>");
        match trial.publishes(&subject).await {
            Ok(()) => answered.push(place),
            Err(problem) => refused.push((place, problem)),
        }
    }
    let chosen = settings.distinct.changed.contains_key(REPLY_PREFIXES);
    lines.extend(answering(&answered, refused, chosen));

    for pattern in &subjects.allowed {
        let Some(subject) = example(pattern.as_str(), trial.token()) else {
            continue;
        };
        let outcome = trial.publishes(&subject).await;
        lines.push(published(pattern.as_str(), outcome, Line::bad));
    }
    lines
}

/// Where replies may go. Of the default places some are for gateways and service imports, which few
/// have; where an operator has `chosen` them, each is meant, and its callers would hear nothing.
fn answering(answered: &[String], refused: Vec<(String, String)>, chosen: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    if !answered.is_empty() {
        let places = answered.join(", ");
        lines.push(Line::good(format!("may answer at {places}")));
    }
    let wrong = refused.into_iter();
    let wrong = wrong.filter(|_| chosen || answered.is_empty());
    lines.extend(wrong.map(|(place, problem)| {
        let what = format!("may answer at {place}");
        Line::bad(what, problem, RIGHTS)
    }));
    lines
}

/// A subject under `pattern` at which no extension is; `None` for a subject that may be one's.
fn example(pattern: &str, token: &str) -> Option<String> {
    let wild = pattern.contains(['*', '>']);
    wild.then(|| pattern.replace(['*', '>'], &format!("check-{token}")))
}

type Make = fn(String, String, Advice) -> Line;

fn published(subject: &str, outcome: Result<(), String>, make: Make) -> Line {
    let what = format!("may publish at {subject}");
    match outcome {
        Ok(()) => Line::good(what),
        Err(problem) => make(what, problem, RIGHTS),
    }
}

fn denied(what: &str, refused: &Refused) -> Line {
    let what = match &refused.queue_group {
        Some(group) => format!("may {what} to {} in group {group}", refused.subject),
        None => format!("may {what} to {}", refused.subject),
    };
    Line::bad(what, refused.words.clone(), RIGHTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_for_replies_that_was_chosen_must_be_allowed() {
        let bad = |answered: &[&str], refused: &[&str], chosen| {
            let answered: Vec<_> = answered.iter().map(|it| (*it).to_owned()).collect();
            let refused = refused.iter().map(|it| ((*it).to_owned(), String::new()));
            let lines = answering(&answered, refused.collect(), chosen);
            lines.iter().filter(|line| !line.is_good()).count()
        };
        assert_eq!(bad(&["_INBOX.>"], &["_R_.>", "_GR_.>"], false), 0);
        assert_eq!(bad(&["_INBOX.>"], &["_R_.>", "_GR_.>"], true), 2);
        assert_eq!(bad(&[], &["_INBOX.>", "_R_.>"], false), 2);
        assert_eq!(bad(&["_INBOX.>"], &[], true), 0);
    }

    #[test]
    fn no_extension_is_called() {
        assert_eq!(example("a.>", "t").as_deref(), Some("a.check-t"));
        assert_eq!(example("a.*.b", "t").as_deref(), Some("a.check-t.b"));
        assert_eq!(example("a.b", "t"), None);
    }
}
