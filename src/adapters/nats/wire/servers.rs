//! Which server is tried next, and when.
//!
//! Servers come from the settings and, while connected, from the cluster. They are tried in turn:
//! the one that was lost comes last. A pause comes after each whole round, so that a second server
//! takes over at once and a dead cluster is not hammered. So it does after a session that was over
//! as soon as it began.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;

use super::info::ServerInfo;
use crate::config::NatsAddress;

/// The most servers that are learned: no cluster of ours announces more.
const MAX_LEARNED: usize = 256;
/// The pause after the first round without success.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A session that lasted for this long was no failed attempt.
const SETTLED: Duration = Duration::from_secs(2);

/// The servers there are, in the order in which they are tried.
#[derive(Debug)]
pub struct Servers {
    /// The next one to try comes first. Never empty.
    order: Vec<Entry>,
    /// Attempts since the last one that led to a session of some length.
    attempts: usize,
    /// Whether the last one led to a shorter session.
    dropped: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    address: NatsAddress,
    learned: bool,
}

impl Servers {
    /// The servers of the settings.
    pub fn new(configured: Vec<NatsAddress>) -> Self {
        let order = configured.into_iter().map(|address| Entry {
            address,
            learned: false,
        });
        Self {
            order: order.collect(),
            attempts: 0,
            dropped: false,
        }
    }

    /// Changes the order of all servers, so that a fleet does not begin at the same one.
    pub fn shuffle(&mut self, random: &mut impl Rng) {
        self.order.shuffle(random);
    }

    /// The server to try now; it becomes the last in turn.
    pub fn advance(&mut self) -> Option<NatsAddress> {
        let first = self.order.first()?.address.clone();
        self.order.rotate_left(1);
        self.attempts = self.attempts.saturating_add(1);
        self.dropped = false;
        Some(first)
    }

    /// How long to wait before [`advance`](Self::advance): not at all within a round, then longer with
    /// each; at least for a moment after a session that was dropped. `random` lies in 0 to 1.
    pub fn pause(&self, random: f64) -> Duration {
        let least = match self.dropped {
            true => FIRST_PAUSE,
            false => Duration::ZERO,
        };
        let rounds = self.attempts.checked_div(self.order.len()).unwrap_or(0);
        let in_turn = self.attempts.checked_rem(self.order.len()).unwrap_or(0);
        if rounds == 0 || in_turn != 0 {
            return least;
        }
        least.max(pause(rounds, random))
    }

    /// How many whole rounds came before the attempt under way.
    pub fn rounds(&self) -> usize {
        let before = self.attempts.saturating_sub(1);
        before.checked_div(self.order.len()).unwrap_or(0)
    }

    /// A session has ended. After one of some length a new schedule begins.
    pub fn ended(&mut self, lasted: Duration) {
        self.dropped = lasted < SETTLED;
        if !self.dropped {
            self.attempts = 0;
        }
    }

    /// Whether there is a server other than `current`.
    pub fn has_another(&self, current: &NatsAddress) -> bool {
        let mut order = self.order.iter();
        order.any(|entry| entry.address.place() != current.place())
    }

    /// Takes in what `current` reports about its cluster. A server that names nobody, not even
    /// itself, does not advertise: what others have named stays. Only one that is about to shut
    /// down means that it has no neighbours.
    pub fn informed(&mut self, info: &ServerInfo, current: &NatsAddress, random: &mut impl Rng) {
        if info.ldm || !info.connect_urls.is_empty() {
            self.learn(&info.connect_urls, current, random);
        }
    }

    /// New servers are tried too, learned ones that have left are forgotten. They get the login of
    /// `current`, and no other. It names them to all of its clients in the same order, and these are
    /// not to move to the same one.
    fn learn(&mut self, urls: &[String], current: &NatsAddress, random: &mut impl Rng) {
        let urls = urls.iter().take(MAX_LEARNED);
        let mut announced: Vec<NatsAddress> = urls
            .filter_map(|url| NatsAddress::parse(url).ok())
            .collect();
        announced.shuffle(random);
        let places: HashSet<_> = announced.iter().map(NatsAddress::place).collect();
        self.order.retain(|entry| {
            let place = entry.address.place();
            !entry.learned || places.contains(&place) || place == current.place()
        });
        for mut address in announced {
            let known = |entry: &Entry| entry.address.place() == address.place();
            if self.order.iter().any(known) {
                continue;
            }
            // An IP address is in the certificate of its own server only; a name may be all of
            // the cluster's.
            if address.is_ip() && current.certificate_name.parse::<IpAddr>().is_err() {
                let name = &current.certificate_name;
                address.certificate_name.clone_from(name);
            }
            address.login.clone_from(&current.login);
            self.order.push(Entry {
                address,
                learned: true,
            });
        }
        // It is the one in use, so it is the last to be tried after its loss.
        self.order
            .sort_by_key(|entry| entry.address.place() == current.place());
    }
}

/// The pause after that many rounds, or attempts at one server: it doubles, and a random half to whole
/// of it is taken, so that a fleet does not return as one. `random` lies in 0 to 1.
pub fn pause(rounds: usize, random: f64) -> Duration {
    let doublings = rounds.saturating_sub(1).min(6);
    let pause = (FIRST_PAUSE * (1u32 << doublings)).min(LONGEST_PAUSE);
    pause.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
#[path = "servers_tests.rs"]
mod tests;
