//! However threads interleave: never more trials than allowed, and every permit comes back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use super::{FAIL, at, settings};
use crate::domain::breaker::{Breaker, CircuitState, Outcome};
use crate::domain::extension::Whose;
use crate::service::circuits::quiet::Quiet;
use crate::service::circuits::{CallPermit, Circuit, Lock};

impl Lock for shuttle::sync::Mutex<Breaker> {
    fn around(breaker: Breaker) -> Self {
        Self::new(breaker)
    }

    fn with<R>(&self, work: impl FnOnce(&mut Breaker) -> R) -> R {
        work(&mut self.lock().unwrap())
    }
}

const NOTHING: Duration = Duration::ZERO;

/// A circuit that failed once, due for a trial at 10 ms.
fn opened<L: Lock>() -> Arc<Circuit<L>> {
    static QUIET: LazyLock<Arc<Quiet>> = LazyLock::new(Arc::default);
    let whose = (Whose::default(), 0);
    let circuit = Arc::new(Circuit::new(settings(), QUIET.alarm("x"), whose));
    circuit
        .admit(at(0))
        .permit
        .unwrap()
        .record(at(0), FAIL, NOTHING);
    assert_eq!(circuit.view(at(0)).state, CircuitState::Open);
    circuit
}

/// Counts the trials that run at the same time.
#[derive(Default)]
struct Trials(AtomicU32);

impl Trials {
    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let running = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(running <= 3, "{running} trials at a time");
        let result = work();
        self.0.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

/// Asks for a trial until there is one; its outcome is neutral or the attempt is cancelled.
fn undecided_trial<L: Lock>(circuit: &Arc<Circuit<L>>, trials: &Trials, cancel: bool, pause: fn()) {
    let Ok(permit) = circuit.admit(at(10)).permit else {
        return pause();
    };
    // The count falls before the permit goes back: the other way round it could seem exceeded.
    trials.during(pause);
    if cancel {
        drop(permit);
    } else {
        permit.record(at(10), Outcome::Neutral, NOTHING);
    }
}

fn all_permits_are_back_and_one_success_closes<L: Lock>(circuit: &Arc<Circuit<L>>) {
    let view = circuit.view(at(10));
    assert_eq!((view.state, view.trials_out), (CircuitState::HalfOpen, 0));
    let permits: Vec<CallPermit<L>> = (0..3)
        .map(|_| circuit.admit(at(10)).permit.unwrap())
        .collect();
    assert!(circuit.admit(at(10)).permit.is_err());
    assert!(circuit.refuses(at(10)));
    for permit in permits {
        permit.record(at(11), Outcome::Success, NOTHING);
    }
    assert_eq!(circuit.view(at(11)).state, CircuitState::Closed);
}

type Shuttled = shuttle::sync::Mutex<Breaker>;

#[test]
fn shuttle_permits_are_conserved() {
    let scenario = || {
        let circuit = opened::<Shuttled>();
        let trials = Arc::new(Trials::default());
        let threads: Vec<_> = (0..5)
            .map(|number| {
                let (circuit, trials) = (Arc::clone(&circuit), Arc::clone(&trials));
                shuttle::thread::spawn(move || {
                    for turn in 0..3 {
                        let cancel = (number + turn) % 2 == 0;
                        undecided_trial(&circuit, &trials, cancel, shuttle::thread::yield_now);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        all_permits_are_back_and_one_success_closes(&circuit);
    };
    shuttle::check_random(scenario, 2000);
    shuttle::check_pct(scenario, 2000, 3);
}

/// One trial fails, one succeeds, one is cancelled, in every order: the first outcome decides, and
/// what is late neither moves the circuit nor takes a permit from the state that follows.
#[test]
fn shuttle_the_first_outcome_decides() {
    let scenario = || {
        let circuit = opened::<Shuttled>();
        let outcomes = [Some(FAIL), Some(Outcome::Success), None];
        let permits = outcomes.map(|outcome| (circuit.admit(at(10)).permit.unwrap(), outcome));
        let threads = permits.map(|(permit, outcome)| {
            shuttle::thread::spawn(move || {
                outcome.and_then(|outcome| permit.record(at(10), outcome, NOTHING))
            })
        });
        let moved: Vec<_> = threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(moved.len(), 1, "{moved:?}");
        assert_eq!(moved[0].from, CircuitState::HalfOpen);
        let view = circuit.view(at(10));
        assert_eq!((view.state, view.trials_out), (moved[0].to, 0));
    };
    shuttle::check_random(scenario, 2000);
}

#[test]
fn real_threads_conserve_permits() {
    let circuit = opened::<Mutex<Breaker>>();
    let trials = Trials::default();
    thread::scope(|scope| {
        for number in 0..8 {
            let (circuit, trials) = (&circuit, &trials);
            scope.spawn(move || {
                for turn in 0..5000 {
                    let cancel = (number + turn) % 2 == 0;
                    undecided_trial(circuit, trials, cancel, thread::yield_now);
                }
            });
        }
    });
    all_permits_are_back_and_one_success_closes(&circuit);
}

#[tokio::test]
async fn a_cancelled_task_gives_its_permit_back() {
    let circuit = opened::<Mutex<Breaker>>();
    let permit = circuit.admit(at(10)).permit.unwrap();
    let task = tokio::spawn(async move {
        std::future::pending::<()>().await;
        permit.record(at(10), FAIL, NOTHING)
    });
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    all_permits_are_back_and_one_success_closes(&circuit);
}
