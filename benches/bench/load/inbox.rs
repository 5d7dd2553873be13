//! A connection with an inbox of its own. The last token of a reply's subject is the number of the
//! request, so nothing has to be looked up, and a request costs the client no map entry.

use async_nats::{Client, Message, Subject, Subscriber};

use super::requests::Request;

/// Sends numbered requests.
pub(super) struct Sender {
    client: Client,
    prefix: String,
}

/// Connects and subscribes.
pub(super) async fn connect(url: &str) -> (Sender, Subscriber) {
    let client = async_nats::connect(url).await.unwrap();
    let prefix = client.new_inbox();
    let inbox = client.subscribe(format!("{prefix}.*")).await.unwrap();
    client.flush().await.unwrap();
    (Sender { client, prefix }, inbox)
}

impl Sender {
    /// The subject for replies to request `number`.
    pub(super) fn reply_to(&self, number: u64) -> Subject {
        format!("{}.{number}", self.prefix).into()
    }

    /// Sends a request.
    pub(super) async fn send(&self, request: &Request, reply_to: Subject) {
        let (subject, payload) = (request.subject.clone(), request.payload.clone());
        let client = &self.client;
        let sent = match &request.headers {
            None => client.publish_with_reply(subject, reply_to, payload).await,
            Some(headers) => {
                let headers = headers.clone();
                client
                    .publish_with_reply_and_headers(subject, reply_to, headers, payload)
                    .await
            }
        };
        sent.unwrap();
    }
}

/// The number of the request that a message answers.
pub(super) fn number(message: &Message) -> u64 {
    let token = message.subject.rsplit('.').next().unwrap_or_default();
    token.parse().unwrap()
}
