//! `import` and `export`, through the real binary and a real Postgres:
//!
//! - [`imports`]: what is created, skipped, refused and replaced, and what is printed of it,
//! - [`faults`]: files and databases that stand in the way: nothing is written then,
//! - [`commits`]: a COMMIT whose answer is lost is looked up,
//! - [`exports`]: which files are written, and which folders are refused,
//! - [`round_trip`]: nothing is lost or changed on the way there and back,
//! - [`live`]: daemons see an import as one revision; a killed import leaves all or nothing,
//! - [`speed`]: how long 10,000 extensions take.

mod commits;
mod exports;
mod faults;
mod imports;
mod live;
mod round_trip;
mod speed;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::Client as Sql;

use crate::harness::daemon::Builder;
use crate::harness::{Daemon, TestDatabase};
use crate::schema::{migrated, value};

/// What a command said: exit code, standard output, standard error.
type Said = (i32, String, String);

/// A command at a database, with the folder it is about.
fn command(database: &TestDatabase, name: &str, folder: &Path, flags: &[&str]) -> Builder {
    let builder = Daemon::builder().database(&database.url());
    let builder = builder.arg(name).arg(folder.display());
    flags.iter().fold(builder, Builder::arg)
}

async fn import(database: &TestDatabase, folder: &Path, flags: &[&str]) -> Said {
    command(database, "import", folder, flags).run().await
}

async fn export(database: &TestDatabase, folder: &Path, flags: &[&str]) -> Said {
    command(database, "export", folder, flags).run().await
}

/// The standard output of a command that must succeed.
#[track_caller]
fn ok((code, out, errors): Said) -> String {
    assert_eq!((code, errors.as_str()), (0, ""), "{out}");
    out
}

/// The standard error of a command that must fail.
#[track_caller]
fn failed((code, out, errors): Said) -> String {
    assert_eq!(code, 1, "{out}{errors}");
    errors
}

/// A migrated, empty database.
struct Place {
    database: TestDatabase,
    sql: Sql,
}

impl Place {
    async fn new() -> Self {
        let (database, sql) = migrated().await;
        Self { database, sql }
    }

    async fn import(&self, folder: &Path, flags: &[&str]) -> Said {
        import(&self.database, folder, flags).await
    }

    async fn export(&self, folder: &Path, flags: &[&str]) -> Said {
        export(&self.database, folder, flags).await
    }

    /// The one value of a query, as text.
    async fn value(&self, sql: &str) -> String {
        value(&self.sql, sql).await
    }
}

/// A folder with these fixtures in one file.
fn folder(fixtures: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), fixtures);
    folder
}

/// Replaces the fixtures of such a folder.
fn write(folder: &Path, fixtures: &Value) {
    std::fs::write(folder.join("all.json"), fixtures.to_string()).unwrap();
}

/// Every file of a folder by its name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect()
}
