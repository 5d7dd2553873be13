//! The current tokens: their file is checked again as requests come.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::text_file::{MAX_BYTES, Stamp, read_text};
use crate::config::{TokenTable, TokensFile};

/// How long a token that was taken out of the file may still be good.
const RECHECK: Duration = Duration::from_secs(1);

/// The tokens of a file. While the file is missing or faulty, those that were good before.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    table: ArcSwap<TokenTable>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    stamp: Option<Stamp>,
    /// Why the file was not loaded, logged once.
    fault: Option<String>,
}

impl Tokens {
    /// The tokens of `file`.
    pub fn new(file: TokensFile) -> Self {
        Self {
            path: file.path,
            table: ArcSwap::from_pointee(file.table),
            seen: Mutex::default(),
        }
    }

    /// The tokens now.
    pub(super) async fn table(&self) -> Arc<TokenTable> {
        // One request looks; those that come meanwhile need not wait for it.
        if let Ok(mut seen) = self.seen.try_lock()
            && seen.at.is_none_or(|at| at.elapsed() >= RECHECK)
        {
            seen.at = Some(Instant::now());
            self.look(&mut seen).await;
        }
        self.table.load_full()
    }

    async fn look(&self, seen: &mut Seen) {
        let found = self.read(seen.stamp).await;
        let path = self.path.display();
        match found {
            Ok(None) => {}
            Ok(Some((stamp, table))) => {
                // The first look finds what the start has read.
                if **self.table.load() != table {
                    info!(%path, "http tokens reloaded");
                    self.table.store(Arc::new(table));
                }
                (seen.stamp, seen.fault) = (Some(stamp), None);
            }
            Err(fault) => {
                if seen.fault.as_ref() != Some(&fault) {
                    warn!(%path, fault, "http tokens not reloaded; the previous ones stay valid");
                }
                (seen.stamp, seen.fault) = (None, Some(fault));
            }
        }
    }

    /// The file, unless it is as it was at `stamp`.
    async fn read(&self, stamp: Option<Stamp>) -> Result<Option<(Stamp, TokenTable)>, String> {
        let metadata = tokio::fs::metadata(&self.path).await;
        let now = Stamp::of(&metadata.map_err(|error| error.to_string())?);
        if stamp == Some(now) {
            return Ok(None);
        }
        let path = self.path.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "the one reader of text files does not wait, and the file is small"
        )]
        let reading = tokio::task::spawn_blocking(move || read_text(&path, MAX_BYTES));
        let text = reading.await.map_err(|error| error.to_string())?;
        let text = text.map_err(|error| error.to_string())?;
        let table = TokenTable::parse(&text).map_err(|faults| faults.join("; "))?;
        Ok(Some((now, table)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;

    async fn role(tokens: &Tokens, token: &str) -> Option<Role> {
        tokio::time::advance(RECHECK).await;
        tokens.table().await.find(token).map(|grant| grant.role)
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_counts_and_a_faulty_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let write = |text: &str| {
            let draft = folder.path().join("draft");
            std::fs::write(&draft, text).unwrap();
            std::fs::rename(draft, &path).unwrap();
        };
        let table = TokenTable::parse("a reader").unwrap();
        let tokens = Tokens::new(TokensFile {
            path: path.clone(),
            table,
        });
        assert_eq!(role(&tokens, "a").await, Some(Role::Reader), "no file yet");
        write("a admin\nb reader");
        assert_eq!(role(&tokens, "a").await, Some(Role::Admin));
        assert_eq!(role(&tokens, "b").await, Some(Role::Reader));
        for faulty in ["a king", "", "\n"] {
            write(faulty);
            assert_eq!(role(&tokens, "a").await, Some(Role::Admin), "{faulty}");
        }
        write("b operator");
        assert_eq!(role(&tokens, "a").await, None, "taken out");
        assert_eq!(role(&tokens, "b").await, Some(Role::Operator));
        write("# b operator");
        assert_eq!(role(&tokens, "b").await, None, "the last one too");
        write("b operator");
        assert_eq!(role(&tokens, "b").await, Some(Role::Operator));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(role(&tokens, "b").await, Some(Role::Operator), "no file");
    }
}
