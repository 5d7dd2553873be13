//! Boundaries: a panic in one piece of work ends only that piece, and is counted.
//!
//! The code that catches one goes on with state that it shares with others. That is sound here:
//! locks are taken also after a panic, and what must be given back (places, permits, slots) is
//! given back on drop. Where in the code it happened is logged by the process's panic hook, once.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use futures_util::FutureExt;

use super::error::RegistryError;
use super::observe::{Observation, Observers};

/// Does `work`; `None`, counted, if it panics.
///
/// Made of combinators, as is [`answered`]: an `async fn` would hold `work` twice, and every call
/// would pay for moving that.
pub fn survived<T>(
    observers: &Observers,
    work: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    caught.map(move |done| counted(observers, done))
}

/// The same for work that awaits nothing.
pub fn survived_now<T>(observers: &Observers, work: impl FnOnce() -> T) -> Option<T> {
    counted(observers, catch_unwind(AssertUnwindSafe(work)))
}

fn counted<T>(observers: &Observers, done: thread::Result<T>) -> Option<T> {
    let panicked = |_: &_| observers.observe(&Observation::Panicked);
    done.inspect_err(panicked).ok()
}

/// Answers one request; `internal` if that panics.
///
/// # Errors
/// The errors of `work`, and [`RegistryError::Internal`].
pub fn answered<T>(
    observers: &Observers,
    work: impl Future<Output = Result<T, RegistryError>>,
) -> impl Future<Output = Result<T, RegistryError>> {
    survived(observers, work).map(|answer| answer.unwrap_or(Err(RegistryError::Internal)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::domain::overload::Overload;
    use crate::service::observe::Observer;

    /// Counts observed panics.
    #[derive(Default)]
    struct Counting(AtomicU64);

    impl Observer for Counting {
        fn observe(&self, observation: &Observation) {
            if matches!(observation, Observation::Panicked) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Panics at everything.
    struct Broken;

    impl Observer for Broken {
        fn observe(&self, _: &Observation) {
            panic!("an observer's bug");
        }
    }

    fn counting() -> (Observers, Arc<Counting>) {
        let counting = Arc::<Counting>::default();
        let observers = Observers::new(vec![Box::new(Arc::clone(&counting))]);
        (observers, counting)
    }

    #[tokio::test]
    async fn a_panic_is_that_requests_internal_error_and_is_counted() {
        let (observers, counting) = counting();
        let fine = answered(&observers, async { Ok(1) }).await;
        let refused: Result<(), _> =
            answered(&observers, async { Err(RegistryError::ReadOnly) }).await;
        assert_eq!((fine, refused), (Ok(1), Err(RegistryError::ReadOnly)));
        assert_eq!(counting.0.load(Ordering::Relaxed), 0);

        let late: Result<(), _> = answered(&observers, async {
            tokio::task::yield_now().await;
            panic!("a request's bug")
        })
        .await;
        let now: Option<()> = survived_now(&observers, || panic!("a request's bug"));
        assert_eq!((late, now), (Err(RegistryError::Internal), None));
        assert_eq!(counting.0.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_loop_goes_on_after_an_item_that_panics() {
        let (observers, counting) = counting();
        let mut done = Vec::new();
        for item in [1, 0, 2] {
            let work = async { 10_u32.checked_div(item).expect("an item's bug") };
            done.extend(survived(&observers, work).await);
        }
        assert_eq!(done, [10, 5]);
        assert_eq!(counting.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_observer_that_panics_costs_only_its_own_observation() {
        let counting = Arc::<Counting>::default();
        let (broken, told) = (Box::new(Broken), Box::new(Arc::clone(&counting)));
        let observers = Observers::new(vec![broken, told]);
        observers.observe(&Observation::Overloaded(Overload::Requests));
        assert_eq!(
            counting.0.load(Ordering::Relaxed),
            1,
            "the others hear of it, and of what was observed"
        );
        observers.observe(&Observation::Panicked);
        assert_eq!(counting.0.load(Ordering::Relaxed), 3);
    }
}
