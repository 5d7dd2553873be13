//! Clients that do not read what they asked for.

use super::*;

/// A page far larger than what the system buffers for a client.
const PAGE: usize = 24 << 20;

async fn ask(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The status line, of an answer whose rest nobody reads.
async fn status(stream: &mut TcpStream) -> String {
    let mut status = vec![0; 12];
    stream.read_exact(&mut status).await.unwrap();
    String::from_utf8(status).unwrap()
}

#[tokio::test]
async fn pages_of_metrics_that_are_not_read_are_few_and_end() {
    let server = Server::with_metrics(|_| "x".repeat(PAGE)).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = ask(&server, "/metrics").await;
        assert_eq!(status(&mut stream).await, "HTTP/1.1 200");
        slow.push(stream);
    }
    let mut third = ask(&server, "/metrics").await;
    assert_eq!(status(&mut third).await, "HTTP/1.1 503");
    assert_eq!(server.get("/livez").await.0, "200");
    // Who goes makes room, and so does who reads.
    slow.pop();
    for _ in 0..3 {
        let (head, body) = server.send("GET /metrics HTTP/1.1").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains(&format!("content-length: {PAGE}")), "{head}");
        assert_eq!(body.len(), PAGE);
    }
    server.end().await;
}
