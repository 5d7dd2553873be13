use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// Messages that the official client would not send: over a socket.
async fn publish_raw(server: &NatsServer, block: &[u8]) {
    let mut socket = TcpStream::connect(server.addr()).await.unwrap();
    let length = block.len();
    let head = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nHPUB {SUBJECT} raw.reply {length} {length}\r\n"
    );
    let bytes = [head.as_bytes(), block, b"\r\nPING\r\n"].concat();
    socket.write_all(&bytes).await.unwrap();
    let mut heard = Vec::new();
    while !heard.windows(6).any(|part| part == b"PONG\r\n") {
        assert_ne!(
            socket.read_buf(&mut heard).await.unwrap(),
            0,
            "{}",
            heard.escape_ascii()
        );
    }
}

/// CASES.md B1 and B2.
#[tokio::test]
async fn a_header_block_that_cannot_be_read_costs_its_message_only() {
    let server = NatsServer::start().await;
    let lane = start(&[&server.url()]);
    ready(&lane).await;
    let client = Client::connect(&server.url()).await;
    let mut replies = client.nats().subscribe("raw.reply").await.unwrap();
    client.nats().flush().await.unwrap();
    for block in [
        &b"NATS/1.0\r\nX: a\rb\r\n\r\n"[..],
        b"NATS/1.0\r\nX: a\nb\r\n\r\n",
        b"NATS/1.0\r\nX: caf\xe9\r\n\r\n",
        b"NATS/1.0\r\nno colon\r\n\r\n",
        b"NATS/1.0\r\nX Y: 1\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"\r\n",
        b"\xff\xfe\0\r\n\r\n\r\n",
    ] {
        publish_raw(&server, block).await;
        let reply = timeout(DEADLINE, replies.next())
            .await
            .expect("a reply")
            .unwrap();
        assert_eq!(&reply.payload[..], b"broken", "{}", block.escape_ascii());
        assert_eq!(&echoed(&client, "well").await[..], b"well");
    }
    lane.close(soon()).await;
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_message_only() {
    let server = NatsServer::start().await;
    let lane = start(&[&server.url()]);
    ready(&lane).await;
    let client = Client::connect(&server.url()).await;
    assert_eq!(&echoed(&client, "panic").await[..], b"panicked");
    assert_eq!(&echoed(&client, "well").await[..], b"well");
    lane.close(soon()).await;
}

#[tokio::test]
async fn large_and_small_messages_come_back_as_they_went() {
    let server = NatsServer::start().await;
    let lane = start(&[&server.url()]);
    ready(&lane).await;
    let client = Client::connect(&server.url()).await;
    for size in [0, 1, 65_535, 65_536, 200_000, 1 << 20, 3] {
        let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
        assert_eq!(echoed(&client, payload.clone()).await, payload, "{size}");
    }
    lane.close(soon()).await;
}
