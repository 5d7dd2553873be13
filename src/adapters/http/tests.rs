//! Over real sockets.

mod audit;
mod crowd;
mod origin;
mod slow;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::connections::MAX_CONNECTIONS;
use super::live::Feed;
use super::*;
use crate::config::{TokenTable, TokensFile};
use crate::documents::desk::testing::desk;
use crate::service::observe::{Observation, Observer};
use crate::service::progress::Progress;
use crate::service::readiness::Part;

const DEADLINE: Duration = Duration::from_secs(20);
const TOKEN: &str = "admin-token-00000";

/// Counts requests that were refused for too much at once.
#[derive(Default)]
struct Refusals(AtomicUsize);

impl Observer for Refusals {
    fn observe(&self, observation: &Observation) {
        if matches!(observation, Observation::Overloaded(_)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Server {
    addr: SocketAddr,
    readiness: Arc<Readiness>,
    refusals: Arc<Refusals>,
    cancel: CancellationToken,
    give_up: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::with_metrics(|format| format!("{format:?}")).await
    }

    async fn with_metrics(
        render: impl Fn(MetricsFormat) -> String + Send + Sync + 'static,
    ) -> Self {
        let tokens = Tokens::new(TokensFile {
            path: "/nowhere".into(),
            table: TokenTable::parse(&format!("{TOKEN} admin")).unwrap(),
        });
        Self::with(Some(tokens), true, render).await
    }

    async fn with(
        tokens: Option<Tokens>,
        local: bool,
        render: impl Fn(MetricsFormat) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (readiness, progress) = (Arc::<Readiness>::default(), Progress::default());
        progress.announce(1);
        let (desk, cancel) = (desk(progress), CancellationToken::new());
        let give_up = CancellationToken::new();
        let refusals = Arc::<Refusals>::default();
        let state = State {
            readiness: Arc::clone(&readiness),
            access: Arc::new(Access {
                tokens,
                admin_enabled: true,
                require_name: false,
                local,
                hosts: vec!["Registry.Example".to_owned()],
            }),
            feed: Arc::new(Feed::new(
                Arc::clone(&desk),
                Observers::new(Vec::new()),
                cancel.clone(),
            )),
            observers: Observers::new(vec![Box::new(Arc::clone(&refusals))]),
            desk,
            give_up: give_up.clone(),
            render_metrics: Arc::new(render),
        };
        let task = tokio::spawn(serve(listener, state, cancel.clone()));
        Self {
            addr,
            readiness,
            refusals,
            cancel,
            give_up,
            task,
        }
    }

    /// Sends `head` and gives the whole answer: head and body.
    async fn send(&self, head: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("{head}\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read(&mut stream).await
    }

    async fn get(&self, path: &str) -> (String, Value) {
        let (head, body) = self.send(&format!("GET {path} HTTP/1.1")).await;
        let status = head.split_whitespace().nth(1).unwrap().to_owned();
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn end(self) {
        self.cancel.cancel();
        timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

async fn read(stream: &mut TcpStream) -> (String, String) {
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// CASES.md, kind of D4.
#[tokio::test]
async fn a_panic_is_that_requests_500_and_nothing_else() {
    let server = Server::with_metrics(|_| panic!("a route's bug")).await;
    for _ in 0..2 * MAX_CONNECTIONS {
        let (status, body) = server.get("/metrics").await;
        assert_eq!(
            (status.as_str(), &body["error"]["code"]),
            ("500", &"internal".into())
        );
        assert!(
            !body.to_string().contains("bug"),
            "it leaks nothing: {body}"
        );
    }
    assert_eq!(server.get("/livez").await.0, "200");
    server.end().await;
}

#[tokio::test]
async fn probes_follow_the_latch() {
    let server = Server::start().await;
    assert_eq!(server.get("/livez").await.0, "200");
    assert_eq!(server.get("/startupz").await.0, "200");
    let (status, body) = server.get("/readyz").await;
    assert_eq!(
        (status.as_str(), &body["status"]),
        ("503", &"starting".into())
    );
    assert_eq!(body["missing"], serde_json::json!(["data", "nats"]));

    server.readiness.open(Part::Data);
    assert_eq!(
        server.get("/readyz").await.1["missing"],
        serde_json::json!(["nats"])
    );
    server.readiness.open(Part::Nats);
    assert_eq!(server.get("/readyz").await.0, "200");

    server.readiness.drain();
    let (status, body) = server.get("/readyz").await;
    assert_eq!(
        (status.as_str(), &body["status"]),
        ("503", &"draining".into())
    );
    assert_eq!(server.get("/livez").await.0, "200");
    server.end().await;
}

#[tokio::test]
async fn metrics_come_as_they_are_preferred_and_what_does_not_exist_says_so() {
    let server = Server::start().await;
    for (accept, kind, format) in [
        ("", "text/plain; version=0.0.4; charset=utf-8", "Text"),
        (
            "\r\naccept: application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "OpenMetrics",
        ),
    ] {
        let (head, body) = server.send(&format!("GET /metrics HTTP/1.1{accept}")).await;
        assert!(
            head.contains(&format!("content-type: {kind}\r\n")),
            "{head}"
        );
        assert_eq!(body, format);
    }

    for path in ["/nothing", "/page/nothing", "/page/%ff"] {
        let (status, body) = server.get(path).await;
        assert_eq!(
            (status.as_str(), &body["error"]["code"]),
            ("404", &"not_found".into()),
            "{path}"
        );
    }
    let (head, _) = server.send("POST /livez HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");
    let (head, _) = server
        .send("GET /livez HTTP/1.1\r\ncontent-length: 1048577")
        .await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    server.end().await;
}

/// Time is paused: it moves on only when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn silent_connections_are_closed() {
    let server = Server::start().await;
    for sent in [
        "",
        "GET /livez HTTP/1.1\r\n",
        "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "still open after {sent:?}");
    }
    server.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST /admin/reload HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
        content-type: application/json\r\ncontent-length: 10\r\n\r\n{{\"id"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (head, body) = read(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
    assert!(body.contains("request_timeout"), "{body}");
    server.end().await;
}

/// Time is paused: it moves on only when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn who_asks_and_never_reads_is_cut_off() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    // Far more answers than the buffers of both sides hold: at some point the server waits for the
    // client to read, and reads no more itself.
    let asked = timeout(Duration::from_secs(3600), async {
        loop {
            let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
            if stream.write_all(request).await.is_err() {
                return;
            }
        }
    });
    assert!(asked.await.is_ok(), "the connection is held for ever");
    server.end().await;
}

#[tokio::test]
async fn reads_that_wait_leave_places_to_probes_and_to_what_they_wait_for() {
    let server = Server::start().await;
    let path = "/admin/extensions?min_revision=999999&wait_ms=10000";
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let mut asked = Vec::new();
    for _ in 0..=places::MAX_WAITING {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        asked.push(tokio::spawn(async move { read(&mut stream).await.0 }));
    }
    // One is too many, whichever it is; it is refused before any of the others is answered.
    let (first, _, waiting) = futures_util::future::select_all(asked).await;
    let first = first.unwrap();
    assert!(first.starts_with("HTTP/1.1 503"), "{first}");
    assert_eq!(waiting.len(), places::MAX_WAITING);
    assert_eq!(server.get("/livez").await.0, "200");
    for _ in 0..=places::MAX_ADMIN {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let request = request.replace("?min_revision=999999&wait_ms=10000", "?limit=1");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read(&mut stream).await.0;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    assert_eq!(server.refusals.0.load(Ordering::Relaxed), 1);
    for task in waiting {
        task.abort();
    }
    server.end().await;
}

/// CASES.md B12: what waits, here for its own body, takes no place of those who work.
#[tokio::test]
async fn changes_that_wait_leave_places_to_reads() {
    let server = Server::start().await;
    let change = format!(
        "POST /admin/reload HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
        content-type: application/json\r\ncontent-length: 2\r\n\r\n"
    );
    let mut asked = futures_util::stream::FuturesUnordered::new();
    for _ in 0..=places::MAX_ADMIN {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(change.as_bytes()).await.unwrap();
        asked.push(async move {
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.unwrap();
            (first, stream)
        });
    }
    for _ in places::MAX_STORED..=places::MAX_ADMIN {
        let refused = timeout(DEADLINE, asked.next()).await.unwrap();
        assert_eq!(&refused.unwrap().0, b"HTTP/1.1 503");
    }
    let read = format!("GET /admin/extensions HTTP/1.1\r\nauthorization: Bearer {TOKEN}");
    let (head, _) = server.send(&read).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    drop(asked);
    server.end().await;
}

#[tokio::test]
async fn one_watcher_too_many_is_refused_and_counted() {
    let server = Server::start().await;
    let watch =
        format!("GET /live HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    let mut watching = Vec::new();
    let refused = loop {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(watch.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        let read = timeout(DEADLINE, stream.read_exact(&mut first));
        read.await.unwrap().unwrap();
        if &first != b"HTTP/1.1 200" {
            break first;
        }
        watching.push(stream);
    };
    assert_eq!(&refused, b"HTTP/1.1 503");
    assert_eq!(server.refusals.0.load(Ordering::Relaxed), 1);
    server.end().await;
}

#[tokio::test]
async fn what_is_not_answered_within_the_grace_is_told_so() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "GET /admin/stats?min_revision=9&wait_ms=10000 HTTP/1.1\r\nhost: localhost\r\n\
        authorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Another's answer says that this one's connection, which came before, is served too.
    assert_eq!(server.get("/livez").await.0, "200");
    server.cancel.cancel();
    let answer = timeout(Duration::from_millis(100), stream.readable()).await;
    assert!(answer.is_err(), "given up too early");
    server.give_up.cancel();
    let (head, body) = read(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(body.contains("shutting_down"), "{body}");
    timeout(DEADLINE, server.task).await.unwrap().unwrap();
}
