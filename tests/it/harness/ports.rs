//! Free ports that stay free while a server is restarted.

use std::net::TcpListener;

/// A port of 127.0.0.1 on which nobody listens.
///
/// It lies below the ranges from which Linux and macOS take the local ports of outgoing
/// connections. From within them, a client that keeps dialling a stopped server's port is one day
/// given that very port as its own, and connects to itself.
///
/// Another process may take the port before it is used: whoever starts a server tries again then.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = rand::random_range(15_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Whether a server's log says that its port was taken meanwhile.
pub(crate) fn is_taken(log: &str) -> bool {
    log.to_ascii_lowercase().contains("address already in use")
}
