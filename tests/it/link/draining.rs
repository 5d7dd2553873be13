use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;

use super::*;
use crate::harness::{FaultProxy, settled};

/// Has a call under way, or none.
struct Calls(AtomicBool);

impl Companion for Calls {
    fn is_busy(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn what_the_server_had_sent_is_answered_before_a_drain_is_over() {
    const REQUESTS: usize = 5_000;
    let server = NatsServer::start().await;
    let (old, new) = (start(&[&server.url()]), start(&[&server.url()]));
    ready(&old).await;
    ready(&new).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    let asking = async {
        for number in 0..REQUESTS {
            let payload = number.to_string().into();
            client
                .publish_with_reply(SUBJECT, inbox.clone(), payload)
                .await
                .unwrap();
            if number % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let leaving = async {
        old.drain(soon()).await;
        old.close(soon()).await;
    };
    tokio::join!(asking, leaving);
    for count in 0..REQUESTS {
        let reply = timeout(DEADLINE, replies.next()).await;
        reply
            .unwrap_or_else(|_| panic!("{count} of {REQUESTS} replies"))
            .unwrap();
    }
    new.close(soon()).await;
}

#[tokio::test]
async fn a_server_that_is_about_to_go_is_served_while_a_call_is_under_way() {
    let servers = [NatsServer::start().await, NatsServer::start().await];
    let urls = [servers[0].url(), servers[1].url()];
    let (calls, notices) = (
        Arc::new(Calls(AtomicBool::new(true))),
        Arc::new(Notices::default()),
    );
    let observers = Observers::new(vec![Box::new(Arc::clone(&notices))]);
    let companion = Arc::clone(&calls) as Arc<dyn Companion>;
    let lane = start_beside(companion, &[&urls[0], &urls[1]], observers);
    ready(&lane).await;
    let clients = [
        Client::connect(&urls[0]).await,
        Client::connect(&urls[1]).await,
    ];
    let there = async |client: &Client| !client.request(SUBJECT, "there?").await.is_no_responders();
    let at = if there(&clients[0]).await { 0 } else { 1 };
    let Some(process) = servers[at].process() else {
        return;
    };
    process.signal("USR2");
    eventually("the announcement", DEADLINE, async || {
        let notices = notices.0.lock().unwrap();
        notices.iter().any(|notice| notice.contains("lame duck"))
    })
    .await;
    for _ in 0..20 {
        assert_eq!(&echoed(&clients[at], "served").await[..], b"served");
    }
    assert!(!there(&clients[1 - at]).await, "not there yet");
    calls.0.store(false, Ordering::Relaxed);
    eventually("another server", DEADLINE, async || {
        there(&clients[1 - at]).await
    })
    .await;
    lane.close(soon()).await;
}

#[tokio::test]
async fn an_answer_that_waits_for_a_connection_is_sent_before_the_end() {
    let server = NatsServer::start().await;
    let proxy = FaultProxy::start(&server.addr()).await;
    let lane = start(&[&format!("nats://{}", proxy.addr())]);
    ready(&lane).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut answers = client.subscribe("lane.late").await.unwrap();
    settled(&client).await;
    proxy.cut().await;
    lane.up().wait_for(|up| !*up).await.unwrap();
    let kept = lane
        .outbox()
        .submit_or_keep(|out, _| write::publish(out, b"lane.late", None, b"late"));
    kept.unwrap();
    tokio::join!(lane.close(soon()), proxy.heal());
    let answer = timeout(DEADLINE, answers.next()).await.expect("an answer");
    assert_eq!(&answer.unwrap().payload[..], b"late");
}
