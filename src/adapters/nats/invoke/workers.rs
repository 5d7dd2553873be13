//! Tasks that make one call after the other.
//!
//! The task of a call is a few kilobytes. Made and freed for each call, it went past the allocator's
//! caches and was a tenth of what a call costs here; so a task that has answered waits for another
//! request instead. The latest to finish is the first to go on: its memory is the warmest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Waiting tasks kept; what a burst needed beyond them ends.
const MAX_IDLE: usize = 256;

/// Tasks that wait for work.
#[derive(Debug)]
pub(super) struct Workers<J>(Mutex<Pool<J>>);

#[derive(Debug)]
struct Pool<J> {
    idle: Vec<Arc<Seat<J>>>,
    closed: bool,
}

/// Where a task gets its work.
#[derive(Debug)]
pub(super) struct Seat<J> {
    next: Mutex<Next<J>>,
    called: Notify,
}

#[derive(Debug)]
enum Next<J> {
    Nothing,
    Job(J),
    Over,
}

impl<J> Workers<J> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Pool {
            idle: Vec::new(),
            closed: false,
        }))
    }

    /// Gives `job` to a task that waits; a seat for a new task when none does.
    pub(super) fn hand_over(&self, job: J) -> Option<Arc<Seat<J>>> {
        let waiting = lock(&self.0).idle.pop();
        match waiting {
            Some(seat) => {
                seat.call(Next::Job(job));
                None
            }
            None => Some(Arc::new(Seat {
                next: Mutex::new(Next::Job(job)),
                called: Notify::new(),
            })),
        }
    }

    /// Waits for work at `seat`; `None` when there are enough that wait, or no more will come.
    pub(super) async fn next(&self, seat: &Arc<Seat<J>>, first: bool) -> Option<J> {
        if !first {
            let mut pool = lock(&self.0);
            if pool.closed || pool.idle.len() >= MAX_IDLE {
                return None;
            }
            pool.idle.push(Arc::clone(seat));
        }
        seat.take().await
    }

    /// Sends home who waits, and who is still at work when that is done.
    pub(super) fn close(&self) {
        let idle = {
            let mut pool = lock(&self.0);
            pool.closed = true;
            std::mem::take(&mut pool.idle)
        };
        for seat in idle {
            seat.call(Next::Over);
        }
    }
}

impl<J> Seat<J> {
    fn call(&self, next: Next<J>) {
        *lock(&self.next) = next;
        self.called.notify_one();
    }

    async fn take(&self) -> Option<J> {
        loop {
            let next = std::mem::replace(&mut *lock(&self.next), Next::Nothing);
            match next {
                Next::Job(job) => return Some(job),
                Next::Over => return None,
                Next::Nothing => self.called.notified().await,
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    type Done = mpsc::UnboundedSender<(u32, usize)>;

    /// Works until it is sent home; tells of each job which seat it was done at.
    fn hire(workers: &Arc<Workers<u32>>, seat: Arc<Seat<u32>>, done: Done) {
        let workers = Arc::clone(workers);
        tokio::spawn(async move {
            let mut first = true;
            while let Some(job) = workers.next(&seat, first).await {
                first = false;
                let _ = done.send((job, Arc::as_ptr(&seat).addr()));
            }
        });
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "as many jobs as the test sends")]
    async fn a_task_that_waits_gets_the_next_job_and_goes_home_at_the_end() {
        let workers = Arc::new(Workers::new());
        let (done, mut told) = mpsc::unbounded_channel();
        let seat = workers.hand_over(0).expect("nobody waits yet");
        hire(&workers, seat, done.clone());
        let (_, place) = told.recv().await.unwrap();
        for job in 1..1000 {
            while lock(&workers.0).idle.is_empty() {
                tokio::task::yield_now().await;
            }
            assert!(workers.hand_over(job).is_none(), "somebody waits");
            assert_eq!(told.recv().await.unwrap(), (job, place));
        }
        workers.close();
        drop(done);
        assert_eq!(told.recv().await, None, "the task is gone");
        let seat = workers
            .hand_over(7)
            .expect("a job after the end is done all the same");
        assert_eq!(workers.next(&seat, true).await, Some(7));
        assert_eq!(workers.next(&seat, false).await, None);
    }
}
