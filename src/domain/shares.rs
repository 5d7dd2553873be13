//! How the places of one extension are shared between tenants.
//!
//! While there are places, every call gets one. When all are taken, the next that is free goes to
//! a tenant that holds less than its share: the places, divided by the tenants that are in or wait.
//! Only these are known here, and by hashes: however many tenants there are, no name is kept, and
//! there is no more to keep than calls under way.

use std::collections::HashMap;

use super::overload::Overload;

/// How many places each tenant holds, and how many wait for one.
#[derive(Debug, Default)]
pub struct Shares {
    /// By tenant; only those that hold or wait are in it.
    tenants: HashMap<u64, Tenant, foldhash::fast::RandomState>,
    taken: usize,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Tenant {
    holds: usize,
    waits: usize,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has a place.
    Enters,
    /// It may wait for the next one.
    Waits,
    /// It may not.
    Refused(Overload),
}

impl Shares {
    /// A call of `tenant` comes; there are `places` in all.
    pub fn comes(&mut self, tenant: u64, places: usize) -> Verdict {
        let known = self.tenants.len() + usize::from(!self.tenants.contains_key(&tenant));
        let entry = self.tenants.entry(tenant).or_default();
        if self.taken < places {
            entry.holds += 1;
            self.taken += 1;
            return Verdict::Enters;
        }
        let has_its_share = (entry.holds + entry.waits) * known >= places;
        if !has_its_share && self.waiting < places {
            entry.waits += 1;
            self.waiting += 1;
            return Verdict::Waits;
        }
        self.forget(tenant);
        Verdict::Refused(match has_its_share && known > 1 {
            true => Overload::TenantShare,
            false => Overload::Full,
        })
    }

    /// A call of `tenant` that waited has a place now.
    pub fn enters(&mut self, tenant: u64) {
        self.gives_up(tenant);
        self.tenants.entry(tenant).or_default().holds += 1;
        self.taken += 1;
    }

    /// A call of `tenant` waits no longer.
    pub fn gives_up(&mut self, tenant: u64) {
        if let Some(entry) = self.tenants.get_mut(&tenant) {
            entry.waits = entry.waits.saturating_sub(1);
        }
        self.waiting = self.waiting.saturating_sub(1);
        self.forget(tenant);
    }

    /// A call of `tenant` gives its place back.
    pub fn leaves(&mut self, tenant: u64) {
        if let Some(entry) = self.tenants.get_mut(&tenant) {
            entry.holds = entry.holds.saturating_sub(1);
        }
        self.taken = self.taken.saturating_sub(1);
        self.forget(tenant);
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    fn forget(&mut self, tenant: u64) {
        let idle = |entry: &Tenant| entry.holds == 0 && entry.waits == 0;
        if self.tenants.get(&tenant).is_some_and(idle) {
            self.tenants.remove(&tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Verdict = Verdict::Refused(Overload::Full);
    const SHARE: Verdict = Verdict::Refused(Overload::TenantShare);

    fn comes(shares: &mut Shares, tenant: u64, times: usize) -> Vec<Verdict> {
        (0..times).map(|_| shares.comes(tenant, 4)).collect()
    }

    #[test]
    fn who_is_alone_has_all_places_and_who_comes_then_waits_for_a_share() {
        let mut shares = Shares::default();
        let alone = comes(&mut shares, 1, 5);
        assert_eq!(alone[3..], [Verdict::Enters, FULL]);
        // Two tenants: two places each.
        assert_eq!(
            comes(&mut shares, 2, 3),
            [Verdict::Waits, Verdict::Waits, SHARE]
        );
        assert_eq!(comes(&mut shares, 1, 1), [SHARE]);
        for (leaver, holds) in [(1, 1), (1, 2)] {
            shares.leaves(leaver);
            shares.enters(2);
            assert_eq!(shares.taken(), 4);
            assert_eq!(shares.tenants[&2].holds, holds);
        }
        // Both have theirs: neither waits for more.
        assert_eq!(comes(&mut shares, 1, 1), [SHARE]);
        shares.leaves(2);
        assert_eq!(comes(&mut shares, 1, 1), [Verdict::Enters], "nobody waits");
        assert_eq!(comes(&mut shares, 2, 2), [Verdict::Waits, SHARE]);
    }

    #[test]
    fn no_more_wait_than_there_are_places() {
        let mut shares = Shares::default();
        comes(&mut shares, 1, 4);
        for tenant in 2..6 {
            assert_eq!(comes(&mut shares, tenant, 1), [Verdict::Waits]);
        }
        assert_eq!(comes(&mut shares, 6, 1), [FULL]);
        shares.gives_up(2);
        assert_eq!(comes(&mut shares, 6, 1), [Verdict::Waits]);
    }

    #[test]
    fn tenants_without_a_call_leave_nothing_behind() {
        let mut shares = Shares::default();
        comes(&mut shares, 0, 4);
        for tenant in 1..100_000 {
            match shares.comes(tenant, 4) {
                Verdict::Waits => shares.gives_up(tenant),
                other => assert_eq!(other, FULL),
            }
        }
        assert_eq!(shares.tenants.len(), 1);
        for tenant in 0..100_000 {
            shares.leaves(0);
            assert_eq!(shares.comes(tenant, 4), Verdict::Enters);
            shares.leaves(tenant);
            shares.comes(0, 4);
        }
        assert!(shares.tenants.capacity() < 100);
        (0..4).for_each(|_| shares.leaves(0));
        assert_eq!((shares.taken(), shares.tenants.len()), (0, 0));
    }

    #[test]
    fn whatever_happens_places_are_neither_lost_nor_made() {
        let mut shares = Shares::default();
        shares.leaves(1);
        shares.gives_up(1);
        assert_eq!(
            (shares.taken, shares.waiting, shares.tenants.len()),
            (0, 0, 0)
        );
    }
}
