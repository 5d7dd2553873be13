//! From a server that the test plays.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Answers with the limit that holds.
struct Limit;

impl Handler<()> for Limit {
    fn message(&self, (): (), message: &Message<'_>, turn: &mut Turn) {
        let Some(reply) = message.reply else {
            return;
        };
        let limit = turn.max_payload.to_string();
        write::publish(&mut turn.out, reply, None, limit.as_bytes());
    }

    fn panicked(&self, (): (), _message: &Message<'_>, _turn: &mut Turn) {}
}

/// A lane that waits for the greeting of a server.
async fn waiting() -> (Lane<()>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let lane = start_with(Limit, Arc::new(()), &[&url], Observers::new(Vec::new()));
    let (server, _) = listener.accept().await.unwrap();
    (lane, server)
}

fn info(max_payload: usize) -> String {
    format!("INFO {{\"headers\":true,\"max_payload\":{max_payload}}}\r\n")
}

async fn say(server: &mut TcpStream, text: &str) {
    server.write_all(text.as_bytes()).await.unwrap();
}

/// All that the lane says until it has said `end`.
async fn heard(server: &mut TcpStream, end: &str) -> String {
    let (mut heard, end) = (Vec::new(), end.as_bytes());
    while !heard.windows(end.len()).any(|part| part == end) {
        let read = timeout(DEADLINE, server.read_buf(&mut heard)).await;
        let read = read.expect("more").unwrap();
        assert_ne!(read, 0, "{}", heard.escape_ascii());
    }
    String::from_utf8(heard).unwrap()
}

/// A server reports the limits of an account right behind its answer to the login.
#[tokio::test]
async fn the_limits_of_an_account_hold_for_the_first_message() {
    let (lane, mut server) = waiting().await;
    for body in [&[b'x'; 5000][..], b"small"] {
        let kept = lane
            .outbox()
            .submit_or_keep(|out, _| write::publish(out, b"kept", None, body));
        kept.unwrap();
    }
    say(&mut server, &info(1 << 20)).await;
    heard(&mut server, "PING\r\n").await;
    say(&mut server, &format!("PONG\r\n{}", info(1000))).await;
    let sent = heard(&mut server, "PUB kept 5\r\nsmall\r\n").await;
    assert!(!sent.contains("PUB kept 5000"), "{sent}");
}

#[tokio::test]
async fn a_limit_holds_for_the_message_behind_it() {
    let (_lane, mut server) = waiting().await;
    say(&mut server, &info(1 << 20)).await;
    heard(&mut server, "PING\r\n").await;
    say(&mut server, "PONG\r\n").await;
    heard(&mut server, "PING\r\n").await;
    let request = format!("MSG {SUBJECT} 2 reply 0\r\n\r\n");
    say(&mut server, &format!("PONG\r\n{}{request}", info(10))).await;
    heard(&mut server, "PUB reply 2\r\n10\r\n").await;
}
