//! A running client: a line in is a request, a line out is a reply to one.

use std::process::{Command, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::harness::{DEADLINE, eventually};

/// A client, which ends when its input does.
pub(super) struct Session {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// A line that it has printed.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) line: String,
    /// `local`, `group`, or `failed`.
    pub(super) via: String,
    /// `ok`, `chunk`, `end`, or whose error it is and its number; why, after `failed`.
    pub(super) kind: String,
    /// The reply's payload.
    pub(super) body: String,
}

impl Said {
    fn read(line: String) -> Self {
        let (via, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let words = match rest.starts_with("extension ") || rest.starts_with("registry ") {
            true => 2,
            false => 1,
        };
        let parts: Vec<_> = rest.splitn(words + 1, ' ').collect();
        let (kind, body) = parts.split_at(words.min(parts.len()));
        Self {
            via: via.to_owned(),
            kind: kind.join(" "),
            body: body.join(" "),
            line,
        }
    }

    /// The payload as a document.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Session {
    /// Starts it, and waits until it has a connection.
    pub(super) async fn start(command: Command) -> Self {
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.kill_on_drop(true).spawn().unwrap();
        let mut session = Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
        };
        eventually("it is connected", DEADLINE, async || {
            let said = session.ask("ping").await;
            (said.kind == "ok").then_some(()).ok_or(said)
        })
        .await;
        session
    }

    /// Makes a request.
    pub(super) async fn send(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line.
    pub(super) async fn next(&mut self) -> Said {
        let line = tokio::time::timeout(DEADLINE, self.output.next_line()).await;
        Said::read(line.expect("a line").unwrap().expect("it runs"))
    }

    /// Makes a request that has one reply.
    pub(super) async fn ask(&mut self, line: &str) -> Said {
        self.send(line).await;
        self.next().await
    }

    /// Makes a request whose reply is a stream, and takes it to its end.
    pub(super) async fn whole(&mut self, line: &str) -> Vec<Said> {
        self.send(line).await;
        let mut stream = Vec::new();
        loop {
            stream.push(self.next().await);
            if stream.last().is_none_or(|said| said.kind != "chunk") {
                return stream;
            }
        }
    }

    /// Ends its input, and waits for its end: the exit code.
    pub(super) async fn close(self) -> Option<i32> {
        let Self {
            mut process, input, ..
        } = self;
        drop(input);
        let ended = tokio::time::timeout(DEADLINE, process.wait()).await;
        ended.expect("an end").unwrap().code()
    }
}
