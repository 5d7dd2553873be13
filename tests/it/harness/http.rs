//! Just enough HTTP/1.1 to ask the daemon for a page.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct HttpReply {
    /// The status code.
    pub(crate) status: u16,
    /// The status line and the headers, as sent.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl HttpReply {
    /// The first value of a header, by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body))
    }
}

/// `GET path` from `addr`; the server closes the connection after its answer.
pub(crate) async fn get(addr: &str, path: &str) -> std::io::Result<HttpReply> {
    request(
        addr,
        &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"),
    )
    .await
}

/// Sends `text` as it is and reads the answer to its end: that of the connection, or of a body whose
/// length is told, since not everybody who says `Connection: close` closes it.
pub(crate) async fn request(addr: &str, text: &str) -> std::io::Result<HttpReply> {
    exchange(addr, text.as_bytes()).await
}

/// The same with bytes. A server may answer before it has read them all, and close.
pub(crate) async fn exchange(addr: &str, bytes: &[u8]) -> std::io::Result<HttpReply> {
    let mut stream = TcpStream::connect(addr).await?;
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let read = async {
        while !is_complete(&answer) && reader.read_buf(&mut answer).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    let (_cut_off, read) = tokio::join!(writer.write_all(bytes), read);
    if answer.is_empty() {
        read?;
    }
    let answer = String::from_utf8_lossy(&answer);
    let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(HttpReply {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    });
    parsed.ok_or_else(|| std::io::Error::other(format!("not an HTTP answer: {answer:?}")))
}

/// Whether an answer is as long as its head says.
fn is_complete(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let (head, body) = answer.split_at(head + 4);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| {
        let length = line.strip_prefix("content-length:")?;
        length.trim().parse::<usize>().ok()
    });
    length.is_some_and(|length| body.len() >= length)
}
