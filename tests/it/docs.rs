//! The pages of `docs/` that are held against the real thing:
//!
//! - [`page`]: a page's `console` blocks are run as they stand, in their order, and its replies
//!   compared with the real ones,
//! - [`coverage`], [`names`]: every verb has an example, and what pages name exists,
//! - [`lists`]: what repeats a table of the code has all of it,
//! - [`verbs`]: lists of verbs in pages and permissions are made from their table,
//! - [`links`], [`wording`]: links and anchors resolve, and words are those of the house,
//! - [`configuration`]: the tables of variables are those of the code,
//! - [`schemas`]: so are the schemas, and validators in another language agree with the daemon,
//! - [`tutorial`]: the first extension, command by command,
//! - [`recording`], [`pictures`]: a session and the status page as pictures.
//!
//! `just docs` writes the pages instead of comparing them, so nobody edits a reply by hand.

pub(crate) mod asyncapi;
mod command;
mod configuration;
mod coverage;
mod fixtures;
pub(crate) mod layout;
mod links;
mod lists;
mod names;
mod page;
mod pictures;
mod recording;
mod schemas;
mod stage;
mod tutorial;
mod verbs;
pub(crate) mod volatile;
mod wording;

use std::path::{Path, PathBuf};

pub(crate) use recording::draw;

/// The pages of the NATS API.
const API: &[&str] = &[
    "docs/nats-api.md",
    "docs/nats-reading.md",
    "docs/nats-calling.md",
    "docs/nats-administration.md",
    "docs/nats-errors.md",
];

/// Every page for users, by its path from the root.
fn pages() -> Vec<String> {
    let mut pages = files("docs", &["md"]);
    pages.extend(["README.md", "SECURITY.md", "CONTRIBUTING.md"].map(str::to_owned));
    pages
}

/// The files of a folder and those below it that end in one of `extensions`, by their paths from the
/// root.
fn files(folder: &str, extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(file(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if path.ends_with("/node_modules") {
            // Not ours.
        } else if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path, extensions));
        } else if let Some((_, extension)) = path.rsplit_once('.')
            && extensions.contains(&extension)
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap()
}

/// A file of the project, by its path from the root.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether pages are written rather than compared: `BEAMLINE_DOCS=write`, what `just docs` sets.
pub(crate) fn writes() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the tests, not of the daemon"
    )]
    let mode = std::env::var("BEAMLINE_DOCS");
    mode.is_ok_and(|mode| mode == "write")
}

/// Compares the file at `path` with what it should hold, or writes it.
pub(crate) fn settle(path: &str, expected: &str) {
    let found = std::fs::read_to_string(file(path)).unwrap_or_default();
    if found == expected {
        return;
    }
    if writes() {
        std::fs::write(file(path), expected).unwrap();
        return;
    }
    let mut lines = found.lines().zip(expected.lines()).enumerate();
    let (line, (found, expected)) = lines
        .find(|(_, (found, expected))| found != expected)
        .unwrap_or((0, ("one is", "longer than the other")));
    let line = line + 1;
    panic!("{path}:{line} is stale; run `just docs`\n  page: {found}\n  real: {expected}");
}
