//! One attempt to connect: from an address to a session that is logged in.
//!
//! It blocks its thread, all steps within one deadline: a lane without a connection has nothing
//! else to do. A name may have several addresses, one for each server behind it. That one of them
//! accepts connections does not mean that it serves, so each gets an attempt of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use thiserror::Error;

use super::buffer::Buffer;
use super::socket::Writer;
use super::tls;
use crate::adapters::nats::login::login;
use crate::adapters::nats::wire::operation::{Operation, Parsed, parse};
use crate::adapters::nats::wire::session::{Lost, Session, Step, TICK};
use crate::config::{NatsAddress, NatsSettings};

/// For a first attempt with all addresses of a name together, each of which has the least of it.
const PATIENCE: Duration = Duration::from_secs(3);
const LEAST: Duration = Duration::from_millis(500);
/// The most addresses that are tried in one attempt.
const MOST: usize = 8;
/// Of it, for TCP.
const REACHED_WITHIN: Duration = Duration::from_secs(1);
/// A connection that accepts no bytes for this long is given up.
const WRITE_PATIENCE: Duration = Duration::from_secs(3);

/// Why there is no connection.
#[derive(Debug, Error)]
pub(super) enum DialError {
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    #[error("no answer in time")]
    Late,
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the login cannot be made: {0}")]
    Login(String),
    #[error("the server closed the connection")]
    Closed,
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// A connection that is logged in.
#[derive(Debug)]
pub(super) struct Connection {
    /// Read by one thread.
    pub(super) socket: Arc<TcpStream>,
    pub(super) writer: Writer,
    pub(super) session: Session,
    /// What came with the greeting.
    pub(super) buffer: Buffer,
}

impl DialError {
    /// Whether it says more about the server than that it is not there.
    pub(super) fn is_answer(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::Late)
    }
}

/// The addresses that the host of `address` has now, in turn. Which one comes first depends on
/// `start`, which may be any number.
///
/// # Errors
/// The name cannot be resolved.
pub(super) fn places(address: &NatsAddress, start: usize) -> Result<Vec<SocketAddr>, DialError> {
    let host = (address.host.as_str(), address.port);
    let mut places: Vec<_> = host.to_socket_addrs()?.collect();
    let first = start.checked_rem(places.len()).unwrap_or(0);
    places.rotate_left(first);
    places.truncate(MOST);
    Ok(places)
}

/// Whether there may be several servers at these places of a name. All loopback addresses are one
/// host.
pub(super) fn are_several(places: &[SocketAddr]) -> bool {
    places.len() > 1 && places.iter().any(|place| !place.ip().is_loopback())
}

/// How long one of that number of places may take, so that a name whose servers are silent does not
/// hold up the way to the next one. After `rounds` without success they may only be slow, as when
/// all of their clients come back at once: then each has longer.
pub(super) fn patience(places: usize, rounds: usize) -> Duration {
    let share = PATIENCE.checked_div(u32::try_from(places).unwrap_or(u32::MAX));
    let share = share.unwrap_or(PATIENCE).max(LEAST);
    (share * (1u32 << rounds.min(3))).min(PATIENCE)
}

/// Connects to `place`, which is one of `address`, within `patience`, and logs in as `name`.
///
/// # Errors
/// See [`DialError`]; another attempt may succeed.
pub(super) fn dial(
    settings: &NatsSettings,
    address: &NatsAddress,
    place: &SocketAddr,
    name: &str,
    patience: Duration,
) -> Result<Connection, DialError> {
    let deadline = Instant::now() + patience;
    let reached_within = REACHED_WITHIN.min(patience);
    let socket = Arc::new(TcpStream::connect_timeout(place, reached_within)?);
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(WRITE_PATIENCE))?;
    let mut connection = Connection {
        writer: Writer::new(Arc::clone(&socket), None),
        socket,
        session: Session::new(settings.demands_tls(), Instant::now()),
        buffer: Buffer::new(),
    };
    let mut out = Vec::new();
    let secure = connection.advance(deadline, &mut out)?;
    if secure {
        connection.secure(settings, &address.certificate_name, deadline)?;
    }
    let nonce = connection.session.info().nonce.as_bytes();
    let login = login(&settings.auth, address.login.as_ref(), nonce).map_err(DialError::Login)?;
    connection.session.log_in(name, &login, secure, &mut out);
    connection.writer.send(&out)?;
    out.clear();
    connection.advance(deadline, &mut out)?;
    connection.look_ahead(&mut out)?;
    connection.writer.send(&out)?;
    connection.socket.set_read_timeout(Some(TICK))?;
    Ok(connection)
}

/// A socket that is read until a deadline and no longer, however often a little comes.
struct Until<'s> {
    socket: &'s TcpStream,
    deadline: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.socket.read(bytes)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// While it is being made.
impl Connection {
    /// Reads until the session has greeted, or else is established; whether TLS has to come next.
    fn advance(&mut self, deadline: Instant, out: &mut Vec<u8>) -> Result<bool, DialError> {
        loop {
            let parsed = parse(self.buffer.unread(), self.session.max_message());
            match parsed.map_err(Lost::from)? {
                Parsed::Whole(operation, taken) => {
                    let secure = match self.session.take(operation, out)? {
                        Step::Greeted { secure } => Some(secure),
                        Step::Established => Some(false),
                        _ => None,
                    };
                    self.buffer.take(taken);
                    if let Some(secure) = secure {
                        return Ok(secure);
                    }
                }
                Parsed::Part(whole) => {
                    self.buffer.expect(whole);
                    self.read(deadline)?;
                }
            }
        }
    }

    /// Takes in what the server reports right behind the answer to the login: the limits of our
    /// account hold for the first message already. It stays in the buffer, as there is more in it.
    fn look_ahead(&mut self, out: &mut Vec<u8>) -> Result<(), DialError> {
        let next = parse(self.buffer.unread(), self.session.max_message());
        if let Ok(Parsed::Whole(news @ Operation::Info(_), _)) = next {
            self.session.take(news, out)?;
        }
        Ok(())
    }

    fn read(&mut self, deadline: Instant) -> Result<(), DialError> {
        let mut raw = [0; 4096];
        let mut socket = Until {
            socket: &self.socket,
            deadline,
        };
        let read = match socket.read(&mut raw) {
            Ok(0) => return Err(DialError::Closed),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(late(error)),
        };
        let raw = raw.get(..read).unwrap_or_default();
        let open = self.writer.decrypt(raw, &mut self.buffer)?;
        // A server may say why right before it ends the stream.
        match open || !self.buffer.unread().is_empty() {
            true => Ok(()),
            false => Err(DialError::Closed),
        }
    }

    /// What follows the greeting in the buffer would come from an unknown sender.
    fn secure(
        &mut self,
        settings: &NatsSettings,
        name: &str,
        deadline: Instant,
    ) -> Result<(), DialError> {
        if !self.buffer.unread().is_empty() {
            return Err(DialError::Tls(
                "the server spoke before the handshake".to_owned(),
            ));
        }
        let mut tls = tls::client(settings, name).map_err(DialError::Tls)?;
        handshake(&mut tls, &self.socket, deadline)?;
        self.writer = Writer::new(Arc::clone(&self.socket), Some(Box::new(tls)));
        Ok(())
    }
}

fn handshake(
    tls: &mut ClientConnection,
    socket: &TcpStream,
    deadline: Instant,
) -> Result<(), DialError> {
    let mut socket = Until { socket, deadline };
    while tls.is_handshaking() {
        // It reads on until the handshake is over.
        tls.complete_io(&mut socket)
            .map_err(|error| match error.get_ref().is_some() {
                true => DialError::Tls(error.to_string()),
                false => late(error),
            })?;
    }
    Ok(())
}

fn late(error: io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => DialError::Late,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;
    use std::thread;

    use rustls::crypto::ring;
    use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, Stream};
    use rustls_pki_types::ServerName;

    use super::*;
    use crate::adapters::nats::link::outbox::Outbox;
    use crate::adapters::nats::link::reader::Reader;
    use crate::config::NatsAuth;
    use crate::config::pem_file::{certificates, private_key};
    use crate::domain::subject::Subject;

    /// Dials a server with TLS, whose certificate goes to `folder`. Each PING gets the next of
    /// `answers`, and the last of them comes together with the end of the stream.
    fn dialled(folder: &Path, answers: &'static [&'static str]) -> Result<Connection, DialError> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = folder.join("both.pem");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        std::fs::write(&file, [certificate, key].concat()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates(&file).unwrap(), private_key(&file).unwrap())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let info = br#"INFO {"headers":true,"tls_required":true}"#;
            socket.write_all(&[&info[..], b"\r\n"].concat()).unwrap();
            let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
            let mut chunk = [0; 1024];
            for (number, answer) in (1..).zip(answers) {
                let mut heard = Vec::new();
                while !heard.ends_with(b"PING\r\n") {
                    let read = Stream::new(&mut tls, &mut socket).read(&mut chunk);
                    heard.extend_from_slice(&chunk[..read.unwrap()]);
                }
                tls.writer().write_all(answer.as_bytes()).unwrap();
                if number == answers.len() {
                    tls.send_close_notify();
                }
                while tls.wants_write() {
                    tls.write_tls(&mut socket).unwrap();
                }
            }
            // Open until the client closes it.
            let _ = socket.read(&mut chunk);
        });
        let address = NatsAddress::parse(&format!("tls://localhost:{}", place.port())).unwrap();
        let settings = NatsSettings {
            servers: vec![address.clone()],
            auth: NatsAuth::None,
            tls_ca: Some(file),
            client_certificate: None,
            inbox_prefix: Subject::parse("_INBOX").unwrap(),
        };
        dial(&settings, &address, &place, "test", PATIENCE)
    }

    #[test]
    fn what_a_server_says_right_before_it_ends_the_stream_is_heard() {
        const EXPIRED: &str = "-ERR 'User Authentication Expired'\r\n";
        let folder = tempfile::tempdir().unwrap();
        let refused = dialled(folder.path(), &["-ERR 'Authorization Violation'\r\n"]);
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, DialError::Lost(Lost::Login(_))),
            "{refused}"
        );

        let connection = dialled(folder.path(), &["PONG\r\n", EXPIRED]).unwrap();
        let outbox = Arc::<Outbox>::default();
        outbox.open(connection.writer, |_, _| {});
        let (socket, buffer) = (connection.socket, connection.buffer);
        let mut reader = Reader::new(&socket, true, buffer, connection.session);
        while reader.buffer.unread().is_empty() {
            assert!(reader.fill(&outbox), "there is something to read");
        }
        assert_eq!(reader.buffer.unread(), EXPIRED.as_bytes());
        assert!(!reader.fill(&outbox));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a server that trickles")]
    fn a_handshake_that_trickles_in_ends_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        thread::spawn(move || {
            // A record of 16 KiB, a byte at a time.
            let mut sent = server.write_all(&[22, 3, 3, 64, 0]);
            for _ in 0..400 {
                thread::sleep(Duration::from_millis(20));
                sent = sent.and_then(|()| server.write_all(&[0]));
            }
        });
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let begun = Instant::now();
        let error = handshake(&mut tls, &socket, begun + Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, DialError::Late), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn the_servers_of_a_name_have_longer_where_none_has_answered() {
        for (places, rounds, ms) in [
            (0, 0, 3000),
            (1, 0, 3000),
            (1, 9, 3000),
            (3, 0, 1000),
            (3, 1, 2000),
            (3, 2, 3000),
            (8, 0, 500),
            (8, 2, 2000),
            (8, 3, 3000),
            (usize::MAX, usize::MAX, 3000),
        ] {
            let patience = patience(places, rounds);
            assert_eq!(patience.as_millis(), ms, "{places} {rounds}");
        }
    }

    #[test]
    fn two_addresses_of_one_host_are_no_other_server() {
        for (places, several) in [
            (&[][..], false),
            (&["10.0.0.1:1"], false),
            (&["[::1]:1", "127.0.0.1:1"], false),
            (&["10.0.0.1:1", "10.0.0.2:1"], true),
            (&["127.0.0.1:1", "10.0.0.2:1"], true),
        ] {
            let all: Vec<SocketAddr> = places.iter().map(|it| it.parse().unwrap()).collect();
            assert_eq!(are_several(&all), several, "{places:?}");
        }
    }

    #[test]
    fn each_address_of_a_name_may_be_the_first() {
        let address = NatsAddress::parse("nats://localhost:1").unwrap();
        let all = places(&address, 0).unwrap();
        for start in 0..2 * all.len() {
            let turn = places(&address, start).unwrap();
            assert_eq!(turn.len(), all.len());
            assert_eq!(turn.first(), all.get(start % all.len()), "{start}");
        }
        assert_eq!(places(&address, usize::MAX).unwrap().len(), all.len());
    }
}
