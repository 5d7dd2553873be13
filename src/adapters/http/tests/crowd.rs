//! More connections than there are places.

use std::net::Ipv4Addr;

use tokio::net::TcpSocket;

use super::*;

const GET: &[u8] = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// An answer far larger than what the system buffers for a client.
const PAGE: usize = 24 << 20;
/// A kubelet waits 1 s by default; the rest is for a busy machine. Less than what a scrape waits for
/// those before it.
const PROBE: Duration = Duration::from_secs(3);

/// A connection that comes from 127.0.0.`last`.
async fn connect(server: &Server, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from = (Ipv4Addr::new(127, 0, 0, last), 0);
    socket.bind(from.into()).unwrap();
    socket.connect(server.addr).await.unwrap()
}

/// Asks on a connection that stays; whether there was an answer.
async fn ask(stream: &mut TcpStream) -> bool {
    let asked = async {
        stream.write_all(GET).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok::<_, std::io::Error>(answer.starts_with(b"HTTP/1.1 200"))
    };
    matches!(timeout(PROBE, asked).await, Ok(Ok(true)))
}

/// Whether the server has closed it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = timeout(PROBE, stream.read(&mut [0; 64])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn idle_and_trickling_connections_keep_no_probe_out() {
    let server = Server::start().await;
    let mut busy = connect(&server, 1).await;
    assert!(ask(&mut busy).await);
    // From the prober's own address and from another.
    for crowd in [1, 2] {
        let mut held = Vec::new();
        for n in 0..2 * MAX_CONNECTIONS {
            let mut stream = connect(&server, crowd).await;
            match n % 3 {
                0 => stream
                    .write_all(b"GET /livez HTTP/1.1\r\nx: ")
                    .await
                    .unwrap(),
                1 => {}
                _ => assert!(ask(&mut stream).await, "{n}"),
            }
            held.push(stream);
            if n % 16 == 0 {
                assert!(
                    ask(&mut busy).await,
                    "who asks again and again is not cut off"
                );
                for stream in held.iter_mut().step_by(3) {
                    let _gone = stream.write_all(b"y").await;
                }
            }
        }
        for _ in 0..50 {
            assert!(ask(&mut connect(&server, 1).await).await, "a probe waits");
            assert!(ask(&mut busy).await);
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_crowd_gives_way_to_itself_first() {
    let server = Server::start().await;
    let mut patient = connect(&server, 1).await;
    assert!(ask(&mut patient).await);
    let mut crowd = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = connect(&server, 2).await;
        assert!(ask(&mut stream).await);
        crowd.push(stream);
    }
    // The one that was idle for longest is another's; it is the crowd's own oldest that goes.
    assert!(
        ask(&mut patient).await,
        "one connection too many took another's place"
    );
    assert!(is_closed(crowd.first_mut().unwrap()).await);
    assert!(ask(crowd.last_mut().unwrap()).await);
    // A peer without a place is given one from the peers that have most.
    let mut newcomer = connect(&server, 3).await;
    assert!(ask(&mut newcomer).await);
    assert!(is_closed(crowd.get_mut(1).unwrap()).await);
    assert!(ask(&mut patient).await);
    server.end().await;
}

#[tokio::test]
async fn what_is_worked_on_or_watched_does_not_give_way() {
    let server = Server::start().await;
    let ask_for = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n")
    };
    let mut watching = connect(&server, 1).await;
    watching
        .write_all(ask_for("/live").as_bytes())
        .await
        .unwrap();
    let mut first = [0; 12];
    watching.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut waiting = connect(&server, 1).await;
    let path = "/admin/stats?min_revision=9&wait_ms=4000";
    waiting.write_all(ask_for(path).as_bytes()).await.unwrap();
    let mut crowd = Vec::new();
    for _ in 0..2 * MAX_CONNECTIONS {
        crowd.push(connect(&server, 1).await);
    }
    assert!(ask(&mut connect(&server, 1).await).await);
    timeout(DEADLINE, waiting.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 412", "its answer comes");
    // What it was sent has arrived, and no end of it.
    let mut told = vec![0; 64 * 1024];
    while let Ok(read) = timeout(Duration::from_millis(200), watching.read(&mut told)).await {
        assert!(read.unwrap() > 0, "a watcher was cut off");
    }
    server.end().await;
}

#[tokio::test]
async fn answers_that_nobody_reads_give_way_and_few_scrapes_wait_for_them() {
    let server = Server::with_metrics(|_| "x".repeat(PAGE)).await;
    let scrape = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut first = [0; 12];
    let mut unread = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&server, 1).await;
        stream.write_all(scrape).await.unwrap();
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        unread.push(stream);
    }
    // All others wait for these two; what is too many is refused at once.
    let mut asked = futures_util::stream::FuturesUnordered::new();
    for _ in 2..MAX_CONNECTIONS {
        let mut stream = connect(&server, 1).await;
        stream.write_all(scrape).await.unwrap();
        asked.push(async move {
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.unwrap();
            (first, stream)
        });
    }
    let mut refused = Vec::new();
    while asked.len() > places::MAX_QUEUED {
        let (first, stream) = timeout(PROBE, asked.next()).await.unwrap().unwrap();
        assert_eq!(&first, b"HTTP/1.1 503");
        refused.push(stream);
    }
    // Each probe finds a place, and the first that give way are those that do not read.
    let mut probes = Vec::new();
    for _ in 0..50 {
        let mut probe = connect(&server, 1).await;
        assert!(ask(&mut probe).await, "a probe waits");
        probes.push(probe);
    }
    for mut stream in unread {
        let mut page = Vec::new();
        let read = timeout(DEADLINE, stream.read_to_end(&mut page)).await;
        assert!(read.is_ok() && page.len() < PAGE, "{}", page.len());
    }
    drop((asked, refused, probes));
    server.end().await;
}
