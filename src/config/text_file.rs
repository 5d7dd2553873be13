//! The one reader of files that operators write: settings, secrets, tokens, certificates, fixtures.
//!
//! Bounded in bytes, and it never waits: opening a pipe would, and so would reading a device.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use thiserror::Error;

use crate::domain::text::{NotText, text};

/// The largest file of settings, secrets, tokens or certificates, in bytes.
pub const MAX_BYTES: u64 = 1024 * 1024;
/// There are file systems whose clock has steps of two seconds.
const COARSEST_STEP: i64 = 3;
/// How often a file that changes while it is read is read again.
const MAX_READS: usize = 3;

/// Why a file could not be read. `Display` goes on after the file's name, and holds nothing of it.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each is its message")]
pub enum TextFileError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is not a regular file")]
    NotRegular,
    #[error("is larger than {0} bytes")]
    TooLarge(u64),
    #[error("changes while it is read")]
    Unsteady,
    #[error(transparent)]
    NotText(#[from] NotText),
}

/// The text of a file of at most `max_bytes`, without a byte order mark.
///
/// # Errors
/// It cannot be read, or is no such text.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String, TextFileError> {
    Ok(text(read_bytes(path, max_bytes)?)?)
}

/// The bytes of a file of at most `max_bytes`, all of one moment as far as its times show.
///
/// # Errors
/// It cannot be read.
pub fn read_bytes(path: &Path, max_bytes: u64) -> Result<Vec<u8>, TextFileError> {
    // Before it is opened too: opening a device can do something to it.
    regular(&fs::metadata(path)?)?;
    for _ in 0..MAX_READS {
        let file = OpenOptions::new()
            .read(true)
            // It may be a pipe by now.
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        if let Some(bytes) = steady(file, max_bytes)? {
            return Ok(bytes);
        }
    }
    Err(TextFileError::Unsteady)
}

/// The bytes of `file`; `None` when it was written meanwhile.
fn steady(file: File, max_bytes: u64) -> Result<Option<Vec<u8>>, TextFileError> {
    let before = file.metadata()?;
    regular(&before)?;
    let mut bytes = Vec::new();
    let mut limited = (&file).take(max_bytes + 1);
    limited.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(TextFileError::TooLarge(max_bytes));
    }
    let unchanged = Stamp::of(&before) == Stamp::of(&file.metadata()?);
    Ok(unchanged.then_some(bytes))
}

fn regular(metadata: &Metadata) -> Result<(), TextFileError> {
    let regular = metadata.is_file();
    regular.then_some(()).ok_or(TextFileError::NotRegular)
}

/// What changes when a file does: device, inode, size, and times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of the file that `metadata` is of.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether every change from `now` on, in seconds since the Unix epoch, shows in the stamp. A
    /// file that changed a moment ago may change again and look the same. The time of change is the
    /// system's own: it cannot be set back.
    pub fn is_settled(&self, now: i64) -> bool {
        now.saturating_sub(self.changed.0) >= COARSEST_STEP
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_no_text_of_this_size_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let told = |name: &str| match read_text(&path(name), 8) {
            Ok(text) => text,
            Err(error) => error.to_string(),
        };
        fs::write(path("marked"), b"\xef\xbb\xbftext").unwrap();
        fs::write(path("large"), "123456789").unwrap();
        fs::write(path("latin"), b"a\xe9").unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("device")).unwrap();
        std::os::unix::fs::symlink("loop", path("loop")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(path("pipe"))
            .status();
        assert!(made.unwrap().success());
        assert_eq!(told("marked"), "text");
        assert_eq!(told("large"), "is larger than 8 bytes");
        assert_eq!(told("latin"), "is not UTF-8 from byte 1 on (line 1)");
        for special in ["socket", "device", "pipe", ""] {
            assert_eq!(told(special), "is not a regular file", "{special}");
        }
        for unreadable in ["loop", "missing"] {
            assert!(
                told(unreadable).starts_with("cannot be read: "),
                "{unreadable}"
            );
        }
    }
}
