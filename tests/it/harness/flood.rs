//! Many requests over one connection, a fixed number of them unanswered at a time.

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt;

use super::client::Reply;
use super::wait::DEADLINE;

/// Sends `count` requests to `subject`, at most `window` of them unanswered, and returns when each
/// has its answer; `each` sees the answers as they come, with the number of the request. Panics
/// when a request gets none, or more than one.
pub(crate) async fn flood(
    url: &str,
    subject: &str,
    (count, window): (usize, usize),
    mut request: impl FnMut(usize) -> (HeaderMap, Bytes),
    mut each: impl FnMut(usize, Reply),
) {
    let client = async_nats::connect(url).await.unwrap();
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(format!("{inbox}.*")).await.unwrap();
    let mut answered = vec![false; count];
    let (mut sent, mut done) = (0, 0);
    while done < count {
        while sent < count && sent - done < window {
            let (headers, payload) = request(sent);
            let (to, reply) = (subject.to_owned(), format!("{inbox}.{sent}"));
            let publishing = client.publish_with_reply_and_headers(to, reply, headers, payload);
            publishing.await.unwrap();
            sent += 1;
        }
        let reply = tokio::time::timeout(DEADLINE, replies.next()).await;
        let reply = reply.unwrap_or_else(|_| panic!("{done} of {sent} answered"));
        let (number, reply) = numbered(reply.unwrap());
        assert!(!answered[number], "a second answer to {number}: {reply:?}");
        answered[number] = true;
        done += 1;
        each(number, reply);
    }
    // What was published before this by the daemon has arrived before it.
    client
        .publish(format!("{inbox}.{count}"), Bytes::new())
        .await
        .unwrap();
    let last = tokio::time::timeout(DEADLINE, replies.next()).await;
    let (number, reply) = numbered(last.unwrap().unwrap());
    assert_eq!(number, count, "one answer too many: {reply:?}");
}

fn numbered(message: async_nats::Message) -> (usize, Reply) {
    let token = message.subject.rsplit('.').next().unwrap();
    (token.parse().unwrap(), Reply::from(message))
}
