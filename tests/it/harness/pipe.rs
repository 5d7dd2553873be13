//! A named pipe for a log, of which the test is the reader, when it likes.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const O_NONBLOCK: i32 = 0o4000;

/// A named pipe; gone on drop.
pub(crate) struct Pipe {
    folder: TempDir,
}

/// Its reader, which nothing keeps waiting.
pub(crate) struct Reader {
    file: File,
    text: Vec<u8>,
}

impl Pipe {
    /// A pipe that nobody has opened.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipe = Self { folder };
        let made = Command::new("mkfifo").arg(pipe.path()).status().unwrap();
        assert!(made.success());
        pipe
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Opens it for reading; whoever writes has a reader from now on.
    pub(crate) fn open(&self) -> Reader {
        let file = open(&self.path(), OpenOptions::new().read(true));
        let text = Vec::new();
        Reader { file, text }
    }

    /// Fills it with empty lines to the last byte. It needs a reader.
    pub(crate) fn fill(&self) {
        let mut file = open(&self.path(), OpenOptions::new().write(true));
        // Whole pages first; a write of more than what is left may be refused.
        for length in [4096, 1] {
            while file.write(&vec![b'\n'; length]).is_ok() {}
        }
    }
}

impl Reader {
    /// Reads what there is, and gives all lines that are whole by now.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        match self.file.read_to_end(&mut self.text) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
            _ => {}
        }
        let text = String::from_utf8_lossy(&self.text);
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(str::to_owned).collect()
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> File {
    options.custom_flags(O_NONBLOCK).open(path).unwrap()
}
