//! What the configuration is read from besides the flags. Passed in, so that tests own it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::Path;

use super::memory;
use super::parse::Rule;
use super::text_file::{MAX_BYTES, TextFileError, read_bytes};
use crate::domain::text::text;

/// Environment, files, host and terminal.
#[derive(Clone)]
pub struct Surroundings<'a> {
    /// The environment variables.
    pub env: BTreeMap<OsString, OsString>,
    /// Reads a small file as a whole.
    pub read_file: &'a dyn Fn(&Path) -> Result<Vec<u8>, TextFileError>,
    /// The host's name; in Kubernetes the pod's.
    pub host_name: String,
    /// How many bytes of memory this process may have, where that is limited.
    pub memory_limit: Option<usize>,
    /// Whether the log goes to a terminal.
    pub terminal: bool,
    /// Whether all settings are read, and the files that they name. For `probe` it is `HTTP_ADDR`
    /// only: the daemon that it asks may go on with what it has read.
    pub reads_everything: bool,
}

impl Surroundings<'static> {
    /// The surroundings of this process.
    pub fn of_process() -> Self {
        Self {
            env: std::env::vars_os().collect(),
            read_file: &|path| read_bytes(path, MAX_BYTES),
            host_name: whoami::hostname().unwrap_or_default(),
            memory_limit: memory::limit(),
            terminal: io::stderr().is_terminal(),
            reads_everything: true,
        }
    }
}

impl Surroundings<'_> {
    /// A variable of the environment that is not ours; an empty one is unset.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let text = self.env.get(OsStr::new(name))?.to_str();
        text.filter(|text| !text.is_empty())
    }

    /// The bytes of the file that a value names.
    pub(super) fn bytes(&self, path: &Path) -> Result<Vec<u8>, Rule> {
        (self.read_file)(path).map_err(|error| format!("names {}, which {error}", path.display()))
    }

    /// The text of the file that a value names.
    pub(super) fn text(&self, path: &Path) -> Result<String, Rule> {
        text(self.bytes(path)?).map_err(|error| format!("names {}, which {error}", path.display()))
    }
}
