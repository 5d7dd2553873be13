//! What the other tests build on, proven with the real servers:
//!
//! - a NATS server and a Postgres can be stopped, killed and started again on the same address,
//! - the proxy's faults do what they say, and heal,
//! - databases are isolated and leave nothing behind,
//! - a process ends with its owner.

use std::path::Path;
use std::time::Duration;

use async_nats::HeaderMap;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::harness::{
    Client, DEADLINE, Daemon, FaultProxy, NatsServer, Postgres, Process, TestDatabase, eventually,
    settled,
};

/// Answers on `subject` with the request's own body, `times` times each.
async fn echo(nats: &NatsServer, subject: &'static str, times: usize) {
    let client = async_nats::connect(nats.url()).await.unwrap();
    let mut requests = client.subscribe(subject).await.unwrap();
    settled(&client).await;
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            for _ in 0..times {
                let reply = request.reply.clone().unwrap();
                client
                    .publish(reply, request.payload.clone())
                    .await
                    .unwrap();
            }
        }
    });
    // A flush is a write to the socket; an answer proves that the server has the subscription.
    let prober = Client::connect(&nats.url()).await;
    eventually("the echo answers", DEADLINE, async || {
        !prober.request(subject, "").await.is_no_responders()
    })
    .await;
}

#[tokio::test]
async fn a_request_is_answered_once_through_the_proxy() {
    let nats = NatsServer::start().await;
    let proxy = FaultProxy::start(&nats.addr()).await;
    echo(&nats, "echo", 1).await;

    let client = Client::connect(proxy.addr()).await;
    let reply = client.request("echo", r#"{"a":1}"#).await;
    assert_eq!(reply.ok()["a"], 1);
    assert!(client.request("nobody", "").await.is_no_responders());
    client.assert_one_reply_each().await;
}

#[tokio::test]
#[should_panic(expected = "replies to request")]
async fn a_second_reply_is_noticed() {
    let nats = NatsServer::start().await;
    echo(&nats, "twice", 2).await;
    let client = Client::connect(&nats.url()).await;
    client.request("twice", "").await;
    eventually("the second reply", DEADLINE, async || {
        client
            .nats()
            .statistics()
            .in_messages
            .load(std::sync::atomic::Ordering::Relaxed)
            >= 2
    })
    .await;
    client.assert_one_reply_each().await;
}

#[tokio::test]
async fn replies_of_several_are_collected() {
    let nats = NatsServer::start().await;
    echo(&nats, "all", 1).await;
    echo(&nats, "all", 1).await;
    let client = Client::connect(&nats.url()).await;
    let replies = client
        .request_several("all", HeaderMap::new(), "x", 2)
        .await;
    assert_eq!(replies.len(), 2);
    client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_link_is_cut_and_healed() {
    let nats = NatsServer::start().await;
    let proxy = FaultProxy::start(&nats.addr()).await;
    echo(&nats, "echo", 1).await;
    let client = Client::connect(proxy.addr()).await;
    client.request("echo", "").await;

    proxy.cut().await;
    assert_eq!(proxy.connections().await, 0);
    assert!(
        TcpStream::connect(proxy.addr()).await.is_err(),
        "a cut proxy refuses"
    );

    proxy.heal().await;
    let reply = eventually("an answer after the cut", DEADLINE, async || {
        client
            .try_request("echo", "back", Duration::from_millis(500))
            .await
    })
    .await;
    assert_eq!(reply.payload, "back");

    proxy.kill_connections().await;
    eventually("an answer after the kill", DEADLINE, async || {
        client
            .try_request("echo", "", Duration::from_millis(500))
            .await
    })
    .await;
}

#[tokio::test]
async fn a_stalled_link_delivers_later_and_a_slow_one_slowly() {
    let nats = NatsServer::start().await;
    let proxy = FaultProxy::start(&nats.addr()).await;
    echo(&nats, "echo", 1).await;
    let client = Client::connect(proxy.addr()).await;

    proxy.stall();
    let silent = client
        .try_request("echo", "", Duration::from_millis(100))
        .await;
    assert!(silent.is_none(), "a stalled link answered");
    assert_eq!(proxy.connections().await, 1, "a stalled link stays open");
    proxy.heal().await;
    client.request("echo", "").await;
    client.assert_one_reply_each().await;

    let delay = Duration::from_millis(50);
    proxy.delay(delay);
    let start = Instant::now();
    client.request("echo", "").await;
    assert!(
        start.elapsed() >= delay * 2,
        "delayed there and back: {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_proxy_changes_its_upstream() {
    let (first, second) = (NatsServer::start().await, NatsServer::start().await);
    echo(&second, "second", 1).await;
    let proxy = FaultProxy::start(&first.addr()).await;
    let client = Client::connect(proxy.addr()).await;
    assert!(client.request("second", "").await.is_no_responders());

    proxy.set_upstream(&second.addr());
    proxy.kill_connections().await;
    eventually("the other server answers", DEADLINE, async || {
        let reply = client
            .try_request("second", "", Duration::from_millis(500))
            .await;
        reply.filter(|reply| !reply.is_no_responders())
    })
    .await;
}

#[tokio::test]
async fn a_nats_server_comes_back_on_its_port_with_its_streams() {
    let mut nats = NatsServer::builder()
        .jetstream()
        .max_payload(2048)
        .start()
        .await;
    let url = nats.url();
    {
        let client = async_nats::connect(&url).await.unwrap();
        assert_eq!(client.server_info().max_payload, 2048);
        let jetstream = async_nats::jetstream::new(client);
        let bucket = async_nats::jetstream::kv::Config {
            bucket: "kept".to_owned(),
            ..Default::default()
        };
        let bucket = jetstream.create_key_value(bucket).await.unwrap();
        bucket.put("key", "value".into()).await.unwrap();
    }
    nats.stop().await;
    assert!(
        greeting(&nats.addr()).await.is_err(),
        "a stopped server answers"
    );
    nats.start_again().await;
    nats.kill().await;
    nats.start_again().await;
    assert_eq!(nats.url(), url);

    let jetstream = async_nats::jetstream::new(async_nats::connect(&url).await.unwrap());
    let value = eventually("the bucket is back", DEADLINE, async || {
        jetstream
            .get_key_value("kept")
            .await
            .ok()?
            .get("key")
            .await
            .ok()?
    })
    .await;
    assert_eq!(value, "value");
}

#[tokio::test]
async fn databases_are_isolated_and_leave_nothing_behind() {
    let (first, second) = (TestDatabase::create().await, TestDatabase::create().await);
    let client = first.connect().await;
    client
        .batch_execute("CREATE TABLE only_here (id int)")
        .await
        .unwrap();
    assert!(
        first
            .connect()
            .await
            .simple_query("TABLE only_here")
            .await
            .is_ok()
    );
    assert!(
        second
            .connect()
            .await
            .simple_query("TABLE only_here")
            .await
            .is_err()
    );

    let name = first.name().to_owned();
    drop(first);
    let admin = Postgres::shared().await.connect("postgres").await.unwrap();
    let left = "SELECT 1 FROM pg_database WHERE datname = $1";
    assert!(
        admin.query(left, &[&name]).await.unwrap().is_empty(),
        "{name} was not dropped"
    );
    assert!(
        client.simple_query("SELECT 1").await.is_err(),
        "its sessions were not ended"
    );
}

#[tokio::test]
async fn a_private_postgres_comes_back_on_its_port_with_its_rows() {
    let mut server = Postgres::private().await;
    let database = TestDatabase::create_on(&server).await;
    let proxy = FaultProxy::start(&server.addr()).await;
    let url = database.url_at(proxy.addr());
    database
        .connect()
        .await
        .batch_execute("CREATE TABLE kept (id int)")
        .await
        .unwrap();

    server.stop().await;
    assert!(
        tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .is_err()
    );
    server.start_again().await;
    assert!(
        tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .is_ok()
    );

    server.kill().await;
    server.start_again().await;
    assert!(
        database
            .connect()
            .await
            .simple_query("TABLE kept")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_process_ends_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("data");
    std::fs::create_dir(&inside).unwrap();
    let mut command = Process::command(Path::new("sh"), "TERM", Some(&inside));
    command.args(["-c", "echo up; exec sleep 600"]);
    let process = Process::spawn("sleeper", command).await;
    process
        .wait_line("a line", DEADLINE, |line| (line == "up").then_some(()))
        .await
        .unwrap();

    let pid = process.pid().to_string();
    let alive = || {
        let probe = std::process::Command::new("kill")
            .args(["-0", &pid])
            .output();
        probe.unwrap().status.success()
    };
    assert!(alive());
    drop(process);
    assert!(!alive(), "it outlived its owner");
    assert!(!inside.exists(), "its folder outlived it");
}

#[tokio::test]
async fn a_process_tells_how_it_ended() {
    let mut command = Process::command(Path::new("sh"), "KILL", None);
    command.args(["-c", "echo last words; exit 3"]);
    let process = Process::spawn("short-lived", command).await;
    assert_eq!(process.wait_exit(DEADLINE).await, 3);
    let error = process
        .wait_line("another", DEADLINE, |_| None::<()>)
        .await
        .unwrap_err();
    assert!(
        error.contains("ended with 3") && error.contains("last words"),
        "{error}"
    );
}

#[tokio::test]
async fn the_daemon_can_be_run() {
    let (code, _, errors) = Daemon::builder().arg("--help").run().await;
    assert_eq!(code, 0, "{errors}");
}

/// The first bytes that a NATS server sends. A container engine's own proxy accepts connections
/// for a server that is down, so connecting proves nothing.
async fn greeting(addr: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(b"PING\r\n").await?;
    stream.read_exact(&mut [0; 5]).await.map(|_| ())
}
