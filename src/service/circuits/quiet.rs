//! Whether any circuit may be worth a look: one relaxed read, for callers that ask a hundred
//! thousand times a second.

use std::sync::atomic::{AtomicU8, Ordering};

const QUIET: u8 = 0;
const LOOKING: u8 = 1;
const UNQUIET: u8 = 2;

/// Raised by whatever may set a circuit apart from a closed one that never saw a failure; lowered
/// only by a look at all of them during which nothing raised it.
#[derive(Debug, Default)]
pub(super) struct Quiet(AtomicU8);

impl Quiet {
    /// Whether no circuit needs a look. While another thread finds out, the answer is no.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.load(Ordering::Relaxed) == QUIET
    }

    /// There may be something to know. To be called after the change, or a look in between misses
    /// it.
    pub(super) fn raise(&self) {
        self.0.store(UNQUIET, Ordering::Release);
    }

    /// Looks again, unless all was quiet before.
    pub(super) fn look(&self, all_quiet: impl FnOnce() -> bool) {
        let (acquire, release) = (Ordering::Acquire, Ordering::AcqRel);
        let begun = self.0.compare_exchange(UNQUIET, LOOKING, release, acquire);
        if begun.is_ok() {
            let found = if all_quiet() { QUIET } else { UNQUIET };
            // A raise meanwhile wins: the exchange fails.
            let _ = self.0.compare_exchange(LOOKING, found, release, acquire);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_lowers_it_unless_something_raises_it_meanwhile() {
        let quiet = Quiet::default();
        assert!(quiet.is_quiet());
        quiet.look(|| panic!("nothing to look for"));
        quiet.raise();
        quiet.look(|| false);
        assert!(!quiet.is_quiet());
        quiet.look(|| {
            assert!(!quiet.is_quiet(), "not while nobody knows");
            quiet.raise();
            true
        });
        assert!(!quiet.is_quiet());
        quiet.look(|| true);
        assert!(quiet.is_quiet());
    }
}
