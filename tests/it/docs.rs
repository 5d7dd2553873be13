//! The pages of `docs/` that are held against the real thing:
//!
//! - [`page`]: a page's `console` blocks are run as they stand, in their order, and its replies
//!   compared with the real ones,
//! - [`coverage`], [`names`]: every verb has an example, and what pages name exists,
//! - [`configuration`]: the tables of variables are those of the code,
//! - [`schemas`]: so are the schemas, and validators in another language agree with the daemon.
//!
//! `just docs` writes the pages instead of comparing them, so nobody edits a reply by hand.

mod command;
mod configuration;
mod coverage;
pub(crate) mod layout;
mod names;
mod page;
mod schemas;
mod stage;
pub(crate) mod volatile;

use std::path::{Path, PathBuf};

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
