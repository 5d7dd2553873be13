//! One connection as a state machine: whatever a server sends and however time passes, it says
//! little, trusts nobody before the login, and calls only a server silent that does not answer.
//!
//! The input is a stream of operations. Between two of them, where no operation begins with it, a
//! character is an event: see [`Event::of`].
#![no_main]

use std::time::{Duration, Instant};

use beamline_registry::adapters::nats::wire::info::Login;
use beamline_registry::adapters::nats::wire::operation::{Operation, Parsed, parse};
use beamline_registry::adapters::nats::wire::session::{Lost, Session, Step, TICK, Tick};
use libfuzzer_sys::fuzz_target;

/// The longest line that `-ERR` and its subject leave behind: see `domain::quote`.
const MOST_WORDS: usize = 1024;
/// The login of these tests, and a PING.
const MOST_LOGIN: usize = 512;

fuzz_target!(|input: &[u8]| {
    let Some((flags, mut rest)) = input.split_first() else {
        return;
    };
    let mut run = Run::new(flags & 1 == 1);
    while let Some(first) = rest.first() {
        let taken = match Event::of(*first) {
            Some(event) => run.event(event).map(|()| 1),
            None => match parse(rest, run.session.max_message()) {
                Ok(Parsed::Whole(operation, taken)) => run.take(operation).map(|()| taken),
                Ok(Parsed::Part(_)) | Err(_) => return,
            },
        };
        // Whoever owns the socket closes it now.
        let Ok(taken) = taken else { return };
        rest = &rest[taken..];
    }
});

/// What happens beside operations.
enum Event {
    /// The owner logs in, whether it was asked to or not.
    LogIn,
    /// Bytes arrive.
    Heard,
    /// Time passes, and a tick comes.
    Wait(Duration),
}

impl Event {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'!' => Self::LogIn,
            b'?' => Self::Heard,
            b'.' => Self::Wait(TICK),
            b',' => Self::Wait(Duration::from_millis(1)),
            b':' => Self::Wait(Duration::from_millis(900)),
            b'~' => Self::Wait(Duration::from_secs(60)),
            b'0' => Self::Wait(Duration::ZERO),
            _ => return None,
        })
    }
}

/// A session and what is known of it from outside.
struct Run {
    session: Session,
    now: Instant,
    /// When something was last heard, or a standstill was noticed.
    heard: Instant,
    /// The same of PONGs.
    answered: Instant,
    /// When it was asked for one that has not come.
    asked: Option<Instant>,
    logged_in: bool,
    out: Vec<u8>,
}

impl Run {
    fn new(demand_tls: bool) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(demand_tls, now),
            now,
            heard: now,
            answered: now,
            asked: None,
            logged_in: false,
            out: Vec::new(),
        }
    }

    fn event(&mut self, event: Event) -> Result<(), Lost> {
        match event {
            Event::LogIn => self.log_in(),
            Event::Heard => self.hear(),
            Event::Wait(time) => return self.tick(time),
        }
        Ok(())
    }

    fn hear(&mut self) {
        self.session.heard(self.now);
        self.heard = self.now;
    }

    fn log_in(&mut self) {
        self.out.clear();
        let login = Login {
            user: Some("user".to_owned()),
            signature: Some(vec![0xff; 64]),
            ..Login::default()
        };
        self.session.log_in("name", &login, false, &mut self.out);
        assert!(self.out.starts_with(b"CONNECT {") && self.out.ends_with(b"}\r\nPING\r\n"));
        assert!(self.out.len() <= MOST_LOGIN);
        assert!(!self.session.is_established());
        self.logged_in = true;
    }

    fn take(&mut self, operation: Operation<'_>) -> Result<(), Lost> {
        self.hear();
        self.out.clear();
        let was_established = self.session.is_established();
        let step = self.session.take(operation, &mut self.out);
        let is_ping = matches!(operation, Operation::Ping) && step.is_ok();
        assert_eq!(self.out, if is_ping { &b"PONG\r\n"[..] } else { b"" });
        assert!((1..=64 << 20).contains(&self.session.max_payload()));
        assert!(self.logged_in || !self.session.is_established());
        match &step {
            Ok(Step::Established) => {
                assert!(!was_established && self.session.is_established());
                (self.answered, self.asked) = (self.now, None);
            }
            Ok(Step::Pong) => {
                assert!(was_established);
                (self.answered, self.asked) = (self.now, None);
            }
            Ok(Step::Message(_)) => assert!(was_established),
            Ok(Step::Greeted { .. }) => assert!(!self.logged_in, "greeted twice"),
            Ok(Step::Refused(refusal)) => assert!(refusal.to_string().len() <= MOST_WORDS),
            Ok(Step::Nothing | Step::Informed) => {}
            Err(lost) => assert!(lost.to_string().len() <= MOST_WORDS),
        }
        step.map(drop)
    }

    /// The next tick comes after `time`. One that is late by much excuses the silence before it.
    fn tick(&mut self, time: Duration) -> Result<(), Lost> {
        self.now += time;
        if time > Duration::from_secs(1) {
            (self.heard, self.answered, self.asked) = (self.now, self.now, None);
        }
        let silence = self.now - self.heard;
        let waits = self.asked.map(|asked| self.now - asked).unwrap_or_default();
        let tick = self.session.tick(self.now);
        match &tick {
            Ok(Tick::Fine) => {}
            Ok(Tick::Ask) => {
                assert!(self.session.is_established() && self.asked.is_none());
                assert!(self.now - self.answered >= Duration::from_secs(1));
                self.asked = Some(self.now);
            }
            Err(lost) => {
                assert_eq!(lost, &Lost::Silent);
                assert!(silence > Duration::from_secs(2) || waits > Duration::from_secs(5));
            }
        }
        let answers = silence < Duration::from_secs(3) && waits < Duration::from_secs(6);
        assert!(tick.is_err() || answers);
        tick.map(drop)
    }
}
