//! One connection to a server, from its greeting to its loss, as a state machine.
//!
//! The owner of the socket gives it the operations that arrive and the time, and sends what it
//! appends to the buffer. It holds no subscriptions: their owner makes them again after
//! [`Step::Established`].

use std::time::{Duration, Instant};

use thiserror::Error;

use super::info::{Login, ServerInfo, connect_options};
use super::operation::{Message, Operation, ProtocolError};
use super::refusal::Refusal;
use super::write;

/// How often [`Session::tick`] wants to be called.
pub const TICK: Duration = Duration::from_millis(250);
/// How old the last PONG may be before the server is asked for another: what arrives otherwise says
/// nothing about what we send.
const ASK: Duration = Duration::from_millis(1000);
/// Silence after which the connection is given up: with the tick that notices it, less than 3 s.
const SILENCE: Duration = Duration::from_millis(2700);
/// How long a PONG may take while other bytes arrive: it comes behind all that the server had to
/// send.
const BACKLOG: Duration = Duration::from_millis(5400);
/// A tick that comes this late means that we stood still: what we did not read in that time is no
/// silence of the server's.
const STOOD_STILL: Duration = Duration::from_millis(1000);
/// What a server may send in one message beyond what it accepts: other servers add headers. It is
/// also the most before the login, when there is nothing to send messages for.
const HEADROOM: usize = 64 * 1024;
/// What a server accepts that does not announce it.
const DEFAULT_MAX_PAYLOAD: usize = 1 << 20;
/// No server accepts more than this.
const MOST_MAX_PAYLOAD: usize = 64 << 20;

/// Why a connection is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Lost {
    /// The server did not keep to the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// Its greeting is not a JSON object of the expected kind.
    #[error("the server's greeting cannot be read")]
    Greeting,
    /// TLS is demanded, and the server has none.
    #[error("TLS is required, and the server offers none")]
    NoTls,
    /// The server takes no headers: it is older than 2.2, or they are switched off.
    #[error("the server does not support headers")]
    NoHeaders,
    /// The login was not accepted, or has expired.
    #[error("the server refuses the login: {0}")]
    Login(String),
    /// It takes fewer subscriptions than there are: some requests would reach nobody.
    #[error("the server takes too few subscriptions of one connection: raise `max_subscriptions`")]
    Full,
    /// The server closed it, or the way to it broke.
    #[error("the connection broke")]
    Broken,
    /// Nothing has arrived for too long, or no answer: the connection is dead, perhaps in one
    /// direction only.
    #[error("the server is silent")]
    Silent,
}

/// What one operation means to the owner of the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'b> {
    /// Nothing to do.
    Nothing,
    /// The server has greeted: secure the connection if `secure`, then [`Session::log_in`].
    Greeted {
        /// Whether TLS has to come first.
        secure: bool,
    },
    /// Logged in: subscriptions can be made, messages published.
    Established,
    /// A message for one of our subscriptions.
    Message(Message<'b>),
    /// The answer to the oldest PING that has none: all that the server had sent before it saw that
    /// PING has been read.
    Pong,
    /// Look at [`Session::info`]: other servers, or lame duck mode.
    Informed,
    /// The server refused something; the connection goes on, unless the server ends it.
    Refused(Refusal),
}

/// What to do at a [`Session::tick`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Nothing.
    Fine,
    /// Send a PING.
    Ask,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for the greeting.
    New,
    /// The greeting is there; waiting for the owner.
    Greeted,
    /// Waiting for the answer to the PING behind CONNECT.
    LoggingIn,
    Established,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    state: State,
    demand_tls: bool,
    info: ServerInfo,
    /// When bytes arrived last.
    heard: Instant,
    /// When a PONG did.
    answered: Instant,
    /// When the server was asked for a PONG, if none has come since.
    unanswered: Option<Instant>,
    ticked: Instant,
}

impl Session {
    /// A connection that has just been made. `demand_tls`: nothing may be sent before it is
    /// secured.
    pub fn new(demand_tls: bool, now: Instant) -> Self {
        Self {
            state: State::New,
            demand_tls,
            info: ServerInfo::default(),
            heard: now,
            answered: now,
            unanswered: None,
            ticked: now,
        }
    }

    /// What the server has reported about itself.
    pub fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// Whether messages can be sent.
    pub fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// The most bytes of a message that the server takes, headers included.
    pub fn max_payload(&self) -> usize {
        let said = self.info.max_payload.map(usize::try_from);
        match said {
            Some(Ok(said)) if said > 0 => said.min(MOST_MAX_PAYLOAD),
            Some(_) | None => DEFAULT_MAX_PAYLOAD,
        }
    }

    /// The largest message that is read, in bytes: what any server may accept. This server's
    /// announced limit bounds only what is sent to it: others of its cluster may accept more, and
    /// so may this one after a reload, which it does not announce.
    pub fn max_message(&self) -> usize {
        match self.state {
            State::Established => MOST_MAX_PAYLOAD + HEADROOM,
            State::New | State::Greeted | State::LoggingIn => HEADROOM,
        }
    }

    /// Bytes have arrived, whatever they are.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// The server had seen what we sent.
    fn answered(&mut self, when: Instant) {
        self.answered = when;
        self.unanswered = None;
    }

    /// Takes in one operation; what has to be answered is appended to `out`.
    ///
    /// # Errors
    /// The connection is of no further use.
    pub fn take<'b>(
        &mut self,
        operation: Operation<'b>,
        out: &mut Vec<u8>,
    ) -> Result<Step<'b>, Lost> {
        Ok(match (self.state, operation) {
            (State::New, Operation::Info(json)) => self.greeted(json)?,
            (State::New, Operation::Error(text)) | (State::LoggingIn, Operation::Error(text)) => {
                return Err(refused(text));
            }
            // Nothing may be sent before the greeting, nor before the connection is secured: what
            // comes earlier was not sent by the server that we are about to trust.
            (State::New | State::Greeted, _) => return Err(ProtocolError::Unknown.into()),
            (_, Operation::Info(json)) => match ServerInfo::read(json) {
                Ok(info) => {
                    self.info = info;
                    Step::Informed
                }
                // News that cannot be read is no reason to give up a connection that works.
                Err(_) => Step::Nothing,
            },
            (_, Operation::Ping) => {
                write::pong(out);
                Step::Nothing
            }
            (State::LoggingIn, Operation::Pong) => {
                self.answered(self.heard);
                self.state = State::Established;
                Step::Established
            }
            (State::Established, Operation::Pong) => {
                self.answered(self.heard);
                Step::Pong
            }
            (_, Operation::Ok) => Step::Nothing,
            (_, Operation::Error(text)) => match Refusal::parse(text) {
                Refusal::Login(text) => return Err(Lost::Login(text)),
                refusal => Step::Refused(refusal),
            },
            (State::Established, Operation::Message(message)) => Step::Message(message),
            (State::LoggingIn, Operation::Message(_)) => Step::Nothing,
        })
    }

    fn greeted<'b>(&mut self, json: &[u8]) -> Result<Step<'b>, Lost> {
        self.info = ServerInfo::read(json).map_err(|_| Lost::Greeting)?;
        let info = &self.info;
        if self.demand_tls && !info.tls_required && !info.tls_available {
            return Err(Lost::NoTls);
        }
        if !info.headers {
            return Err(Lost::NoHeaders);
        }
        self.state = State::Greeted;
        let secure = self.demand_tls || info.tls_required;
        Ok(Step::Greeted { secure })
    }

    /// Logs in, over a connection that is secured where that was asked. `name` is what the server
    /// lists us as.
    pub fn log_in(&mut self, name: &str, login: &Login, secured: bool, out: &mut Vec<u8>) {
        let options = connect_options(name, login, secured).to_string();
        write::connect(out, options.as_bytes());
        write::ping(out);
        self.state = State::LoggingIn;
    }

    /// Looks at the time. To be called every [`TICK`], after what the socket holds has been read.
    ///
    /// # Errors
    /// The server has been silent for too long.
    pub fn tick(&mut self, now: Instant) -> Result<Tick, Lost> {
        let since = |moment| now.saturating_duration_since(moment);
        if since(self.ticked) > STOOD_STILL {
            self.heard(now);
            self.answered(now);
        }
        self.ticked = now;
        let waits = self.unanswered.map(since);
        if since(self.heard) >= SILENCE || waits.is_some_and(|waits| waits >= BACKLOG) {
            return Err(Lost::Silent);
        }
        if self.is_established() && waits.is_none() && since(self.answered) >= ASK {
            self.unanswered = Some(now);
            return Ok(Tick::Ask);
        }
        Ok(Tick::Fine)
    }
}

/// Before the login has succeeded every refusal is one of the login.
fn refused(text: &[u8]) -> Lost {
    Lost::Login(Refusal::parse(text).to_string())
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
