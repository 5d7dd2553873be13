//! Which source serves, and what replies say about it:
//!
//! - fixtures mode serves files and nothing else, database mode the database and nothing else,
//! - auto takes the database when it answers, and files while none has answered since the start,
//!   which every reply then says (`Beamline-Source`),
//! - data of a database that is lost stays, marked as stale after a sync interval, and files never
//!   take its place,
//! - database mode waits for a database that is away: unready, silent on its subjects, alive,
//! - a schema that is behind is a database that is away, and says so; one that is ahead serves.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{Rig, insert};
use crate::schema::run;

mod choice;
mod outage;
mod schema_version;

const SOURCE: &str = "Beamline-Source";
const STALE_MS: &str = "Beamline-Stale-Ms";
/// Every read, with a payload that it takes.
const READS: &[(&str, &str)] = &[
    ("lookup", "in_file"),
    ("get", "in_file"),
    ("explain", "in_file"),
    ("list", ""),
    ("lookup_by_type", "pre"),
    ("stats", ""),
    ("ping", ""),
];

/// A folder with the one extension `in_file`.
fn one_file() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in_file");
    folder
}

fn write(folder: &Path, id: &str) {
    let extension = json!({"id": id, "type": "pre", "subject": format!("beamline.ext.{id}")});
    std::fs::write(folder.join(format!("{id}.json")), extension.to_string()).unwrap();
}

/// A database with the one extension `in_row`.
async fn one_row() -> Rig {
    let rig = Rig::start().await;
    run(&rig.sql, &insert("in_row")).await;
    rig
}

fn sources(stats: &Value) -> (&str, &str) {
    let text = |name: &str| stats[name].as_str().unwrap();
    (text("source"), text("active_source"))
}
