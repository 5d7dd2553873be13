//! What the examples in Erlang bring with them, as there is no official client: its codec, what it
//! reads of malformed headers, and what it does about a server that says nothing. The programs
//! themselves are tested with the others ([`crate::examples`]).
//!
//! Where there is no Erlang these tests say so and pass, but with `BEAMLINE_ERLANG=required`, which
//! `.ci/run` sets, they fail; `just test` installs it where it can (`scripts/erlang`).

use std::path::PathBuf;

use crate::docs::file;
use crate::golden::FOLDER;
use crate::harness::{DEADLINE, Process};

/// Whether there is an Erlang. Says so where there is none; a fault where there has to be one.
fn is_here() -> bool {
    if std::process::Command::new("escript").output().is_ok() {
        return true;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the tests, not of the daemon"
    )]
    let mode = std::env::var("BEAMLINE_ERLANG");
    let is_required = mode.is_ok_and(|mode| mode == "required");
    assert!(!is_required, "no Erlang here, and it is required");
    eprintln!("no Erlang here: its example is not tested (see scripts/erlang)");
    false
}

fn example(path: &str) -> PathBuf {
    file("examples/erlang").join(path)
}

/// What a script of its own prints, to its end.
async fn said(script: &str, arguments: &[PathBuf]) -> String {
    let mut escript = tokio::process::Command::new(example(script));
    let run = escript.args(arguments).kill_on_drop(true).output();
    let run = tokio::time::timeout(DEADLINE * 2, run).await;
    let run = run.expect("an end").unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{run:?}");
    said.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_codec_reads_the_golden_files_and_odd_corners() {
    if is_here() {
        let said = said("test/json.escript", &[file(FOLDER)]).await;
        assert!(said.ends_with(" exchanges\n"), "{said}");
    }
}

/// A connection is not ended by what any client may send. CASES.md B1 and B2.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_block_that_cannot_be_read_costs_itself_only() {
    if is_here() {
        assert_eq!(said("test/wire.escript", &[]).await, "read\n");
    }
}

/// Something that accepts connections and never greets: a proxy whose server is gone, a server that
/// stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_tried_again() {
    if !is_here() {
        return;
    }
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    let mut command = Process::command(&example("run"), "KILL", None);
    command.arg("extension").env("NATS_URL", url);
    let _extension = Process::spawn("the extension", command).await;
    let accept = || tokio::time::timeout(DEADLINE, silent.accept());
    let (mut first, _) = accept().await.expect("a connection").unwrap();
    accept().await.expect("another connection").unwrap();
    let read = tokio::io::AsyncReadExt::read(&mut first, &mut [0]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "it hung up: {read:?}");
}
