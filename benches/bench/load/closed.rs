//! Closed loop: a fixed number of requests in flight.

use std::time::Instant;

use async_nats::Subject;
use futures_util::StreamExt;
use rand::RngExt;

use super::Job;
use super::inbox;
use super::requests::{self, Requests};
use super::tally::{Outcome, Tally};

/// One request in flight; its number on the wire is its place.
struct Slot {
    reply_to: Subject,
    request: usize,
    sent: Instant,
}

/// Runs `job` with `in_flight` requests at a time.
pub(super) async fn run(
    job: &Job,
    (url, ids_per_answer): (&str, usize),
    in_flight: usize,
) -> Outcome {
    let requests = Requests::new(&job.target, job.extensions);
    let mut random = requests::random();
    let (sender, mut inbox) = inbox::connect(url).await;
    let mut tally = Tally::start(job, ids_per_answer);

    let mut slots: Vec<Slot> = Vec::with_capacity(in_flight);
    for place in 0..in_flight {
        let slot = Slot {
            reply_to: sender.reply_to(place as u64),
            request: random.random_range(0..requests.len()),
            sent: Instant::now(),
        };
        sender
            .send(requests.get(slot.request), slot.reply_to.clone())
            .await;
        slots.push(slot);
    }

    let give_up = tokio::time::sleep_until(tally.give_up().into());
    tokio::pin!(give_up);
    let mut open = in_flight;
    while open > 0 {
        let message = tokio::select! {
            message = inbox.next() => message.expect("an open connection"),
            () = &mut give_up => break,
        };
        let now = Instant::now();
        let slot = &mut slots[inbox::number(&message) as usize];
        tally.answered(slot.sent, now, requests.verdict(slot.request, &message));
        if now >= tally.end() {
            open -= 1;
            continue;
        }
        slot.request = random.random_range(0..requests.len());
        slot.sent = Instant::now();
        sender
            .send(requests.get(slot.request), slot.reply_to.clone())
            .await;
    }
    tally.wrong(open as u64, || "no answer".to_owned());
    tally.outcome()
}
