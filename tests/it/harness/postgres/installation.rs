//! Postgres's programs, and the user they run as.
//!
//! Postgres refuses to run as root. As root it runs as `postgres`, or `nobody`; that user must be
//! able to reach the programs, which are copied when they lie in somebody's private home.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::process::Process;
use super::super::servers;
use super::super::wait::DEADLINE;

/// Programs that can be run, and as whom.
pub(crate) struct Installation {
    programs: PathBuf,
    user: Option<User>,
}

#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Installation {
    /// What this machine has. `folder`, made by the caller, is handed to the user that will run
    /// the server.
    pub(crate) fn find(folder: &Path) -> Self {
        let programs = servers::postgres_programs();
        let root = folder.metadata().unwrap().uid() == 0;
        let user = root.then(|| {
            let user = ["postgres", "nobody"].into_iter().find_map(User::named);
            user.expect("as root, Postgres needs a user `postgres` or `nobody` to run as")
        });
        let mut found = Self { programs, user };
        if let Some(User { uid, gid }) = user {
            if !found.starts() {
                found.programs = copy(&found.programs, &folder.join("installation"));
            }
            // With what is in it: that user's watchdog removes it.
            let owner = format!("{uid}:{gid}");
            run("chown", &["-R".as_ref(), owner.as_ref(), folder.as_ref()]);
            let programs = &found.programs;
            assert!(found.starts(), "{programs:?} cannot be run as user {uid}");
        }
        found
    }

    /// Makes a cluster in `data`, within `folder`, whose superuser may log in without a password.
    pub(crate) async fn initdb(&self, folder: &Path, data: &Path, superuser: &str) {
        let mut command = self.command("initdb", folder);
        command.arg("-D").arg(data).args(["-U", superuser]);
        command.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        let process = Process::spawn("initdb", command).await;
        let code = process.wait_exit(DEADLINE * 3).await;
        assert_eq!(code, 0, "initdb: {:#?}", process.log());
    }

    /// The command for `program`, which ends at once, and takes `folder` with it, when this run does.
    pub(crate) fn command(&self, program: &str, folder: &Path) -> Command {
        self.run_by_user(Process::command(
            &self.programs.join(program),
            "QUIT",
            Some(folder),
        ))
    }

    fn starts(&self) -> bool {
        let version = self.as_user("initdb").arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    }

    fn as_user(&self, program: &str) -> Command {
        self.run_by_user(Command::new(self.programs.join(program)))
    }

    fn run_by_user(&self, mut command: Command) -> Command {
        if let Some(User { uid, gid }) = self.user {
            // Not the current folder, which that user may not be allowed to enter.
            command.uid(uid).gid(gid).current_dir("/");
        }
        command
    }
}

impl User {
    fn named(name: &str) -> Option<Self> {
        let id = |option| {
            let output = Command::new("id").args([option, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self {
            uid: id("-u")?,
            gid: id("-g")?,
        })
    }
}

/// Copies the installation around `programs` below `target`, and returns where its programs are.
///
/// The Python package keeps shared libraries in a folder `*.libs` beside the package, which the
/// programs expect three levels up: it comes along, at the same distance.
fn copy(programs: &Path, target: &Path) -> PathBuf {
    let programs = programs.canonicalize().unwrap();
    let top = programs.ancestors().nth(3).unwrap_or(Path::new("/"));
    let below = programs.strip_prefix(top).unwrap();
    let installation = target.join(below.parent().unwrap());
    std::fs::create_dir_all(installation.parent().unwrap()).unwrap();
    run(
        "cp",
        &[
            "-R".as_ref(),
            programs.parent().unwrap().as_ref(),
            installation.as_ref(),
        ],
    );
    for neighbour in top.read_dir().unwrap() {
        let neighbour = neighbour.unwrap().path();
        if neighbour
            .extension()
            .is_some_and(|extension| extension == "libs")
        {
            run("cp", &["-R".as_ref(), neighbour.as_ref(), target.as_ref()]);
        }
    }
    target.join(below)
}

fn run(program: &str, arguments: &[&OsStr]) {
    let status = Command::new(program).args(arguments).status();
    let done = status.is_ok_and(|status| status.success());
    assert!(done, "{program} {arguments:?} failed");
}
