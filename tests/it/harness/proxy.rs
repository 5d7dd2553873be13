//! A TCP proxy that breaks its connections on demand.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::ports;
use super::wait::{DEADLINE, eventually};

const CHUNK_BYTES: usize = 64 * 1024;

/// A proxy on a port of 127.0.0.1 that stays the same through all faults.
///
/// Every fault has taken effect when its call returns.
pub(crate) struct FaultProxy {
    addr: String,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    upstream: watch::Sender<String>,
    link: watch::Sender<Link>,
    connections: Mutex<JoinSet<()>>,
}

#[derive(Clone, Copy, Default)]
struct Link {
    stalled: bool,
    delay: Duration,
}

impl FaultProxy {
    /// Forwards to `upstream` (`host:port`), without faults at first.
    pub(crate) async fn start(upstream: &str) -> Self {
        let listener = loop {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", ports::free_port())).await {
                break listener;
            }
        };
        let addr = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            upstream: watch::Sender::new(upstream.to_owned()),
            link: watch::Sender::new(Link::default()),
            connections: Mutex::new(JoinSet::new()),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            addr,
            shared,
            acceptor: Mutex::new(Some(acceptor)),
        }
    }

    /// `127.0.0.1:<port>`.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// Closes all connections and refuses new ones.
    pub(crate) async fn cut(&self) {
        if let Some(acceptor) = self.acceptor.lock().await.take() {
            acceptor.abort();
            let _aborted = acceptor.await;
        }
        self.kill_connections().await;
        // A child process that is being forked at this moment holds a copy of the listener until
        // its exec: the kernel still accepts on our behalf.
        let refused = async || TcpStream::connect(&self.addr).await.is_err();
        eventually("the proxy refuses", DEADLINE, refused).await;
    }

    /// Keeps connections open, accepts new ones, and forwards nothing: a black hole.
    pub(crate) fn stall(&self) {
        self.shared.link.send_modify(|link| link.stalled = true);
    }

    /// Holds every chunk for `delay`, in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.link.send_modify(|link| link.delay = delay);
    }

    /// Ends every fault; what a stall held back is forwarded now.
    pub(crate) async fn heal(&self) {
        self.shared.link.send_replace(Link::default());
        let mut acceptor = self.acceptor.lock().await;
        if acceptor.is_none() {
            let bind = async || TcpListener::bind(&self.addr).await;
            let listener = eventually("the proxy listens again", DEADLINE, bind).await;
            *acceptor = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared))));
        }
    }

    /// Closes all connections; new ones are accepted at once.
    pub(crate) async fn kill_connections(&self) {
        self.shared.connections.lock().await.shutdown().await;
    }

    /// Sends the connections to come to another `host:port`.
    pub(crate) fn set_upstream(&self, upstream: &str) {
        self.shared.upstream.send_replace(upstream.to_owned());
    }

    /// How many connections are open through the proxy.
    pub(crate) async fn connections(&self) -> usize {
        let mut connections = self.shared.connections.lock().await;
        while connections.try_join_next().is_some() {}
        connections.len()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor.get_mut() {
            acceptor.abort();
        }
        // The connections end with `shared`, whose last owner is the acceptor.
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let link = shared.link.subscribe();
        let mut connections = shared.connections.lock().await;
        // Read under the lock: who closes all connections has set it before.
        let upstream = shared.upstream.borrow().clone();
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // A failing side ends both, as a cable would.
            let _broken = forward(client, &upstream, link).await;
        });
    }
}

async fn forward(
    client: TcpStream,
    upstream: &str,
    link: watch::Receiver<Link>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::try_join!(
        pump(client_read, server_write, link.clone()),
        pump(server_read, client_write, link),
    )?;
    Ok(())
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut link: watch::Receiver<Link>,
) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut chunk).await?;
        let delay = link.borrow().delay;
        tokio::time::sleep(delay).await;
        let open = link.wait_for(|link| !link.stalled).await;
        open.map_err(std::io::Error::other)?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..length]).await?;
    }
}
