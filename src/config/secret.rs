//! A secret that is renewed under a running process.
//!
//! One given by a `_FILE` key remembers its file, which is read again for each connection: a
//! password is changed by writing the file, without a restart.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::text_file::{MAX_BYTES, read_text};

/// A text that is never shown, and its file.
#[derive(Debug, Clone)]
pub struct Secret {
    text: SecretString,
    file: Option<PathBuf>,
}

impl Secret {
    pub(super) fn new(text: SecretString, file: Option<PathBuf>) -> Self {
        Self { text, file }
    }

    /// The text that was there at the start.
    pub fn first(&self) -> &SecretString {
        &self.text
    }

    /// The text that is there now. Reads a small file where there is one, so it is for code that is
    /// about to connect, not for the path of a request.
    ///
    /// # Errors
    /// The file cannot be read or is empty; the error names it: it may be there again at the next
    /// attempt.
    pub fn current(&self) -> Result<SecretString, String> {
        match &self.file {
            None => Ok(self.text.clone()),
            Some(file) => read(file),
        }
    }
}

/// The secret that `file` holds now.
pub(super) fn read(file: &Path) -> Result<SecretString, String> {
    let text = read_text(file, MAX_BYTES);
    let text = text.map_err(|error| format!("{} {error}", file.display()))?;
    match trimmed(&text) {
        "" => Err(format!("{} cannot be read: it is empty", file.display())),
        text => Ok(text.into()),
    }
}

impl From<SecretString> for Secret {
    /// A secret that is not re-read.
    fn from(text: SecretString) -> Self {
        Self::new(text, None)
    }
}

/// Without its line end: editors and `echo` end a file with one that is no part of the secret.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use std::fs;

    use super::*;

    #[test]
    fn a_secret_from_a_file_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let secret = Secret::new("first".into(), Some(file.clone()));
        for second in ["second\r\n", "\u{feff}second"] {
            fs::write(&file, second).unwrap();
            assert_eq!(secret.current().unwrap().expose_secret(), "second");
        }
        assert_eq!(secret.first().expose_secret(), "first");
        for (unusable, why) in [
            (&b"\n"[..], "it is empty"),
            (b"", "is empty"),
            (b"\xff\xfes\0", "is UTF-16"),
            (b"s\xe9", "is not UTF-8 from byte 1 on"),
        ] {
            fs::write(&file, unusable).unwrap();
            let error = secret.current().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        fs::remove_file(&file).unwrap();
        let error = secret.current().unwrap_err();
        assert!(error.contains("password cannot be read"), "{error}");
    }

    #[test]
    fn one_without_a_file_stays_and_is_never_shown() {
        let secret = Secret::from(SecretString::from("hunter2"));
        assert_eq!(secret.current().unwrap().expose_secret(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
