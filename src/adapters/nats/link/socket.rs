//! A socket, with TLS or without: one thread reads it, the holder of the writer writes.

use std::io::{self, Read, Write};
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
}

impl Writer {
    pub(super) fn new(socket: Arc<TcpStream>, tls: Option<Box<ClientConnection>>) -> Self {
        Self { socket, tls }
    }

    pub(super) fn socket(&self) -> Arc<TcpStream> {
        Arc::clone(&self.socket)
    }

    pub(super) fn is_secured(&self) -> bool {
        self.tls.is_some()
    }

    /// Sends all of `bytes`. A part may be gone when it fails: the connection is of no use then.
    ///
    /// # Errors
    /// The connection broke, or took nothing for as long as its write timeout.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut socket = &*self.socket;
        let Some(tls) = &mut self.tls else {
            return socket.write_all(bytes);
        };
        while tls.wants_write() {
            tls.write_tls(&mut socket)?;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = tls.writer().write(rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            while tls.wants_write() {
                tls.write_tls(&mut socket)?;
            }
        }
        Ok(())
    }

    /// Sends what the socket takes at once of `bytes`, which keeps the rest. Whether that was all: if
    /// not, [`send`](Self::send) has to go on.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn send_some(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let mut socket = Now(&self.socket);
        let Some(tls) = &mut self.tls else {
            let sent = all_of(bytes, |rest| socket.write(rest))?;
            bytes.drain(..sent);
            return Ok(bytes.is_empty());
        };
        loop {
            while tls.wants_write() {
                match tls.write_tls(&mut socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            if bytes.is_empty() {
                return Ok(true);
            }
            let taken = tls.writer().write(bytes)?;
            bytes.drain(..taken);
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
                let space = buffer.space();
                let room = space.len().min(waiting);
                let read = tls
                    .reader()
                    .read(space.get_mut(..room).unwrap_or_default())?;
                buffer.filled(read);
                waiting -= read;
                if read == 0 {
                    break;
                }
            }
            open = !state.peer_has_closed();
        }
        let mut socket = &*self.socket;
        while tls.wants_write() {
            tls.write_tls(&mut socket)?;
        }
        Ok(open)
    }

    /// Nothing more is read or written; wakes the reader.
    pub(super) fn close(&self) {
        let _closed = self.socket.shutdown(Shutdown::Both);
    }
}

/// How many bytes `write` takes before it would have to wait.
fn all_of(bytes: &[u8], mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<usize> {
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        match write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => sent += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
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
