//! The data of the status page: compact, and only what it shows.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::stats::milliseconds;
use super::to_bytes;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::json::JsonObject;
use crate::domain::subject::Subject;
use crate::service::clock::{Clock, millis};
use crate::service::health::Standing;
use crate::service::live::{Note, Point, per_10k};

/// One extension as the page shows it, to the precision that is shown: what moves beyond it is no
/// change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The extension.
    #[serde(serialize_with = "text")]
    pub id: ExtensionId,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its current version.
    #[serde(serialize_with = "text")]
    pub version: VersionName,
    /// Where its current version listens.
    #[serde(serialize_with = "text")]
    pub subject: Subject,
    /// Its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Box<str>>,
    /// `metadata.team`, where that is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Whether operators have it enabled.
    pub enabled: bool,
    /// Of its last change.
    pub revision: u64,
    /// The worst of the versions that take part.
    pub state: &'static str,
    /// Which version that is, where it fails and is not the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ailing: Option<Box<str>>,
    /// The share of successes of all time.
    pub success_rate: Option<f64>,
    /// Median latency of the latest calls.
    pub p50_ms: Option<f64>,
    /// 99 % of them did.
    pub p99_ms: Option<f64>,
}

/// A row as it begins.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    row: &'a Row,
    /// Oldest first, up to now.
    history: Vec<Option<PointBody>>,
}

/// Successes, failures, and p50 and p99 in milliseconds.
type PointBody = (u32, u32, Option<f64>, Option<f64>);

#[derive(Serialize)]
struct Rows<'a, R> {
    rows: R,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    gone: Vec<&'a str>,
}

#[derive(Serialize)]
struct NoteBody<'a> {
    /// Milliseconds since the Unix epoch.
    at: u64,
    tone: &'static str,
    id: Option<&'a str>,
    text: &'a str,
}

#[derive(Serialize)]
struct Hello<'a> {
    boot: &'a str,
    stats: &'a RawValue,
    notes: Vec<NoteBody<'a>>,
}

/// The beginning of a snapshot: which run of a sidecar it is of, `stats` as that document, and what
/// happened lately.
pub fn hello(boot: &str, stats: &Bytes, notes: &[Note]) -> Bytes {
    to_bytes(&Hello {
        boot,
        stats: serde_json::from_slice(stats).unwrap_or(RawValue::NULL),
        notes: notes.iter().map(note_body).collect(),
    })
}

/// A part of a snapshot: rows with their history.
pub fn rows(rows: &[(Row, Vec<Point>)]) -> Bytes {
    let rows = rows.iter().map(|(row, points)| {
        let points = points.iter();
        let points = points.map(|it| (!it.is_empty()).then(|| point(it)));
        let history = points.collect();
        Whole { row, history }
    });
    to_bytes(&Rows {
        rows: rows.collect::<Vec<_>>(),
        gone: Vec::new(),
    })
}

/// What differs from what was sent before.
pub fn changes(rows: &[Row], gone: &[ExtensionId]) -> Bytes {
    to_bytes(&Rows {
        rows,
        gone: gone.iter().map(ExtensionId::as_str).collect(),
    })
}

/// The points of an interval, by id.
pub fn tick(points: &[(ExtensionId, Point)]) -> Bytes {
    let points = points.iter().map(|(id, it)| (id.as_str(), point(it)));
    to_bytes(&points.collect::<BTreeMap<_, _>>())
}

/// One thing that happened.
pub fn note(note: &Note) -> Bytes {
    to_bytes(&note_body(note))
}

impl Row {
    /// The row of an extension.
    pub fn of(standing: &Standing) -> Self {
        let extension = standing.entry.extension();
        let ailing = standing.ailing();
        Self {
            id: extension.id.clone(),
            kind: extension.kind.as_str(),
            version: extension.version.clone(),
            subject: extension.subject.clone(),
            owner: extension.owner.clone(),
            team: team(&extension.metadata),
            enabled: extension.enabled,
            revision: extension.revision,
            state: standing.state.as_str(),
            ailing: ailing.map(|version| version.version.as_str().into()),
            // Rounded down: one failure in a million is not none.
            success_rate: standing.success_rate.map(|rate| per_10k(rate) / 1e4),
            p50_ms: standing.p50.map(milliseconds),
            p99_ms: standing.p99.map(milliseconds),
        }
    }
}

/// Rows are made every second: what cannot have a team is not read.
fn team(metadata: &JsonObject) -> Option<String> {
    if !metadata.as_str().contains("\"team\"") {
        return None;
    }
    let members = metadata.members();
    serde_json::from_str(members.get("team")?.get()).ok()
}

fn text<S: Serializer>(name: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

fn point(point: &Point) -> PointBody {
    let ms = |us: NonZeroU32| milliseconds(Duration::from_micros(us.get().into()));
    let (p50, p99) = (point.p50_us.map(ms), point.p99_us.map(ms));
    (point.successes, point.failures, p50, p99)
}

fn note_body(note: &Note) -> NoteBody<'_> {
    NoteBody {
        at: epoch_ms(Clock::default().wall_of(note.at)),
        tone: note.tone.as_str(),
        id: note.id.as_ref().map(ExtensionId::as_str),
        text: &note.text,
    }
}

fn epoch_ms(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_is_a_text_that_metadata_has_by_that_name() {
        for (metadata, named) in [
            (r#"{"a":1,"team":"nlp"}"#, Some("nlp")),
            (r#"{"team":""}"#, Some("")),
            (r#"{"team":7}"#, None),
            (r#"{"of":{"team":"nlp"}}"#, None),
            ("{}", None),
        ] {
            let metadata = JsonObject::parse(metadata).unwrap();
            assert_eq!(team(&metadata).as_deref(), named, "{metadata}");
        }
    }
}
