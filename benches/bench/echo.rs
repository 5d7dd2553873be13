//! The bare responder: what async-nats can do when nothing is looked up.
//!
//! Written as its documentation shows, on tokio's default runtime, with a queue group and subjects
//! as long as the registry's, and one buffer as long as a registry's reply.

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::runtime::Runtime;

use super::stage;
use crate::harness::{NatsServer, Process};

/// Its subject prefix; as many bytes as `beamline.registry`.
pub(crate) const PREFIX: &str = "beamline.bareecho";
const QUEUE_GROUP: &str = "beamline-bareecho";

/// What the responder is told.
#[derive(Debug)]
pub(crate) struct Echo {
    /// The server to answer on.
    pub(crate) url: String,
    /// The length of every reply.
    pub(crate) bytes: usize,
}

/// Starts the responder as a process; returns when it is subscribed.
pub(crate) async fn start(nats: &NatsServer, bytes: usize) -> Process {
    let echo = stage::role("echo", &["echo", &nats.url(), &bytes.to_string()]).await;
    let line = |line: &str| (line == "subscribed").then_some(());
    echo.wait_line("its subscription", crate::harness::DEADLINE, line)
        .await
        .unwrap();
    echo
}

/// Answers until it is killed.
pub(crate) fn main(echo: &Echo) {
    Runtime::new().unwrap().block_on(async {
        let client = async_nats::connect(&echo.url).await.unwrap();
        let body = Bytes::from(vec![b'x'; echo.bytes]);
        let by_subject = tokio::spawn(answer(
            client.clone(),
            format!("{PREFIX}.lookup.*"),
            body.clone(),
        ));
        answer(client, format!("{PREFIX}.lookup"), body).await;
        by_subject.await.unwrap();
    });
}

async fn answer(client: async_nats::Client, subject: String, body: Bytes) {
    let mut requests = client
        .queue_subscribe(subject, QUEUE_GROUP.to_owned())
        .await
        .unwrap();
    client.flush().await.unwrap();
    println!("subscribed");
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            client.publish(reply, body.clone()).await.unwrap();
        }
    }
}
