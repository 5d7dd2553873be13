//! Which tokens may read the audit, and for how long a stream may be read.

use super::*;
use crate::adapters::http::access::Tokens;

const READER: &str = "reader-token-0000";

fn tokens(path: &std::path::Path) -> Tokens {
    let table = TokenTable::parse(&format!("{TOKEN} admin\n{READER} reader")).unwrap();
    let path = path.into();
    Tokens::new(TokensFile { path, table })
}

#[tokio::test]
async fn the_audit_is_for_admins_or_the_loopback() {
    for (with_file, local, token, expected) in [
        (true, true, TOKEN, 409),
        (true, true, READER, 403),
        (true, true, "nobodys-token-000", 401),
        (false, true, "", 409),
        (false, false, "", 403),
        (true, false, TOKEN, 409),
    ] {
        let tokens = with_file.then(|| tokens("/nowhere".as_ref()));
        let server = Server::with(tokens, local, |_| String::new()).await;
        let get = |path| format!("GET {path} HTTP/1.1\r\nauthorization: Bearer {token}");
        let (head, body) = server.send(&get("/admin/audit")).await;
        let status = head.split(' ').nth(1).unwrap();
        // A client with the right learns that there is none without a database.
        let told = (with_file, local, token);
        assert_eq!(status, expected.to_string(), "{told:?}: {body}");
        // Actor, time and fields are for every reader.
        let (head, body) = server.send(&get("/live/changes?limit=1")).await;
        let readable = head.starts_with("HTTP/1.1 409");
        assert_eq!(readable, expected != 401, "{told:?}: {body}");
        server.end().await;
    }
}

/// Time is paused: it moves on only when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn a_revoked_token_ends_its_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    let write = |text: &str| {
        let draft = folder.path().join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, &path).unwrap();
    };
    write(&format!("{TOKEN} admin\n{READER} reader"));
    let server = Server::with(Some(tokens(&path)), true, |_| String::new()).await;
    let mut streams = Vec::new();
    for token in [TOKEN, READER] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let request = format!(
            "GET /live HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        streams.push(stream);
    }
    write(&format!("{TOKEN} admin"));
    // It gets something every 10 s at least, and ends instead. An end is an empty chunk.
    let mut told = Vec::new();
    let reader = streams.pop().unwrap();
    let mut reader = reader.take(1024 * 1024);
    let ended = timeout(6 * DEADLINE, async {
        while !told.ends_with(b"\r\n0\r\n\r\n") {
            assert!(reader.read_buf(&mut told).await.unwrap() > 0);
        }
    });
    assert!(ended.await.is_ok(), "whose token is revoked watches on");
    let mut admin = streams.pop().unwrap();
    let mut told = vec![0; 64 * 1024];
    while let Ok(read) = timeout(Duration::from_millis(200), admin.read(&mut told)).await {
        let told = told.get(..read.unwrap()).unwrap();
        assert!(!told.is_empty() && !told.ends_with(b"\r\n0\r\n\r\n"));
    }
    server.end().await;
}
