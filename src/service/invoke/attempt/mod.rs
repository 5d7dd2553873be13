//! Attempts: admitted, sent, judged, recorded; repeated where that may help.
//!
//! [`pick`] chooses where each goes; [`stand_in`] is the one at a fallback, after the last.

mod pick;
mod stand_in;

use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use tokio::time::{Instant, sleep};

use super::admission::Admitted;
use super::answer::{self, Answered, ErrorHeaders, Trail, ended};
use super::cancelling::Awaited;
use super::meter::Status;
use super::places::{Seat, Waiting};
use super::plan::Plan;
use super::record::{Pending, Recorder};
use super::stream::{CHUNK, END, STREAM, Streaming};
use super::{Accepted, Invoked, Invoker};
use crate::domain::ids::InstanceId;
use crate::domain::outcome::{Answer, Ended, Failure, Neutral, Outcome, Patience};
use crate::domain::overload::Overload;
use crate::domain::retry::{backoff, retryable};
use crate::service::caller::{CallError, Caller, Reply};
use crate::service::circuits::Circuit;
use crate::service::error::{RegistryError, Unavailable};
use crate::service::patience::NoReply;

/// The attempts of one call.
pub(super) struct Attempts<'a, C> {
    invoker: &'a Invoker<C>,
    plan: Arc<Plan>,
    recorder: Recorder,
    /// Its place, or the right to wait for one.
    seat: Option<Seat>,
    /// What the circuit has said of the first attempt already.
    admitted: Option<Admitted>,
    /// Admits each later one.
    circuit: Arc<Circuit>,
    tried: Vec<InstanceId>,
    /// The number of the first of them that are not tried again.
    barred: usize,
    number: u32,
    /// Attempts that repeated a failure; what goes on elsewhere after push-back is none.
    retries: u32,
    /// Whether one may have been carried out, but for the one whose error the caller gets.
    may_be_done: bool,
}

/// What the router gets if an attempt is the last one.
type Last = Result<Answered, RegistryError>;

/// How one attempt ended.
enum Step<S> {
    /// With an answer, or the beginning of one, that no other attempt would better.
    Done(Invoked<S>),
    /// With nothing, or an error of the extension's.
    Ended(Outcome, Last),
}

impl<'a, C: Caller> Attempts<'a, C> {
    pub(super) fn new(invoker: &'a Invoker<C>, accepted: Accepted) -> Self {
        Self {
            invoker,
            plan: accepted.plan,
            recorder: accepted.recorder,
            seat: accepted.seat,
            admitted: accepted.admitted,
            circuit: accepted.circuit,
            tried: Vec::new(),
            barred: 0,
            number: 0,
            retries: 0,
            may_be_done: false,
        }
    }

    /// Tries until an answer, an error that stays, or the end of retries, budget or time.
    pub(super) async fn run(&mut self) -> Result<Invoked<C::Call>, RegistryError> {
        match self.seat.take() {
            // Boxed: it is rare, as below.
            Some(Seat::Awaited(waiting)) => Box::pin(self.take_place(waiting)).await?,
            seat => self.seat = seat,
        }
        let (status, last) = match self.tries().await {
            Ok(invoked) => return Ok(invoked),
            Err(given_up) => given_up,
        };
        self.count(status, StdInstant::now());
        // Boxed: it is rare, and every call's task would have to hold room for it.
        if self.may_stand_in(status)
            && let Some(invoked) = Box::pin(self.stand_in()).await
        {
            return Ok(invoked);
        }
        self.plan.trace_end(status);
        let last = last.map_err(|error| match self.may_be_done {
            true => error.perhaps(),
            false => error,
        });
        last.map(Invoked::Answer)
    }

    /// Waits for a place, as long as for an attempt.
    async fn take_place(&mut self, waiting: Waiting) -> Result<(), RegistryError> {
        let (until, _) = self.plan.attempt_ends(self.plan.received);
        let giving_up = self.invoker.caller.giving_up();
        let place = tokio::select! {
            // First: the end of other calls frees places, too.
            biased;
            () = giving_up.cancelled() => None,
            place = waiting.until(until, self.plan.deadline) => Some(place),
        };
        let (status, error) = match place {
            Some(Some(place)) => {
                self.seat = Some(Seat::Taken(place));
                return Ok(());
            }
            Some(None) => (
                Status::Overloaded,
                RegistryError::Overloaded(Overload::Full),
            ),
            None => (Status::Neutral, RegistryError::ShuttingDown),
        };
        self.count(status, StdInstant::now());
        self.plan.trace_end(status);
        Err(error)
    }

    /// Their caller no longer waits.
    pub(super) fn cancelled(&self) -> RegistryError {
        self.count(Status::Cancelled, StdInstant::now());
        self.plan.trace_end(Status::Cancelled);
        RegistryError::Cancelled
    }

    /// The attempts at the chosen extension; at their end, the outcome.
    async fn tries(&mut self) -> Result<Invoked<C::Call>, (Status, Last)> {
        let admitted = self.admit();
        let mut pending =
            admitted.map_err(|why| (Status::refused(why), Err(self.unavailable(why))))?;
        loop {
            self.number += 1;
            let (outcome, last) = match self.attempt(pending).await {
                Step::Done(invoked) => return Ok(invoked),
                Step::Ended(outcome, last) => (outcome, last),
            };
            let next = if outcome.is_pushed_back() {
                self.elsewhere()
            } else if let Some(pause) = self.pause_before_retry(outcome) {
                let giving_up = self.invoker.caller.giving_up();
                let paused = giving_up.run_until_cancelled(sleep(pause)).await;
                if paused.is_none() {
                    return Err((Status::Neutral, Err(RegistryError::GivenUp)));
                }
                // What the extension did matters more than that its circuit has opened since, or
                // that the pause took all the time that was left.
                match self.is_in_time() {
                    true => self.admit().ok(),
                    false => None,
                }
            } else {
                None
            };
            let Some(next) = next else {
                return Err((Status::of(outcome), last));
            };
            self.may_be_done |= outcome.may_be_done();
            self.recorder.runtime.meter.retries.add(1);
            pending = next;
        }
    }

    fn count(&self, status: Status, now: StdInstant) {
        let received = self.plan.received.into_std();
        let took = self.recorder.clock.awake(received, now);
        self.recorder.called(status, took);
    }

    fn is_in_time(&self) -> bool {
        let in_time = |deadline| Instant::now() < deadline;
        self.plan.deadline.is_none_or(in_time)
    }

    /// A permit of the circuit for one attempt, and where it goes.
    fn admit(&mut self) -> Result<Pending, Unavailable> {
        let begun = StdInstant::now();
        let tools = &self.invoker.tools;
        let permit = match self.admitted.take() {
            Some(asked) => asked?,
            None => tools.admit(&self.circuit, &self.recorder, begun)?,
        };
        let destination = self.pick(begun)?;
        Ok(Pending {
            permit,
            destination,
            begun,
            number: self.number + 1,
            span_id: rand::random(),
        })
    }

    async fn attempt(&mut self, mut pending: Pending) -> Step<C::Call> {
        let begun = Instant::from_std(pending.begun);
        let (ends, by_caller) = self.plan.attempt_ends(begun);
        self.tried.extend(pending.destination.instance.clone());
        let sent = self.send(&pending, begun, ends);
        // Of what was not sent its extension need not hear.
        let awaited = match sent {
            Ok(_) => Awaited::of(&self.plan, &self.recorder.runtime, pending.number),
            Err(_) => None,
        };
        let replied = match sent {
            Ok(call) => self.reply(call, begun, ends).await,
            Err(error) => Err(error),
        };
        let (call, reply) = match replied {
            Ok(answer) => answer,
            Err(error) => {
                let ended = self.ended(error, by_caller, begun, ends);
                if let Some(awaited) = awaited {
                    awaited.unanswered(&ended);
                }
                return self.judge(pending, &ended, None);
            }
        };
        // An error is no chunk: until the first one, there is still time for another attempt.
        let streams = self.plan.stream && is_stream(&reply) && answer::error(&reply).is_none();
        let clock = self.recorder.clock;
        let latency = streams.then(|| clock.measured(pending.begun, StdInstant::now()));
        let destination = &mut pending.destination;
        destination.heard(&self.plan, &reply, latency.flatten());
        if streams {
            destination.answered();
            return Step::Done(Invoked::Stream(Box::new(Streaming {
                call,
                ahead: Some(reply),
                latency: latency.flatten(),
                begun,
                trail: self.trail(&pending, StdInstant::now()),
                pending: Some(pending),
                plan: Arc::clone(&self.plan),
                recorder: self.recorder.clone(),
                awaited,
                _seat: self.seat.take(),
            })));
        }
        if let Some(awaited) = awaited {
            awaited.answered();
        }
        self.judge(pending, &ended(&reply), Some(&reply))
    }

    /// Sends the request.
    fn send(&self, pending: &Pending, begun: Instant, ends: Instant) -> Result<C::Call, NoReply> {
        let plan = &self.plan;
        let subject = plan.subject(pending.destination.instance.as_ref());
        let headers = plan.headers(pending.number, begun, ends, pending.span_id);
        let caller = &self.invoker.caller;
        let call = caller.call(subject, &headers, &plan.body.bytes, ends);
        call.map_err(|error| match error {
            // An extension that was not asked is not silent.
            CallError::Timeout => NoReply::StoodStill,
            error => NoReply::Call(error),
        })
    }

    /// Waits for the first reply.
    async fn reply(
        &self,
        mut call: C::Call,
        begun: Instant,
        ends: Instant,
    ) -> Result<(C::Call, Reply), NoReply> {
        let patience = self.recorder.patience();
        let wait = self.plan.wait(begun, ends);
        let reply = patience.next(&mut call, wait).await?;
        Ok((call, reply))
    }

    fn ended(
        &self,
        error: NoReply,
        by_caller: bool,
        begun: Instant,
        ends: Instant,
    ) -> Ended<'static> {
        let error = match error {
            NoReply::StoodStill => return Ended::StoodStill { by_caller },
            NoReply::Call(error) => error,
        };
        match error {
            CallError::Timeout if by_caller => {
                let health = &self.recorder.runtime.health;
                let latencies = health.latency().snapshot(StdInstant::now());
                let clock = self.recorder.clock;
                let lost = clock.lost(begun.into_std(), ends.into_std());
                let allowed = ends.saturating_duration_since(begun);
                Ended::DeadlinePassed(Patience {
                    allowed: allowed.saturating_sub(lost),
                    p99: latencies.percentile(0.99),
                    timeout: self.plan.timeout,
                })
            }
            CallError::Timeout => Ended::Timeout,
            CallError::NoResponders => Ended::NoResponders,
            CallError::PermissionDenied => Ended::PermissionViolation,
            CallError::TooLarge | CallError::InvalidHeader => Ended::TooLarge,
            CallError::Overloaded(why) => Ended::Overloaded(why),
            CallError::BadReply => Ended::Unreadable,
            CallError::GivenUp => Ended::GivenUp,
            CallError::Disconnected | CallError::Closed => Ended::Disconnected,
        }
    }

    /// Records what the attempt means for the extension and finds what the router gets.
    fn judge(
        &self,
        mut pending: Pending,
        ended: &Ended<'_>,
        reply: Option<&Reply>,
    ) -> Step<C::Call> {
        let (outcome, answer) = ended.classify();
        if reply.is_some() && !outcome.is_pushed_back() {
            pending.destination.answered();
        }
        let now = StdInstant::now();
        let trail = self.trail(&pending, now);
        let (plan, recorder) = (&self.plan, &self.recorder);
        let latency = recorder.clock.measured(pending.begun, now);
        recorder.record(plan, pending, outcome, reply, latency, now);
        match self.answer(answer, reply, outcome.rest(), trail) {
            Ok(answered) if answered.error.is_none() => {
                let status = Status::of(outcome);
                self.count(status, now);
                self.plan.trace_end(status);
                Step::Done(Invoked::Answer(answered))
            }
            last => Step::Ended(outcome, last),
        }
    }

    fn answer(
        &self,
        answer: Answer,
        reply: Option<&Reply>,
        rest: Option<Duration>,
        trail: Trail,
    ) -> Last {
        let id = trail.id.to_string();
        Err(match answer {
            Answer::Reply | Answer::ErrorReply { .. } => {
                let error = match answer {
                    Answer::ErrorReply { lacks_code } => {
                        Some(Box::new(ErrorHeaders::of(reply, lacks_code, rest)))
                    }
                    _ => None,
                };
                let body = reply.map(|reply| reply.payload.clone()).unwrap_or_default();
                return Ok(Answered { body, error, trail });
            }
            Answer::ExtensionError => RegistryError::ExtensionError { id },
            Answer::NoResponders => self.unavailable(Unavailable::NoResponders),
            Answer::LinkDown => self.unavailable(Unavailable::LinkDown),
            Answer::ExtensionTimeout => RegistryError::ExtensionTimeout { id },
            Answer::DeadlineExceeded => RegistryError::DeadlineExceeded { id },
            Answer::PayloadTooLarge => RegistryError::PayloadTooLarge {
                what: "the request to the extension",
                limit_bytes: self.invoker.caller.max_payload(),
            },
            Answer::Overloaded(why) => RegistryError::Overloaded(why),
            Answer::ShuttingDown => RegistryError::GivenUp,
            Answer::Forbidden => RegistryError::Forbidden(
                "the NATS server does not let this sidecar call the extension, or hear its answer",
            ),
        })
    }

    /// How long to wait before the next attempt, if there is one: it is paid for then.
    fn pause_before_retry(&mut self, outcome: Outcome) -> Option<Duration> {
        let Outcome::Failure(failure) = outcome else {
            return None;
        };
        if self.retries >= self.plan.target.resolved().retry || !retryable(failure) {
            return None;
        }
        let now = Instant::now();
        let deadline = self.plan.deadline;
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        let pause = backoff(self.retries + 1, rand::random(), left)?;
        if !self.recorder.runtime.budget().take() {
            return None;
        }
        self.retries += 1;
        Some(pause)
    }

    fn trail(&self, pending: &Pending, now: StdInstant) -> Trail {
        let resolved = self.plan.target.resolved();
        Trail {
            id: resolved.extension.id.clone(),
            version: resolved.version.clone(),
            instance: pending.destination.instance.clone(),
            attempts: self.number,
            latency: now.saturating_duration_since(pending.begun),
            fallback_from: self.plan.target.fallback_from.clone(),
            call_id: self.plan.call_id.clone(),
        }
    }

    fn unavailable(&self, why: Unavailable) -> RegistryError {
        let id = self.plan.target.resolved().extension.id.to_string();
        RegistryError::ExtensionUnavailable { id, why }
    }
}

fn is_stream(reply: &Reply) -> bool {
    matches!(reply.headers.get(STREAM), Some(CHUNK | END))
}

impl Status {
    /// The status of a call whose last attempt had `outcome`.
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Failure(Failure::Timeout) => Self::Timeout,
            Outcome::Failure(_) => Self::Failure,
            Outcome::Neutral(Neutral::PushedBack { .. }) => Self::PushedBack,
            Outcome::Neutral(Neutral::Cancelled) => Self::Cancelled,
            Outcome::Neutral(_) => Self::Neutral,
        }
    }

    /// The status of a call for which no attempt was made.
    fn refused(why: Unavailable) -> Self {
        match why {
            Unavailable::PushedBack { .. } => Self::PushedBack,
            _ => Self::Rejected,
        }
    }
}

#[cfg(test)]
mod tests;
