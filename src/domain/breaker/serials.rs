//! Which attempts still matter: each has a serial number, and events outdate all smaller ones.

/// Admits one attempt, and is brought back with its outcome.
///
/// It is neither `Clone` nor `Copy`, so that no attempt is counted twice.
#[derive(Debug)]
#[must_use = "a permit that is not brought back blocks a trial until the trial limit"]
pub struct Permit(u64);

/// The next serial number, and from which one on an attempt counts for what.
#[derive(Debug, Default)]
pub(super) struct Serials {
    next: u64,
    /// First of the present state: older attempts do not count for it.
    of_state: u64,
    /// First of the trials whose permits are counted: older ones were given up as lost.
    of_round: u64,
    /// First since our own link came back: older attempts may have failed for want of it.
    since_thaw: u64,
}

impl Serials {
    pub(super) fn issue(&mut self) -> Permit {
        let permit = Permit(self.next);
        self.next = self.next.saturating_add(1);
        permit
    }

    /// The state changes: no permit issued so far counts for anything any more.
    pub(super) fn change_state(&mut self) {
        self.of_state = self.next;
        self.of_round = self.next;
    }

    /// Takes the permits issued so far to be lost. An outcome that still arrives counts in this
    /// state: trials that take longer than the limit must be able to close the circuit.
    pub(super) fn forget_permits(&mut self) {
        self.of_round = self.next;
    }

    /// What is in flight as our own link returns does not count for the extension.
    pub(super) fn thaw(&mut self) {
        self.since_thaw = self.next;
    }

    pub(super) fn holds_permit(&self, permit: &Permit) -> bool {
        permit.0 >= self.of_round
    }

    pub(super) fn counts(&self, permit: &Permit) -> bool {
        permit.0 >= self.of_state && permit.0 >= self.since_thaw
    }
}
