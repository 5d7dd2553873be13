use futures_util::StreamExt;

use super::*;
use crate::harness::raw::{MALFORMED, publish_raw};
use crate::harness::settled;

/// CASES.md B1 and B2.
#[tokio::test]
async fn a_header_block_that_cannot_be_read_costs_its_message_only() {
    let server = NatsServer::start().await;
    let lane = start(&[&server.url()]);
    ready(&lane).await;
    let client = Client::connect(&server.url()).await;
    let mut replies = client.nats().subscribe("raw.reply").await.unwrap();
    settled(client.nats()).await;
    for block in MALFORMED {
        publish_raw(&server.addr(), SUBJECT, Some("raw.reply"), block, b"").await;
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

/// A server announces a new `max_payload` to new connections only.
#[tokio::test]
async fn a_message_larger_than_the_server_had_announced_is_read() {
    let mut server = NatsServer::builder().max_payload(10_000).start().await;
    let lane = start(&[&server.url()]);
    ready(&lane).await;
    server.configure(NatsServer::builder().max_payload(1 << 20));
    server.reload();
    let limit = async || {
        let client = async_nats::connect(server.url()).await.unwrap();
        client.server_info().max_payload == 1 << 20
    };
    eventually("the new limit", DEADLINE, limit).await;
    let client = Client::connect(&server.url()).await;
    let payload = vec![b'x'; 500_000];
    assert_eq!(echoed(&client, payload.clone()).await, payload);
    lane.close(soon()).await;
}
