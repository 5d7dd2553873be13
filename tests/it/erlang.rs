//! The router example in Erlang, against real servers: its codec and client understand the golden
//! exchanges, and it routes on whatever happens to its sidecars.
//!
//! Where there is no Erlang these tests say so and pass; `just test` installs it where it can
//! (`scripts/erlang`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::docs::file;
use crate::golden::Golden;
use crate::harness::{DEADLINE, Daemon, NatsServer, Process, eventually};
use crate::played;

/// The compiled example in a folder of its own; none without a compiler.
fn built() -> Option<TempDir> {
    if Command::new("erlc").arg("-help").output().is_err() {
        eprintln!("no Erlang here: its example is not tested (see scripts/erlang)");
        return None;
    }
    let ebin = tempfile::tempdir().unwrap();
    let built = Command::new(example("build")).arg(ebin.path()).output();
    let built = built.unwrap();
    assert!(built.status.success(), "{built:?}");
    Some(ebin)
}

fn example(path: &str) -> PathBuf {
    file("examples/erlang").join(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn codec_and_client_understand_the_golden_exchanges() {
    let Some(ebin) = built() else { return };
    let golden = Golden::start().await;
    let mut escript = tokio::process::Command::new("escript");
    escript
        .arg(example("test/golden.escript"))
        .arg(ebin.path())
        .arg(file("tests/golden"))
        .arg(golden.nats.url())
        .kill_on_drop(true);
    let run = tokio::time::timeout(DEADLINE * 2, escript.output());
    let run = run.await.expect("an end").unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{run:?}");
    assert!(said.ends_with(" exchanges\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_routes_on_while_sidecars_and_servers_come_and_go() {
    let Some(ebin) = built() else { return };
    let mut nats = NatsServer::start().await;
    let _players = played::seeds(&nats.url()).await;
    let one = sidecar(&nats, "pod-1").await;
    let two = sidecar(&nats, "pod-2").await;
    let router = router(ebin.path(), &nats).await;

    wait_routed(&router, "lookup=local call=local version=v1 text=hello").await;
    one.sigkill();
    wait_routed(&router, "lookup=group call=group").await;
    two.sigkill();
    wait_routed(&router, "lookup=cached call=direct version=v1 text=hello").await;
    let one = sidecar(&nats, "pod-1").await;
    wait_routed(&router, "lookup=local call=local").await;
    let log = router.log().into_iter();
    // It begins before its connection is there.
    let since_first = log.skip_while(|line| !line.starts_with("routed"));
    let failed: Vec<_> = since_first
        .filter(|line| line.starts_with("failed"))
        .collect();
    assert_eq!(failed, [""; 0], "every message was routed");

    // Without a NATS server there is nobody to call; afterwards all is as before.
    nats.stop().await;
    wait_line(&router, "failed disconnected").await;
    nats.start_again().await;
    wait_routed(&router, "lookup=local call=local").await;
    one.sigterm();
    assert_eq!(one.wait_exit(DEADLINE).await, 0);
    wait_routed(&router, "lookup=cached call=direct").await;
}

async fn sidecar(nats: &NatsServer, instance_id: &str) -> Daemon {
    let daemon = Daemon::builder()
        .nats(&nats.url())
        // Their extensions have more time than the seeds': a busy machine must not look like a fault.
        .fixtures(&file("tests/golden/fixtures"))
        .setting("SOURCE", "fixtures")
        .setting("INSTANCE_ID", instance_id)
        .spawn()
        .await;
    daemon.wait_ready().await;
    daemon
}

async fn router(ebin: &Path, nats: &NatsServer) -> Process {
    let mut command = Process::command(&example("run"), "KILL", None);
    command
        .env("EBIN", ebin)
        .env("NATS_URL", nats.url())
        .env("INSTANCE_ID", "pod-1");
    Process::spawn("the router", command).await
}

/// Waits for a message, from now on, that was routed so.
async fn wait_routed(router: &Process, how: &str) {
    wait_line(router, &format!("routed {how}")).await;
}

async fn wait_line(router: &Process, start: &str) {
    let seen = router.log().len();
    // It prints ten lines a second, and waits up to two seconds between two connections.
    eventually(start, DEADLINE + Duration::from_secs(10), async || {
        let log = router.log();
        let fresh = log.get(seen..).unwrap_or_default();
        match fresh.iter().any(|line| line.starts_with(start)) {
            true => Ok(()),
            false => Err(log.last().cloned()),
        }
    })
    .await;
}
