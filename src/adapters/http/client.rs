//! Asking the local daemon for its state: one request, one answer, no client library.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A daemon that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(2);
/// Far more than a probe answers.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Asks for `path` at the address that the daemon listens on: the status, and the body.
///
/// # Errors
/// No connection, no answer in time, or an answer that is not HTTP.
pub async fn ask(listening: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    timeout(PATIENCE, exchange(reachable(listening), path)).await?
}

/// A daemon that listens everywhere is asked on the loopback.
fn reachable(mut listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listening.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listening.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listening
}

async fn exchange(addr: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    let mut limited = stream.take(MAX_ANSWER_BYTES);
    limited.read_to_string(&mut text).await?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(text: &str) -> Option<(u16, String)> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some((status.parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let ok = parse("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{}").unwrap();
        assert_eq!(ok, (503, "{}".to_owned()));
        assert_eq!(parse("SSH-2.0\r\n\r\n"), None);
    }

    #[test]
    fn everywhere_means_the_loopback() {
        let reach = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reach("0.0.0.0:9640"), "127.0.0.1:9640");
        assert_eq!(reach("[::]:9640"), "[::1]:9640");
        assert_eq!(reach("127.0.0.2:1"), "127.0.0.2:1");
        assert_eq!(reach("[fe80::1%2]:1"), "[fe80::1%2]:1");
    }
}
