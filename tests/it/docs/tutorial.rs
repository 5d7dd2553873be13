//! `docs/first-extension.md`: every command of the tutorial is run as a newcomer would, in order.
//!
//! | block | |
//! |---|---|
//! | `json NAME`, `python NAME` | the file is saved; after JSON the registry has read it |
//! | `python NAME:WORD` | the line of the file that begins with this word is replaced |
//! | `console` | commands of the operator's terminal, each with all that it prints |
//! | `console TERMINAL` | a program that keeps running, and lines that it prints; a new command ends the one before |
//! | `sh` | the preparations: what the harness provides instead ([`PREPARED`]) |
//!
//! In what is printed, `…` stands for anything, and the number of blanks does not count. `just docs`
//! writes what the operator's commands print; the rest of the page is written by hand. Where
//! `nats-py` is missing the test logs it and passes; with `BEAMLINE_PYTHON=required`, as in `.ci/run`,
//! it fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::volatile::MARK;
use super::{file, settle, writes};
use crate::harness::servers::{self, Mode};
use crate::harness::{Client, DEADLINE, Process, eventually};

const PAGE: &str = "docs/first-extension.md";
const BINARY: &str = env!("CARGO_BIN_EXE_beamline-registry");

/// Preparations of the page that take minutes or need a network: servers, programs and packages are
/// those that the tests have anyway.
const PREPARED: &[&str] = &[
    "./justw tools",
    "cargo install --locked --path .",
    r#"export PATH="$PATH:$(dirname "$(scripts/server-path nats)")""#,
    "python3 -m venv ~/.beamline-tutorial",
    ". ~/.beamline-tutorial/bin/activate",
    "pip install nats-py",
    "mkdir -p ~/shout && cd ~/shout",
];

#[tokio::test]
async fn the_first_extension_works_as_printed() {
    let Some(library) = library() else { return };
    if servers::mode() == Mode::Containers {
        return;
    }
    let page = fs::read_to_string(file(PAGE)).unwrap();
    let mut written = page.clone();
    let mut desk = Desk::new(&library);
    let mut commands = 0;
    for (info, block) in blocks(&page) {
        commands += block.lines().filter(|line| line.starts_with("$ ")).count();
        match info.split_once(' ').unwrap_or((info, "")) {
            ("sh", _) => {
                for line in block.lines() {
                    assert!(PREPARED.contains(&line), "nobody has prepared: {line}");
                }
            }
            ("json" | "python", name) => desk.save(name, block).await,
            ("console", "") => {
                let printed = desk.operate(block).await;
                written = written.replacen(block, &printed, 1);
            }
            ("console", terminal) => desk.keep(terminal, block).await,
            other => panic!("a block of an unknown kind: {other:?}"),
        }
    }
    assert!(commands > 15, "only {commands} commands were found");
    settle(PAGE, &written);
}

/// The folder with `nats-py`, as `just python` installs it.
fn library() -> Option<PathBuf> {
    let script = file("scripts/pip-tool");
    let asked = Command::new(script).args(["where", "nats-py"]).output();
    let folder = PathBuf::from(String::from_utf8(asked.unwrap().stdout).unwrap().trim());
    if folder.is_dir() {
        return Some(folder);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the tests, not of the daemon"
    )]
    let mode = std::env::var("BEAMLINE_PYTHON");
    assert!(
        mode.as_deref() != Ok("required"),
        "no nats-py here, and it is required"
    );
    eprintln!("no nats-py here: the tutorial is not tested (see `just python`)");
    None
}

/// The fenced blocks of a page: what is behind the fence, and the content.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut fences = page.split("\n```");
    let _text = fences.next();
    let mut blocks = Vec::new();
    while let (Some(block), Some(_text)) = (fences.next(), fences.next()) {
        blocks.push(block.split_once('\n').unwrap_or((block, "")));
    }
    blocks
}

/// A folder, its terminals, and the registry's address once it is known, with a connection there.
struct Desk {
    folder: TempDir,
    path: String,
    library: String,
    url: String,
    client: Option<Client>,
    terminals: BTreeMap<String, Process>,
}

impl Desk {
    fn new(library: &Path) -> Self {
        let programs = [servers::nats_server(), PathBuf::from(BINARY)];
        let folders = programs.map(|program| program.parent().unwrap().display().to_string());
        #[expect(clippy::disallowed_methods, reason = "passed on as it is")]
        let known = std::env::var("PATH").unwrap_or_default();
        Self {
            folder: tempfile::tempdir().unwrap(),
            path: format!("{}:{known}", folders.join(":")),
            library: library.display().to_string(),
            url: String::new(),
            client: None,
            terminals: BTreeMap::new(),
        }
    }

    /// Prepares a program of the page, found as a shell finds it.
    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.folder.path())
            .env("PATH", &self.path)
            .env("PYTHONPATH", &self.library)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        if !self.url.is_empty() {
            command.env("NATS_URL", &self.url);
        }
    }

    /// Saves a file, or one line of it, and waits until the registry has read it.
    async fn save(&self, name: &str, content: &str) {
        let (name, word) = name.split_once(':').unwrap_or((name, ""));
        let path = self.folder.path().join(name);
        let content = if word.is_empty() {
            format!("{content}\n")
        } else {
            let whole = fs::read_to_string(&path).unwrap();
            let is_it = |line: &&str| line.trim_start().starts_with(&format!("{word} ="));
            assert_eq!(whole.lines().filter(is_it).count(), 1, "{word} in {name}");
            let lines = whole.lines();
            let lines = lines.map(|line| if is_it(&line) { content } else { line });
            lines.map(|line| format!("{line}\n")).collect()
        };
        let loads = self.loads().await;
        // In one step: a file that is empty for a moment is a fault, and a load.
        let draft = self.folder.path().join("draft");
        fs::write(&draft, content).unwrap();
        fs::rename(draft, path).unwrap();
        if name.ends_with(".json") && loads.is_some() {
            eventually("the file is read", DEADLINE, async || {
                let now = self.loads().await;
                if now > loads { Ok(()) } else { Err(now) }
            })
            .await;
        }
    }

    /// How often the registry has loaded, once it runs.
    async fn loads(&self) -> Option<u64> {
        let stats = self
            .client
            .as_ref()?
            .request("beamline.registry.stats", "")
            .await;
        stats.ok()["load_count"].as_u64()
    }

    /// Runs the commands of the operator's terminal, one by one; the block as it should be.
    async fn operate(&mut self, block: &str) -> String {
        let mut lines = block.lines().peekable();
        let mut written = Vec::new();
        while let Some(line) = lines.next() {
            written.push(line.to_owned());
            let line = line.strip_prefix("$ ").expect("a command first");
            let mut shown = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
                shown.push(line);
            }
            if line.starts_with("export NATS_URL=") {
                self.take_address().await;
                continue;
            }
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            self.prepare(&mut command);
            let output = printed(command).await;
            let output: Vec<_> = output.trim_end().lines().collect();
            let agree = output.len() == shown.len()
                && shown
                    .iter()
                    .zip(&output)
                    .all(|(page, real)| agrees(page, real));
            match agree {
                true => written.extend(shown.into_iter().map(str::to_owned)),
                false if writes() => written.extend(output.into_iter().map(marked)),
                false => panic!("{PAGE}: $ {line}\npage: {shown:#?}\nreal: {output:#?}"),
            }
        }
        written.join("\n")
    }

    /// What `export NATS_URL=` takes from the terminal of `dev`, which shows requests from then on.
    async fn take_address(&mut self) {
        let dev = &self.terminals["dev"];
        let address = |line: &str| line.split_once(" at nats://").map(|it| it.1.to_owned());
        let found = dev.wait_line("where it serves", DEADLINE, address).await;
        self.url = format!("nats://{}", found.unwrap());
        let client = self.client.insert(Client::connect(&self.url).await);
        let dev = &self.terminals["dev"];
        eventually("dev shows what is asked", DEADLINE, async || {
            let asked = client.try_request("beamline.registry.ping", "", DEADLINE);
            drop(asked.await);
            let log = dev.log();
            if log.iter().any(|line| line.contains("  ping")) {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await;
    }

    /// Starts a program that keeps running, if the block has one, and waits for the lines shown.
    async fn keep(&mut self, terminal: &str, block: &str) {
        let (commands, shown): (Vec<_>, Vec<_>) =
            block.lines().partition(|line| line.starts_with("$ "));
        assert!(commands.len() < 2, "one program at a time: {commands:?}");
        if let Some(line) = commands.first() {
            if let Some(before) = self.terminals.remove(terminal) {
                before.signal("TERM");
                before.wait_exit(DEADLINE).await;
            }
            let line = line.trim_start_matches("$ ");
            let mut command = Process::command(Path::new("/bin/sh"), "KILL", None);
            command.args(["-c", &format!("exec {line}")]);
            self.prepare(&mut command);
            let process = Process::spawn(line, command).await;
            self.terminals.insert(terminal.to_owned(), process);
        }
        let process = &self.terminals[terminal];
        for page in shown {
            let seen = |real: &str| agrees(page, real).then_some(());
            let found = process.wait_line(page, DEADLINE, seen).await;
            found.unwrap_or_else(|error| panic!("{PAGE}: {error}"));
        }
    }
}

/// What a command prints: its document, which may lack an end of line, then its errors.
async fn printed(command: Command) -> String {
    let mut command = tokio::process::Command::from(command);
    let run = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE * 2, run).await;
    let output = output.expect("an end").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (document, errors) = (text(output.stdout), text(output.stderr));
    match document.is_empty() || document.ends_with('\n') {
        true => document + &errors,
        false => format!("{document}\n{errors}"),
    }
}

/// A line with [`MARK`] for what differs from run to run: latencies and ages.
fn marked(line: &str) -> String {
    let number = |word: &str| word.parse::<f64>().is_ok() && word.contains('.');
    let age = |word: &str| {
        let digits = word.trim_end_matches(['s', 'm', 'h']);
        digits != word && digits.parse::<u32>().is_ok()
    };
    let words = line.split(' ');
    let words = words.map(|word| {
        if number(word) || age(word) {
            MARK
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

/// Whether a line of the page is what was printed; [`MARK`] stands for anything within a word, as a
/// word for any words.
fn agrees(page: &str, real: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (page, real) = (words(page), words(real));
    let mut parts: Vec<_> = page.split(MARK).collect();
    let (first, last) = (parts.remove(0), parts.pop());
    let Some(last) = last else {
        return page == real;
    };
    let Some(mut rest) = real.strip_prefix(first) else {
        return false;
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_line_agrees_but_for_what_is_marked() {
    for (page, real, agree) in [
        ("a  b", "a b", true),
        ("a b", "a c", false),
        ("at nats://127.0.0.1:…", "at nats://127.0.0.1:4222", true),
        ("… ago v1", "12s ago v1", true),
        ("… ago v1", "12s ago v1 more", false),
        ("… reason=x", "WARN origin=y reason=x", true),
        ("x", "x y", false),
    ] {
        assert_eq!(agrees(page, real), agree, "{page} / {real}");
    }
}
