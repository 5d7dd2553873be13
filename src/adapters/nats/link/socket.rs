//! A socket, with TLS or without: one thread reads it, the holder of the writer writes.

use std::io::{self, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::ClientConnection;
use socket2::SockRef;

use super::buffer::Buffer;

/// The writing half. With TLS it is also what decrypts: both directions share one state.
#[derive(Debug)]
pub(super) struct Writer {
    socket: Arc<TcpStream>,
    tls: Option<Box<ClientConnection>>,
    /// What the socket did not take. It may begin in the middle of a message, so it goes before
    /// everything else, from any sender.
    rest: Vec<u8>,
}

impl Writer {
    pub(super) fn new(socket: Arc<TcpStream>, tls: Option<Box<ClientConnection>>) -> Self {
        Self {
            socket,
            tls,
            rest: Vec::new(),
        }
    }

    pub(super) fn socket(&self) -> Arc<TcpStream> {
        Arc::clone(&self.socket)
    }

    pub(super) fn is_secured(&self) -> bool {
        self.tls.is_some()
    }

    /// Sends what was left over, then all of `bytes`. After an error the connection is useless: a
    /// part may have been sent.
    ///
    /// # Errors
    /// The connection broke, or took nothing for as long as its write timeout.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let rest = mem::take(&mut self.rest);
        let mut socket = &*self.socket;
        write_all(&mut self.tls, &mut socket, &mut rest.as_slice())?;
        write_all(&mut self.tls, &mut socket, &mut bytes)
    }

    /// Whether something was left over that [`send`](Self::send) has yet to go on with.
    pub(super) fn is_behind(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Takes `bytes`, and sends what the socket takes of them at once. Whether that was all: if not,
    /// [`send`](Self::send) has to go on.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn send_some(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        if self.is_behind() {
            self.rest.append(bytes);
            *bytes = mem::take(&mut self.rest);
        }
        let mut rest = bytes.as_slice();
        let sent = write_all(&mut self.tls, &mut Now(&self.socket), &mut rest);
        let taken = bytes.len() - rest.len();
        bytes.drain(..taken);
        match sent {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.rest = mem::take(bytes);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Decrypts what the socket has delivered, into `buffer`. Answers of the TLS layer's own are
    /// sent. False when the server has ended the stream.
    ///
    /// # Errors
    /// The bytes are not what the server must have sent.
    pub(super) fn decrypt(&mut self, mut raw: &[u8], buffer: &mut Buffer) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            buffer.append(raw);
            return Ok(true);
        };
        let mut open = true;
        while !raw.is_empty() && open {
            tls.read_tls(&mut raw)?;
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let mut waiting = state.plaintext_bytes_to_read();
            while waiting > 0 {
                let read = tls.reader().read(buffer.space())?;
                buffer.filled(read);
                if read == 0 {
                    break;
                }
                waiting = waiting.saturating_sub(read);
            }
            open = !state.peer_has_closed();
        }
        write_out(tls, &mut &*self.socket)?;
        Ok(open)
    }

    /// Nothing more is read or written; wakes the reader.
    pub(super) fn close(&self) {
        let _closed = self.socket.shutdown(Shutdown::Both);
    }
}

/// Sends what TLS holds. A process that is stopped in a write and goes on finds it interrupted, which
/// is no end of the connection.
fn write_out(tls: &mut ClientConnection, socket: &mut impl Write) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => {
                written?;
            }
        }
    }
    Ok(())
}

/// Writes what TLS holds back, and then all of `bytes`, through TLS where there is any. After an error
/// `bytes` are those that were not taken.
fn write_all(
    tls: &mut Option<Box<ClientConnection>>,
    socket: &mut impl Write,
    bytes: &mut &[u8],
) -> io::Result<()> {
    loop {
        if let Some(tls) = tls {
            write_out(tls, socket)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let taken = match tls {
            Some(tls) => tls.writer().write(bytes),
            None => socket.write(bytes),
        };
        match taken {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => *bytes = bytes.get(taken..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A socket that is written without waiting, while others wait on it.
struct Now<'s>(&'s TcpStream);

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(self.0).send_with_flags(bytes, libc::MSG_DONTWAIT)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use rustls::crypto::ring;
    use rustls::{ClientConfig, RootCertStore};
    use rustls_pki_types::ServerName;

    use super::*;

    /// A socket whose first write is interrupted.
    #[derive(Default)]
    struct Stopped(Option<Vec<u8>>);

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let Some(taken) = &mut self.0 else {
                self.0 = Some(Vec::new());
                return Err(io::ErrorKind::Interrupted.into());
            };
            taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// CASES.md A4, with TLS.
    #[test]
    fn a_stop_within_a_write_is_no_end_of_the_connection() {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = Stopped::default();
        write_out(&mut tls, &mut socket).unwrap();
        assert!(!tls.wants_write());
        assert!(socket.0.is_some_and(|greeting| !greeting.is_empty()));
    }

    /// What one sender could not send whole is not interrupted by what another sends.
    #[test]
    fn messages_stay_whole_and_in_order_where_the_socket_takes_a_part() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut writer = Writer::new(Arc::new(socket), None);
        let large = |mark| vec![mark; 16 << 20];
        let mut expected = Vec::new();
        for mark in [b'a', b'b'] {
            let mut bytes = large(mark);
            expected.append(&mut bytes.clone());
            assert!(!writer.send_some(&mut bytes).unwrap(), "more than it takes");
            assert!(bytes.is_empty(), "taken over");
            assert!(writer.is_behind());
        }
        let received = thread::spawn(move || {
            let mut received = Vec::new();
            server.read_to_end(&mut received).unwrap();
            received
        });
        writer.send(b"c").unwrap();
        assert!(!writer.is_behind());
        let mut last = b"d".to_vec();
        assert!(writer.send_some(&mut last).unwrap());
        writer.close();
        expected.extend_from_slice(b"cd");
        assert!(received.join().unwrap() == expected);
    }
}
