//! The running sidecars: what they should have in common, and do not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use serde_json::value::RawValue;

use super::line::{Advice, Line};
use crate::adapters::nats::ask::{AskError, Asker, To};
use crate::adapters::nats::verb::Verb;
use crate::cli::document::{at, string};
use crate::config::Settings;

/// For the first sidecar to answer, and for all: a client that may reply can do so for ever.
const PATIENCE: Duration = Duration::from_secs(3);
/// For another one after that.
const QUIET: Duration = Duration::from_millis(500);
/// Sidecars looked at.
const MAX: usize = 1024;

const NOBODY: Advice = (
    "start one, or look under which prefix and at which server they are",
    "docs/troubleshooting.md#nobody-answers",
);
const ODD: Advice = (
    "`beamline-registry stats --all` shows each; start the one that differs again with what the \
     others have",
    "docs/troubleshooting.md#a-sidecar-differs",
);
const TWICE: Advice = (
    "set a different EXTENSION_REGISTRY_INSTANCE_ID for each, or none",
    "docs/troubleshooting.md#two-answers-to-one-request",
);

/// What all have alike; data is compared where the revision is the same.
const ALIKE: [(&str, &str); 4] = [
    ("version", "run the same version"),
    ("settings.fingerprint", "have the same settings"),
    (
        "active_source",
        "take their data from the same kind of source",
    ),
    ("epoch", "follow the same database"),
];

pub(super) async fn lines(settings: &Settings) -> Vec<Line> {
    let found = match stats(settings).await {
        Ok(found) => found,
        Err(problem) => return vec![Line::bad("a sidecar answers", problem, NOBODY)],
    };
    let mut lines = vec![Line::good(format!("{} sidecars answer", found.len()))];
    let mut times = BTreeMap::<String, usize>::new();
    for document in &found {
        *times.entry(string(document, "instance_id")).or_default() += 1;
    }
    let twice = times.iter().filter(|(_, times)| **times > 1);
    let twice = twice.map(|(name, times)| format!("{name}: {times} times"));
    let twice = twice.collect::<Vec<_>>().join("\n");
    let names = "have names of their own";
    lines.push(match twice.is_empty() {
        true => Line::good(names),
        false => Line::bad(names, twice, TWICE),
    });
    lines.extend(ALIKE.map(|(path, what)| compared(&found, path, what)));
    let mut by_revision = BTreeMap::<String, Vec<Box<RawValue>>>::new();
    for document in found {
        let revision = at(&document, "revision").map(|it| it.get().to_owned());
        let group = by_revision.entry(revision.unwrap_or_default());
        group.or_default().push(document);
    }
    let what = "have the same data at the same revision";
    let groups = by_revision.values();
    let mut compared = groups.map(|group| compared(group, "digest", what));
    let odd = compared.find(|line| !line.is_good());
    lines.push(odd.unwrap_or_else(|| Line::good(what)));
    lines
}

/// One line: all alike, or which sidecar has which value.
fn compared(found: &[Box<RawValue>], path: &str, what: &str) -> Line {
    let mut names = BTreeMap::<String, Vec<String>>::new();
    for document in found {
        let value = at(document, path).map_or("none", RawValue::get);
        let named = names.entry(value.trim_matches('"').to_owned());
        named.or_default().push(string(document, "instance_id"));
    }
    if names.len() < 2 {
        return Line::good(what);
    }
    let listed = names.into_iter().map(|(value, mut names)| {
        names.sort_unstable();
        format!("{value}: {}", names.join(", "))
    });
    Line::bad(what, listed.collect::<Vec<_>>().join("\n"), ODD)
}

/// What each sidecar answers, as far as it can be read.
async fn stats(settings: &Settings) -> Result<Vec<Box<RawValue>>, String> {
    let name = "beamline-registry/check";
    let asker = Asker::connect(&settings.nats, name, PATIENCE).await;
    let asker = asker.map_err(|error| error.to_string())?;
    let subject = To::All.subject(settings.subjects.prefix.as_str(), Verb::Stats);
    let replies = asker.ask(subject, HeaderMap::new(), "".into(), PATIENCE);
    let mut replies = replies.await.map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let mut found: Vec<Box<RawValue>> = Vec::new();
    while found.len() < MAX {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let patience = match found.is_empty() {
            true => left,
            false => left.min(QUIET),
        };
        match replies.next(patience).await {
            Ok(reply) if !left.is_zero() => {
                found.extend(serde_json::from_slice::<Box<RawValue>>(&reply.body).ok());
            }
            Ok(_) | Err(AskError::Silent(_)) if found.is_empty() => {
                return Err(AskError::Silent(PATIENCE).to_string());
            }
            Err(error) if found.is_empty() => return Err(error.to_string()),
            _ => break,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(name: &str, version: &str) -> Box<RawValue> {
        let json = format!(r#"{{"instance_id":"{name}","version":"{version}"}}"#);
        RawValue::from_string(json).unwrap()
    }

    #[test]
    fn who_differs_is_named() {
        let two = [document("a", "1"), document("b", "1")];
        assert!(compared(&two, "version", "").is_good());
        let three = [document("a", "1"), document("b", "2"), document("c", "1")];
        let line = super::super::line::text(
            &[(
                "fleet",
                vec![compared(&three, "version", "run the same version")],
            )],
            &crate::cli::screen::Screen::plain(),
        );
        assert!(line.contains("1: a, c") && line.contains("2: b"), "{line}");
    }
}
