//! The data of the status page: compact, and only what it shows.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::to_bytes;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::clock::{Clock, millis};
use crate::service::live::{Note, Point, Row};

#[derive(Serialize)]
struct RowBody<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<&'a str>,
    enabled: bool,
    auto_disabled: bool,
    revision: u64,
    state: &'static str,
    /// The version that fails, where it is not the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    ailing: Option<&'a str>,
    circuit: &'static str,
    success_rate: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// Oldest first, up to now; absent where the page has it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Option<PointBody>>>,
}

/// Successes, failures, and p50 and p99 in milliseconds.
type PointBody = (u32, u32, Option<f64>, Option<f64>);

#[derive(Serialize)]
struct Rows<'a> {
    rows: Vec<RowBody<'a>>,
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
    stats: &'a RawValue,
    notes: Vec<NoteBody<'a>>,
}

/// The beginning of a snapshot: `stats` as that document, and what happened lately.
pub fn hello(stats: &Bytes, notes: &[Note]) -> Bytes {
    to_bytes(&Hello {
        stats: serde_json::from_slice(stats).unwrap_or(RawValue::NULL),
        notes: notes.iter().map(note_body).collect(),
    })
}

/// A part of a snapshot: rows with their history.
pub fn rows(rows: &[(Row, Vec<Point>)]) -> Bytes {
    let bodies = rows.iter().map(|(row, points)| RowBody {
        history: Some(history(points)),
        ..row_body(row)
    });
    to_bytes(&Rows {
        rows: bodies.collect(),
        gone: Vec::new(),
    })
}

/// What differs from what was sent before.
pub fn changes(rows: &[Row], gone: &[ExtensionId]) -> Bytes {
    to_bytes(&Rows {
        rows: rows.iter().map(row_body).collect(),
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

fn row_body(row: &Row) -> RowBody<'_> {
    RowBody {
        id: row.id.as_str(),
        kind: row.kind.as_str(),
        version: row.version.as_str(),
        subject: row.subject.as_str(),
        owner: row.owner.as_deref(),
        team: row.team.as_deref(),
        enabled: row.enabled,
        auto_disabled: row.auto_disabled,
        revision: row.revision,
        state: row.state.as_str(),
        ailing: row.ailing.as_ref().map(VersionName::as_str),
        circuit: row.circuit.as_str(),
        success_rate: row.success_per_10k.map(|share| f64::from(share) / 1e4),
        p50_ms: row.p50_us.map(milliseconds),
        p99_ms: row.p99_us.map(milliseconds),
        history: None,
    }
}

fn history(points: &[Point]) -> Vec<Option<PointBody>> {
    let points = points.iter();
    let points = points.map(|it| (!it.is_empty()).then(|| point(it)));
    points.collect()
}

fn point(point: &Point) -> PointBody {
    let ms = |us: NonZeroU32| milliseconds(us.get().into());
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

/// Microseconds as milliseconds.
fn milliseconds(us: u64) -> f64 {
    super::stats::milliseconds(Duration::from_micros(us))
}
