//! The demo's folder: fixtures that may be edited without touching the shipped ones.

use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

/// The fixtures that ship with the daemon, so that the demo needs no checkout.
const SHIPPED: [(&str, &str); 6] = [
    (
        "anthropic_claude.json",
        include_str!("../../../fixtures/extensions/anthropic_claude.json"),
    ),
    (
        "mask_sensitive_data.json",
        include_str!("../../../fixtures/extensions/mask_sensitive_data.json"),
    ),
    (
        "mock_provider.json",
        include_str!("../../../fixtures/extensions/mock_provider.json"),
    ),
    (
        "normalize_text.json",
        include_str!("../../../fixtures/extensions/normalize_text.json"),
    ),
    (
        "openai_gpt4.json",
        include_str!("../../../fixtures/extensions/openai_gpt4.json"),
    ),
    (
        "pii_guard.json",
        include_str!("../../../fixtures/extensions/pii_guard.json"),
    ),
];

/// An extension that answers in pieces; only the demo has one.
const OWN: (&str, &str) = (
    "story_teller.json",
    include_str!("fixtures/story_teller.json"),
);

/// A folder of this process, removed when dropped.
#[derive(Debug)]
pub(super) struct Workspace {
    folder: PathBuf,
    fixtures: PathBuf,
}

impl Workspace {
    /// Makes the folder and copies the fixtures, the shipped ones and the demo's own.
    pub(super) fn create() -> io::Result<Self> {
        let folder = env::temp_dir().join(format!("beamline-demo-{}", process::id()));
        let fixtures = folder.join("extensions");
        fs::create_dir_all(&fixtures)?;
        for (name, text) in SHIPPED.into_iter().chain([OWN]) {
            fs::write(fixtures.join(name), text)?;
        }
        Ok(Self { folder, fixtures })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn fixtures(&self) -> &Path {
        &self.fixtures
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
