//! Messages that no client library would send, over a bare socket.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Header blocks that cannot be read. CASES.md B1 and B2.
pub(crate) const MALFORMED: [&[u8]; 9] = [
    b"NATS/1.0\r\nX: a\rb\r\n\r\n",
    b"NATS/1.0\r\nX: a\nb\r\n\r\n",
    b"NATS/1.0\r\nX: caf\xe9\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0\r\nX Y: 1\r\n\r\n",
    b"HTTP/1.1\r\n\r\n",
    b"NATS/1.0\r\n",
    b"\r\n",
    b"\xff\xfe\0\r\n\r\n",
];

/// Publishes `body` under the header block `headers`, and returns when the server has passed it on.
pub(crate) async fn publish_raw(
    addr: &str,
    subject: &str,
    reply: Option<&str>,
    headers: &[u8],
    body: &[u8],
) {
    let (block, whole) = (headers.len(), headers.len() + body.len());
    let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
    let begin = format!(
        "CONNECT {{\"headers\":true,\"verbose\":false}}\r\nHPUB {subject} {reply}{block} {whole}\r\n"
    );
    let bytes = [begin.as_bytes(), headers, body, b"\r\nPING\r\n"].concat();
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(&bytes).await.unwrap();
    let mut heard = Vec::new();
    while !heard.windows(6).any(|part| part == b"PONG\r\n") {
        let read = socket.read_buf(&mut heard).await.unwrap();
        assert_ne!(read, 0, "{}", heard.escape_ascii());
    }
}
