//! Futures that run on a lane's thread, between its turns.
//!
//! A reply wakes a future on the thread that reads it, and what the future sends leaves with the
//! same write as everything else of the turn: no other thread, no other system call. The memory of
//! a future that is done serves the next one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::Handle;
use tokio_util::sync::ReusableBoxFuture;

use crate::adapters::nats::link::outbox::Outbox;
use crate::domain::lock::locked;

/// Memory of futures that is kept for others.
const KEPT: usize = 256;

type Task = ReusableBoxFuture<'static, ()>;

/// The futures of one lane.
#[derive(Debug)]
pub(super) struct Tasks {
    pool: Mutex<Pool>,
    ready: Arc<Ready>,
    /// For timers; they fire on its threads.
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Pool {
    seats: Vec<Seat>,
    /// Seats without a future; the one used last comes first, its memory is warm.
    free: Vec<usize>,
}

#[derive(Debug)]
struct Seat {
    /// `None` while it is polled.
    task: Option<Task>,
    call: Arc<Call>,
    waker: Waker,
    taken: bool,
}

/// Seats whose futures want to be polled.
#[derive(Debug)]
struct Ready {
    seats: Mutex<VecDeque<usize>>,
    outbox: Arc<Outbox>,
}

/// What calls a seat.
#[derive(Debug)]
struct Call {
    seat: usize,
    called: AtomicBool,
    ready: Arc<Ready>,
}

thread_local! {
    /// The ready list of the lane that this thread runs.
    static OWN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Tasks {
    /// None yet, for the lane of `outbox`.
    pub(super) fn new(outbox: Arc<Outbox>, runtime: Handle) -> Self {
        Self {
            pool: Mutex::default(),
            ready: Arc::new(Ready {
                seats: Mutex::default(),
                outbox,
            }),
            runtime,
        }
    }

    /// Runs `future` from the end of this turn on.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut pool = locked(&self.pool);
        let index = match pool.free.pop() {
            Some(index) => index,
            None => {
                let index = pool.seats.len();
                pool.seats.push(Seat::new(index, &self.ready));
                index
            }
        };
        let Some(seat) = pool.seats.get_mut(index) else {
            return;
        };
        match &mut seat.task {
            Some(memory) => memory.set(future),
            None => seat.task = Some(ReusableBoxFuture::new(future)),
        }
        seat.taken = true;
        let call = Arc::clone(&seat.call);
        drop(pool);
        call.wake();
    }

    /// Whether one is not done yet.
    pub(super) fn are_under_way(&self) -> bool {
        let pool = locked(&self.pool);
        pool.free.len() < pool.seats.len()
    }

    /// Whether this is their lane's thread.
    pub(super) fn are_here(&self) -> bool {
        self.ready.is_here()
    }

    /// Polls what wants to be polled, until nothing does.
    pub(super) fn run(&self) {
        OWN.set(Arc::as_ptr(&self.ready).addr());
        let _entered = self.runtime.enter();
        loop {
            let Some(seat) = locked(&self.ready.seats).pop_front() else {
                return;
            };
            self.poll(seat);
        }
    }

    fn poll(&self, index: usize) {
        let mut pool = locked(&self.pool);
        let Some(seat) = pool.seats.get_mut(index) else {
            return;
        };
        if !seat.taken {
            // Its task was called as it ended: the next one there must hear its own call.
            seat.call.called.store(false, Ordering::Release);
            return;
        }
        let (Some(mut task), waker) = (seat.task.take(), seat.waker.clone()) else {
            return;
        };
        // Before the poll: what happens during it is another call.
        seat.call.called.store(false, Ordering::Release);
        drop(pool);
        let polling = || task.poll(&mut Context::from_waker(&waker));
        // The spawner reports panics; here one only ends its future.
        let polled = catch_unwind(AssertUnwindSafe(polling));
        let mut pool = locked(&self.pool);
        let Pool { seats, free } = &mut *pool;
        let Some(seat) = seats.get_mut(index) else {
            return;
        };
        match polled {
            Ok(Poll::Pending) => seat.task = Some(task),
            Ok(Poll::Ready(())) if free.len() < KEPT => seat.task = Some(task),
            Ok(Poll::Ready(())) | Err(_) => drop(task),
        }
        if !matches!(polled, Ok(Poll::Pending)) {
            seat.taken = false;
            free.push(index);
        }
    }
}

impl Ready {
    fn is_here(self: &Arc<Self>) -> bool {
        OWN.get() == Arc::as_ptr(self).addr()
    }
}

impl Seat {
    fn new(seat: usize, ready: &Arc<Ready>) -> Self {
        let call = Arc::new(Call {
            seat,
            called: AtomicBool::new(false),
            ready: Arc::clone(ready),
        });
        Self {
            task: None,
            waker: Waker::from(Arc::clone(&call)),
            call,
            taken: false,
        }
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.called.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut seats = locked(&self.ready.seats);
        seats.push_back(self.seat);
        let first = seats.len() == 1;
        drop(seats);
        // The lane's own thread looks at the end of its turn; else it waits for the server.
        if first && !self.ready.is_here() {
            self.ready.outbox.nudge();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;
    use tokio::time::sleep;

    use super::*;

    fn tasks() -> Tasks {
        Tasks::new(Arc::default(), Handle::current())
    }

    #[tokio::test]
    async fn a_task_runs_when_it_is_woken_and_leaves_its_seat_to_the_next() {
        let tasks = tasks();
        let (bell, done) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        for round in 1..=100 {
            let (rung, counted) = (Arc::clone(&bell), Arc::clone(&done));
            tasks.spawn(async move {
                rung.notified().await;
                counted.fetch_add(1, Ordering::Relaxed);
            });
            tasks.run();
            tasks.run();
            assert_eq!(done.load(Ordering::Relaxed), round - 1);
            assert!(tasks.are_under_way());
            bell.notify_one();
            tasks.run();
            assert_eq!(done.load(Ordering::Relaxed), round);
            assert!(!tasks.are_under_way());
        }
        assert_eq!(locked(&tasks.pool).seats.len(), 1);
    }

    #[tokio::test]
    async fn a_call_of_a_task_that_ends_is_not_taken_for_that_of_the_next() {
        let tasks = tasks();
        let done = Arc::new(AtomicUsize::new(0));
        for round in 1..=3 {
            let counted = Arc::clone(&done);
            tasks.spawn(std::future::poll_fn(move |cx| {
                cx.waker().wake_by_ref();
                counted.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(())
            }));
            tasks.run();
            assert_eq!(done.load(Ordering::Relaxed), round);
        }
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_task_only() {
        let tasks = tasks();
        let done = Arc::new(AtomicUsize::new(0));
        for number in 0..10 {
            let counted = Arc::clone(&done);
            tasks.spawn(async move {
                assert!(number != 3, "a task's bug");
                counted.fetch_add(1, Ordering::Relaxed);
            });
        }
        tasks.run();
        assert_eq!(done.load(Ordering::Relaxed), 9);
        assert_eq!(locked(&tasks.pool).free.len(), 10);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_another_thread_wakes_is_found() {
        let tasks = Arc::new(tasks());
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        tasks.spawn(async move {
            sleep(std::time::Duration::from_millis(5)).await;
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let lane = Arc::clone(&tasks);
        let (told, found) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            while done.load(Ordering::Relaxed) == 0 {
                lane.run();
                std::thread::yield_now();
            }
            told.send(()).unwrap();
        });
        found.await.unwrap();
    }
}
