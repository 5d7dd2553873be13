//! Open loop: a constant rate, whatever the answers do.
//!
//! Requests go out in small bursts, one a millisecond, from a thread that sleeps between them:
//! tokio's timers are no finer. When each was due follows from its number, so there is no table.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::runtime::Handle;

use super::Job;
use super::inbox::{self, Sender};
use super::requests::Requests;
use super::tally::{Outcome, Tally};

const TICK: Duration = Duration::from_millis(1);

/// When which request is due.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    per_tick: u64,
    total: u64,
}

impl Schedule {
    fn due(&self, number: u64) -> Instant {
        let ticks = u32::try_from(number / self.per_tick).unwrap();
        self.start + TICK * ticks
    }

    /// The extension that request `number` asks for: all of them, in an order without pattern.
    fn request(number: u64, extensions: usize) -> usize {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        (mixed % extensions as u64) as usize
    }
}

/// Runs `job` at `rate` requests a second; whole thousands.
pub(super) async fn run(job: &Job, url: &str, rate: u64) -> Outcome {
    let requests = Arc::new(Requests::new(&job.target, job.extensions));
    let (sender, mut inbox) = inbox::connect(url).await;
    let mut tally = Tally::start(job, 1);
    let length = job.warm_up + job.duration;
    let per_tick = rate / 1000;
    let schedule = Schedule {
        start: tally.end() - length,
        per_tick,
        total: per_tick * length.as_millis() as u64,
    };
    let sending = thread::spawn({
        let (requests, runtime) = (Arc::clone(&requests), Handle::current());
        move || send(&schedule, &sender, &requests, &runtime)
    });

    let give_up = tokio::time::sleep_until(tally.give_up().into());
    tokio::pin!(give_up);
    let mut answered = 0;
    while answered < schedule.total {
        let message = tokio::select! {
            message = inbox.next() => message.expect("an open connection"),
            () = &mut give_up => break,
        };
        let number = inbox::number(&message);
        let request = Schedule::request(number, requests.len());
        tally.answered(
            schedule.due(number),
            Instant::now(),
            requests.verdict(request, &message),
        );
        answered += 1;
    }
    tally.wrong(schedule.total - answered, || "no answer".to_owned());
    sending.join().unwrap();
    tally.outcome()
}

#[expect(clippy::disallowed_methods, reason = "a thread that does nothing else")]
fn send(schedule: &Schedule, sender: &Sender, requests: &Requests, runtime: &Handle) {
    for number in 0..schedule.total {
        let pause = schedule
            .due(number)
            .saturating_duration_since(Instant::now());
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        let request = requests.get(Schedule::request(number, requests.len()));
        runtime.block_on(sender.send(request, sender.reply_to(number)));
    }
}
