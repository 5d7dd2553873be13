use futures_util::StreamExt;

use super::*;

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
