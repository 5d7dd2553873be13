//! The places of one extension: taken, waited for, and given back when dropped.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::domain::context::Context;
use crate::domain::lock::locked;
use crate::domain::overload::Overload;
use crate::domain::shares::{Shares, Verdict};
use crate::service::clock::standstill::timeout;

/// Places for calls, shared fairly between tenants.
#[derive(Debug, Default)]
pub struct Places {
    state: Mutex<State>,
    /// Makes tenants numbers: names are not kept.
    hashes: foldhash::fast::RandomState,
}

#[derive(Debug, Default)]
struct State {
    shares: Shares,
    queue: VecDeque<Waiter>,
    last: u64,
    /// How many places there are, as the last call that came had it.
    limit: usize,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    tenant: u64,
    place: oneshot::Sender<Place>,
}

/// A place, given back when dropped: the first that waits for one has it then.
#[derive(Debug)]
pub struct Place {
    all: Arc<Places>,
    tenant: u64,
}

/// A call that waits for a place; it gives up when dropped.
#[derive(Debug)]
pub struct Waiting {
    all: Arc<Places>,
    number: u64,
    place: oneshot::Receiver<Place>,
}

/// What a call got.
#[derive(Debug)]
pub enum Seat {
    /// A place.
    Taken(Place),
    /// The right to wait for one.
    Awaited(Waiting),
}

impl Places {
    /// A place for a call with this context, or the right to wait, where there are `places` in all.
    ///
    /// # Errors
    /// Neither.
    pub fn enter(self: &Arc<Self>, context: &Context, places: usize) -> Result<Seat, Overload> {
        let tenant = self.tenant(context);
        let all = Arc::clone(self);
        let mut state = locked(&self.state);
        state.limit = places;
        if !state.queue.is_empty() {
            // Where the limit was raised: they came first.
            self.serve(state);
            state = locked(&self.state);
        }
        match state.shares.comes(tenant, places) {
            Verdict::Enters => Ok(Seat::Taken(Place { all, tenant })),
            Verdict::Refused(why) => Err(why),
            Verdict::Waits => {
                state.last += 1;
                let number = state.last;
                let (place, waits) = oneshot::channel();
                state.queue.push_back(Waiter {
                    number,
                    tenant,
                    place,
                });
                Ok(Seat::Awaited(Waiting {
                    all,
                    number,
                    place: waits,
                }))
            }
        }
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        locked(&self.state).shares.taken()
    }

    /// Gives places that are free to those that wait for one. Where the limit was lowered, none is
    /// before enough calls have left.
    fn serve<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) {
        while state.shares.taken() < state.limit {
            let Some(next) = state.queue.pop_front() else {
                return;
            };
            state.shares.enters(next.tenant);
            drop(state);
            // A waiter that has just given up gives it back here.
            let _ = next.place.send(Place {
                all: Arc::clone(self),
                tenant: next.tenant,
            });
            state = locked(&self.state);
        }
    }

    /// The same for what rules take for equal, `1` and `1.0`. Calls without a tenant are one tenant.
    fn tenant(&self, context: &Context) -> u64 {
        self.hashes.hash_one(context.get("tenant_id"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = locked(&self.all.state);
        state.shares.leaves(self.tenant);
        self.all.serve(state);
    }
}

impl Waiting {
    /// The place, unless there is none before `until`. What this process stood still is made up for,
    /// as replies that free places may lie in the socket, but not beyond the caller's `deadline`.
    pub async fn until(mut self, until: Instant, deadline: Option<Instant>) -> Option<Place> {
        let limit = until.saturating_duration_since(Instant::now());
        let place = timeout(limit, &mut self.place);
        let place = match deadline {
            Some(deadline) => timeout_at(deadline, place).await.ok()?,
            None => place.await,
        };
        place.ok()?.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = locked(&self.all.state);
        let number = self.number;
        let waits = state.queue.iter().position(|it| it.number == number);
        if let Some(waiter) = waits.and_then(|at| state.queue.remove(at)) {
            state.shares.gives_up(waiter.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::domain::testing::context;

    fn of(tenant: &str) -> Context {
        context(&format!(r#"{{"tenant_id":"{tenant}"}}"#))
    }

    fn taken(seat: Result<Seat, Overload>) -> Place {
        match seat {
            Ok(Seat::Taken(place)) => place,
            other => panic!("no place: {other:?}"),
        }
    }

    fn waits(seat: Result<Seat, Overload>) -> Waiting {
        match seat {
            Ok(Seat::Awaited(waiting)) => waiting,
            other => panic!("it does not wait: {other:?}"),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_back_goes_to_the_first_that_still_waits() {
        let all = Arc::new(Places::default());
        let mut places: Vec<_> = (0..4).map(|_| taken(all.enter(&of("a"), 4))).collect();
        assert_eq!(all.enter(&of("a"), 4).unwrap_err(), Overload::Full);
        let (first, second) = (waits(all.enter(&of("b"), 4)), waits(all.enter(&of("c"), 4)));
        assert_eq!(all.enter(&of("a"), 4).unwrap_err(), Overload::TenantShare);
        drop(first);
        places.pop();
        let place = second.until(soon(), None).await.unwrap();
        assert_eq!(all.taken(), 4);
        drop((place, places));
        assert_eq!(all.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_changes_holds_for_those_that_wait_too() {
        let all = Arc::new(Places::default());
        let mut places: Vec<_> = (0..4).map(|_| taken(all.enter(&of("a"), 4))).collect();
        let first = waits(all.enter(&of("b"), 4));
        assert_eq!(all.enter(&of("c"), 1).unwrap_err(), Overload::Full);
        places.truncate(1);
        assert_eq!(all.taken(), 1, "lowered: no place is passed on");
        drop(places);
        let first = first.until(soon(), None).await.unwrap();
        let older = waits(all.enter(&of("c"), 1));
        assert_eq!(all.enter(&of("b"), 2).unwrap_err(), Overload::TenantShare);
        let older = older.until(soon(), None).await.unwrap();
        assert_eq!(all.taken(), 2, "raised: who waits comes first");
        drop((first, older));
        assert_eq!(all.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_lost_to_who_gives_up() {
        let all = Arc::new(Places::default());
        let place = taken(all.enter(&of("a"), 1));
        let late = waits(all.enter(&of("b"), 1));
        assert!(late.until(Instant::now(), None).await.is_none());
        let given = waits(all.enter(&of("b"), 1));
        drop(place);
        assert_eq!(all.taken(), 1, "it has it, and does not know yet");
        drop(given);
        assert_eq!(all.taken(), 0);
        drop(taken(all.enter(&Context::default(), 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_slept_is_not_made_up_for_beyond_the_callers_deadline() {
        const SECOND: Duration = Duration::from_secs(1);
        const MOMENT: Duration = Duration::from_millis(100);
        let all = Arc::new(Places::default());
        let _place = taken(all.enter(&of("a"), 1));
        let (late, begun) = (waits(all.enter(&of("b"), 1)), Instant::now());
        let until = begun + SECOND;
        let mut waiting = pin!(late.until(until, Some(until + MOMENT)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        advance(SECOND + 3 * MOMENT).await;
        assert!(waiting.await.is_none());
        assert!(begun.elapsed() < SECOND + 4 * MOMENT);
    }

    #[test]
    fn names_are_told_apart_and_who_has_none_is_one() {
        let all = Places::default();
        let [a, b] = ["a", "b"].map(|name| all.tenant(&of(name)));
        let nobody = all.tenant(&Context::default());
        assert!(a != b && a != nobody && b != nobody);
        assert_eq!(all.tenant(&of("a")), a);
    }

    /// CASES.md C1.
    #[test]
    fn a_tenant_is_one_however_its_number_is_written_and_no_text() {
        let all = Places::default();
        let tenant = |id: &str| all.tenant(&context(&format!(r#"{{"tenant_id":{id}}}"#)));
        for same in ["1.0", "1e0", "0.1e1"] {
            assert_eq!(tenant(same), tenant("1"), "{same}");
        }
        for (one, other) in [("1", r#""1""#), ("true", r#""true""#), ("1", "10")] {
            assert_ne!(tenant(one), tenant(other), "{one} {other}");
        }
    }
}
