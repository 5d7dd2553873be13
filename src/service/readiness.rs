//! Readiness: a latch that each part opens once and that only the drain closes.
//!
//! It stays open when the database or NATS leave: an unready sidecar would take its whole pod out
//! of service, while its data still answers. Ready means that data was applied, not that it was
//! asked for (flagd #2047, flagd PR #465).

use std::sync::atomic::{AtomicU8, Ordering};

use crate::domain::words::words;

words! {
    /// Something without which no request can be answered.
    pub enum Part {
        /// The first data is applied.
        Data = "data",
        /// A request to itself came back over NATS, and its subjects are subscribed.
        Nats = "nats",
    }
}

impl Part {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Set by the drain, and never cleared.
const DRAINING: u8 = 0x80;

/// The latch. One atomic holds it all, so that it is never seen open after it was closed.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// Marks `part` as ready. Saying it again changes nothing.
    pub fn open(&self, part: Part) {
        self.0.fetch_or(part.bit(), Ordering::AcqRel);
    }

    /// Closes the latch for good.
    pub fn drain(&self) {
        self.0.fetch_or(DRAINING, Ordering::AcqRel);
    }

    /// Whether requests should come.
    pub fn is_ready(&self) -> bool {
        let all = Part::ALL.iter().fold(0, |bits, part| bits | part.bit());
        self.0.load(Ordering::Acquire) == all
    }

    /// Whether the latch was closed for good.
    pub fn is_draining(&self) -> bool {
        self.0.load(Ordering::Acquire) & DRAINING != 0
    }

    /// The parts that have never been ready.
    pub fn missing(&self) -> Vec<&'static str> {
        let bits = self.0.load(Ordering::Acquire);
        let missing = Part::ALL.into_iter().filter(|part| bits & part.bit() == 0);
        missing.map(Part::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_when_every_part_is_ready_and_closes_for_good() {
        let readiness = Readiness::default();
        assert_eq!(readiness.missing(), ["data", "nats"]);
        readiness.open(Part::Nats);
        readiness.open(Part::Nats);
        assert_eq!(
            (readiness.is_ready(), readiness.missing()),
            (false, vec!["data"])
        );
        readiness.open(Part::Data);
        assert!(readiness.is_ready() && readiness.missing().is_empty());

        readiness.drain();
        readiness.open(Part::Data);
        assert!(!readiness.is_ready() && readiness.is_draining());
    }
}
