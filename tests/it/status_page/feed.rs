//! The stream over a real socket.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{call, served};
use crate::harness::{Behaviour, DEADLINE, Daemon};
use crate::rig::Rig;

/// A reader of the stream.
pub(crate) struct Watcher(BufReader<TcpStream>);

impl Watcher {
    pub(crate) async fn of(daemon: &Daemon) -> Self {
        let addr = daemon.http_addr().await;
        let mut stream = TcpStream::connect(&addr).await.unwrap();
        let request = format!("GET /live HTTP/1.1\r\nHost: {addr}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut watcher = Self(BufReader::new(stream));
        assert_eq!(watcher.line().await.unwrap(), "HTTP/1.1 200 OK");
        while !watcher.line().await.unwrap().is_empty() {}
        watcher
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(DEADLINE, self.0.read_line(&mut line)).await;
        (read.unwrap().unwrap() > 0).then(|| line.trim_end().to_owned())
    }

    /// The next message: one chunk of the body. None at the stream's end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let length = self.line().await?;
            let length = usize::from_str_radix(&length, 16).unwrap();
            let mut chunk = vec![0; length + 2];
            timeout(DEADLINE, self.0.read_exact(&mut chunk))
                .await
                .unwrap()
                .unwrap();
            if length == 0 {
                return None;
            }
            let text = String::from_utf8(chunk).unwrap();
            if let Some((kind, data)) = text.trim_end().split_once("\ndata: ") {
                let kind = kind.strip_prefix("event: ").unwrap();
                return Some((kind.to_owned(), serde_json::from_str(data).unwrap()));
            }
        }
    }

    /// The next message of a kind.
    async fn wait(&mut self, wanted: &str) -> Value {
        let waiting = async {
            loop {
                let (kind, data) = self.next().await.expect("more messages");
                if kind == wanted {
                    return data;
                }
            }
        };
        let found = timeout(DEADLINE, waiting).await;
        found.unwrap_or_else(|_| panic!("no {wanted}"))
    }

    /// The snapshot: its beginning and its rows.
    pub(crate) async fn snapshot(&mut self) -> (Value, Vec<Value>) {
        let hello = self.wait("hello").await;
        let mut rows = Vec::new();
        loop {
            match self.next().await.expect("more messages") {
                (kind, data) if kind == "rows" => {
                    rows.extend(data["rows"].as_array().unwrap().clone())
                }
                (kind, _) if kind == "ready" => return (hello, rows),
                (_, _) => {}
            }
        }
    }
}

fn row<'a>(rows: &'a [Value], id: &str) -> Option<&'a Value> {
    rows.iter().find(|row| row["id"] == id)
}

#[tokio::test]
async fn a_watcher_is_told_everything_then_what_changes() {
    let (site, daemon, guard) = served(Behaviour::reply("{}")).await;
    let mut watcher = Watcher::of(&daemon).await;
    let (hello, rows) = watcher.snapshot().await;
    assert_eq!(hello["stats"]["nats"]["state"], "up");
    assert_eq!(hello["stats"]["quarantined_total"], 1);
    let notes = hello["notes"].as_array().unwrap();
    let about = |text: &str| {
        notes
            .iter()
            .any(|note| note["text"].as_str().unwrap().contains(text))
    };
    assert!(about("4 added") && about("quarantined"), "{notes:?}");
    assert_eq!(rows.len(), 4);
    let before = row(&rows, "guard").unwrap();
    assert_eq!(
        (
            &before["state"],
            &before["success_rate"],
            &before["history"]
        ),
        (&json!("no_data"), &Value::Null, &json!([]))
    );
    assert_eq!(row(&rows, "off").unwrap()["enabled"], false);

    call(&site, "guard", 1).await;
    guard.behave(Behaviour::error(500));
    call(&site, "guard", 3).await;
    // Its row follows the note at once, or was told just before. The calls are told once, when their
    // interval is over, and there may be two of them.
    let calls = |point: &Value| point[0].as_u64().unwrap_or(0) + point[1].as_u64().unwrap_or(0);
    let (mut note, mut open, mut told) = (Value::Null, Value::Null, 0);
    let hearing = async {
        while note.is_null() || open.is_null() || told < 4 {
            let (kind, data) = watcher.next().await.expect("more messages");
            match kind.as_str() {
                "note" if note.is_null() && data["id"] == "guard" => note = data,
                "rows" => {
                    let guard = row(data["rows"].as_array().unwrap(), "guard");
                    if let Some(guard) = guard.filter(|row| row["state"] == "open") {
                        open = guard.clone();
                    }
                }
                "tick" => told += calls(&data["guard"]),
                _ => {}
            }
        }
    };
    let heard = timeout(DEADLINE, hearing).await;
    assert!(heard.is_ok(), "{note}, {open}, {told} calls");
    assert_eq!(
        (note["tone"].as_str(), note["text"].as_str()),
        (
            Some("bad"),
            Some("circuit opened: too many failures in a row (3 failures; last: error)")
        )
    );
    assert_eq!(
        (&open["state"], &open["success_rate"]),
        (&json!("open"), &json!(0.25))
    );
    let stats = watcher.wait("stats").await;
    assert_eq!(stats["invocations"]["success"], 1);

    // The calls are in the history of whoever comes later, too.
    let mut later = Watcher::of(&daemon).await;
    let (hello, rows) = later.snapshot().await;
    let history = row(&rows, "guard").unwrap()["history"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(history.iter().map(calls).sum::<u64>(), 4, "{history:?}");
    assert!(hello["notes"].as_array().unwrap().contains(&note));
}

#[tokio::test]
async fn it_tells_what_a_database_brings_and_ends_with_the_daemon() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let mut watcher = Watcher::of(&daemon).await;
    assert_eq!(watcher.snapshot().await.1.len(), 0);
    rig.sql
        .batch_execute(&crate::rig::insert("late"))
        .await
        .unwrap();
    let rows = watcher.wait("rows").await;
    assert_eq!(
        row(rows["rows"].as_array().unwrap(), "late").unwrap()["revision"],
        1
    );
    rig.sql
        .batch_execute("DELETE FROM extensions WHERE id = 'late'")
        .await
        .unwrap();
    loop {
        let rows = watcher.wait("rows").await;
        if rows["gone"] == json!(["late"]) {
            break;
        }
    }
    daemon.sigterm();
    while watcher.next().await.is_some() {}
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}

#[tokio::test]
async fn it_can_be_watched_while_there_is_no_data_yet() {
    let rig = Rig::start().await;
    let daemon = rig
        .daemon_at("postgres://nobody@127.0.0.1:1/none")
        .spawn()
        .await;
    let mut watcher = Watcher::of(&daemon).await;
    let (hello, rows) = watcher.snapshot().await;
    assert_eq!(
        (&hello["stats"]["active_source"], rows.len()),
        (&json!("none"), 0)
    );
    loop {
        let stats = watcher.wait("stats").await;
        if stats["database"]["state"] == "away" && !stats["last_error"].is_null() {
            break;
        }
    }
}
