//! Attempts: admitted, sent, judged, recorded; repeated where that may help.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::answer::{Answered, ErrorHeaders, Trail};
use super::meter::Status;
use super::plan::Plan;
use super::record::{Pending, Recorder};
use super::runtime::{Place, Runtime};
use super::stream::{STREAM, Streaming};
use super::{Invoked, Invoker};
use crate::domain::ids::InstanceId;
use crate::domain::outcome::{Answer, Ended, Failure, Outcome, Patience};
use crate::domain::retry::{backoff, retryable};
use crate::service::caller::{Call, CallError, Caller, Reply};
use crate::service::error::{RegistryError, Unavailable};
use crate::service::status::millis;

/// The code of an extension's error that named none.
const BAD_GATEWAY: &str = "502";
const ERROR_CODE: &str = "Nats-Service-Error-Code";
const ERROR_TEXT: &str = "Nats-Service-Error";
/// The attempts of one call.
pub(super) struct Attempts<'a, C> {
    invoker: &'a Invoker<C>,
    plan: Arc<Plan>,
    runtime: Arc<Runtime>,
    recorder: Recorder,
    place: Option<Place>,
    tried: Vec<InstanceId>,
    number: u32,
}

/// How one attempt ended.
enum Step<S> {
    /// With an answer for the router.
    Done(Invoked<S>),
    /// With an error that another attempt may not have.
    Failed(Failure, RegistryOrReply),
    /// With an error that any attempt would have.
    Final(Outcome, RegistryOrReply),
}

/// What the router gets if this attempt is the last one.
enum RegistryOrReply {
    Error(RegistryError),
    Reply(Answered),
}

impl<'a, C: Caller> Attempts<'a, C> {
    pub(super) fn new(
        invoker: &'a Invoker<C>,
        plan: Arc<Plan>,
        runtime: Arc<Runtime>,
        place: Place,
    ) -> Self {
        let recorder = Recorder {
            clock: invoker.clock,
            observers: invoker.observers.clone(),
            runtime: Arc::clone(&runtime),
        };
        Self { invoker, plan, runtime, recorder, place: Some(place), tried: Vec::new(), number: 0 }
    }

    /// Tries until an answer, an error that stays, or the end of retries, budget or time.
    pub(super) async fn run(mut self) -> Result<Invoked<C::Call>, RegistryError> {
        loop {
            let pending = self.admit()?;
            self.number += 1;
            let (status, last) = match self.attempt(pending).await {
                Step::Done(invoked) => return Ok(invoked),
                Step::Final(outcome, last) => (status(outcome), last),
                Step::Failed(failure, last) => {
                    if self.pause_before_retry(failure).await {
                        continue;
                    }
                    (status(Outcome::Failure(failure)), last)
                }
            };
            self.runtime.meter.record(status, self.plan.received.elapsed());
            return match last {
                RegistryOrReply::Error(error) => Err(error),
                RegistryOrReply::Reply(answered) => Ok(Invoked::Answer(answered)),
            };
        }
    }

    /// Leave of the circuit for one attempt.
    fn admit(&self) -> Result<Pending, RegistryError> {
        let resolved = self.plan.target.resolved();
        let settings = || self.plan.setup.limits.breaker.clone();
        let circuit =
            self.invoker.circuits.get_or_create(&resolved.extension.id, resolved.version, settings);
        let admission = circuit.admit(self.invoker.clock.tick());
        self.recorder.tell(&self.plan, admission.transition);
        let permit = admission.permit.map_err(|refused| {
            self.runtime.meter.record(Status::Rejected, self.plan.received.elapsed());
            self.unavailable(Unavailable::CircuitOpen { retry_after_ms: millis(refused.retry_after) })
        })?;
        let begun = std::time::Instant::now();
        let balancer = self.plan.setup.balancer(resolved.version);
        let instance = balancer.and_then(|mut balancer| {
            balancer.pick(resolved.instances(), &self.tried, begun).map(|i| i.instance_id.clone())
        });
        Ok(Pending { permit, instance, begun })
    }

    async fn attempt(&mut self, pending: Pending) -> Step<C::Call> {
        let begun = Instant::from_std(pending.begun);
        let (ends, by_caller) = self.plan.attempt_ends(begun);
        self.tried.extend(pending.instance.clone());
        let (call, reply) = match self.exchange(&pending, begun, ends).await {
            Ok(answer) => answer,
            Err(error) => {
                let ended = self.ended(error, by_caller, begun, ends);
                return self.judge(pending, &ended, None);
            }
        };
        if self.plan.stream && reply.headers.get(STREAM).is_some() {
            let trail = self.trail(&pending);
            let (plan, recorder) = (Arc::clone(&self.plan), self.recorder.clone());
            let place = self.place.take();
            let streaming =
                Streaming::new((call, reply), pending, trail, plan, recorder, place);
            return Step::Done(Invoked::Stream(streaming));
        }
        let error_code = reply.headers.get(ERROR_CODE);
        let ended = Ended::Reply { error_code, body: &reply.payload };
        self.judge(pending, &ended, Some(&reply))
    }

    /// Sends the request and waits for the first reply.
    async fn exchange(
        &self,
        pending: &Pending,
        begun: Instant,
        ends: Instant,
    ) -> Result<(C::Call, Reply), CallError> {
        let resolved = self.plan.target.resolved();
        let instance = pending.instance.as_ref().and_then(|id| {
            resolved.instances().find(|instance| instance.instance_id == *id)
        });
        let subject = instance.map_or(resolved.subject, |instance| &instance.subject);
        let headers = self.plan.headers(self.number, begun, ends);
        let body = self.plan.body.clone();
        let mut call = self.invoker.caller.call(subject, headers, body, ends).await?;
        let reply = call.next(ends).await?;
        Ok((call, reply))
    }

    fn ended(
        &self,
        error: CallError,
        by_caller: bool,
        begun: Instant,
        ends: Instant,
    ) -> Ended<'static> {
        match error {
            CallError::Timeout if by_caller => {
                let latencies = self.runtime.health.latency().snapshot(std::time::Instant::now());
                Ended::DeadlinePassed(Patience {
                    allowed: ends.saturating_duration_since(begun),
                    p99: latencies.percentile(0.99),
                    timeout: self.plan.timeout,
                })
            }
            CallError::Timeout => Ended::Timeout,
            CallError::NoResponders => Ended::NoResponders,
            CallError::PermissionDenied => Ended::PermissionViolation,
            CallError::TooLarge | CallError::InvalidHeader => Ended::TooLarge,
            CallError::Overloaded => Ended::Overloaded,
            CallError::Disconnected | CallError::Closed => Ended::Disconnected,
        }
    }

    /// Records what the attempt says about the extension and finds what the router gets.
    fn judge(&self, pending: Pending, ended: &Ended<'_>, reply: Option<&Reply>) -> Step<C::Call> {
        let (outcome, answer) = ended.classify();
        let trail = self.trail(&pending);
        self.recorder.record(&self.plan, pending, outcome);
        let last = match self.answer(answer, reply, trail) {
            RegistryOrReply::Reply(answered) if answered.error.is_none() => {
                self.runtime.meter.record(status(outcome), self.plan.received.elapsed());
                return Step::Done(Invoked::Answer(answered));
            }
            last => last,
        };
        match outcome {
            Outcome::Failure(failure) if retryable(failure) => Step::Failed(failure, last),
            outcome => Step::Final(outcome, last),
        }
    }

    fn answer(&self, answer: Answer, reply: Option<&Reply>, trail: Trail) -> RegistryOrReply {
        let id = trail.id.to_string();
        RegistryOrReply::Error(match answer {
            Answer::Reply | Answer::ErrorReply { .. } => {
                let error = match answer {
                    Answer::ErrorReply { lacks_code } => Some(error_headers(reply, lacks_code)),
                    _ => None,
                };
                let body = reply.map(|reply| reply.payload.clone()).unwrap_or_default();
                return RegistryOrReply::Reply(Answered { body, error, trail });
            }
            Answer::ExtensionError => RegistryError::ExtensionError { id },
            Answer::NoResponders => self.unavailable(Unavailable::NoResponders),
            Answer::LinkDown => self.unavailable(Unavailable::LinkDown),
            Answer::ExtensionTimeout => RegistryError::ExtensionTimeout { id },
            Answer::DeadlineExceeded => RegistryError::DeadlineExceeded { id },
            Answer::PayloadTooLarge => RegistryError::PayloadTooLarge {
                what: "the request to the extension",
                limit_bytes: self.plan.setup.limits.max_payload_bytes,
            },
            Answer::Overloaded => RegistryError::Overloaded,
            Answer::Forbidden => {
                RegistryError::Forbidden("this sidecar may not publish to the extension's subject")
            }
        })
    }

    /// Waits before the next attempt; false when there is none.
    async fn pause_before_retry(&self, failure: Failure) -> bool {
        let retries = self.plan.target.resolved().retry;
        if self.number > retries || !retryable(failure) {
            return false;
        }
        let now = Instant::now();
        let left = self.plan.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let Some(pause) = backoff(self.number, rand::random(), left) else { return false };
        if !self.runtime.budget().take(now.into_std()) {
            return false;
        }
        self.runtime.meter.retried();
        sleep(pause).await;
        true
    }

    fn trail(&self, pending: &Pending) -> Trail {
        let resolved = self.plan.target.resolved();
        Trail {
            id: resolved.extension.id.clone(),
            version: resolved.version.clone(),
            instance: pending.instance.clone(),
            attempts: self.number,
            latency: pending.begun.elapsed(),
            fallback_from: self.plan.target.fallback_from.clone(),
        }
    }

    fn unavailable(&self, why: Unavailable) -> RegistryError {
        let id = self.plan.target.resolved().extension.id.to_string();
        RegistryError::ExtensionUnavailable { id, why }
    }
}

fn error_headers(reply: Option<&Reply>, lacks_code: bool) -> ErrorHeaders {
    let header = |name: &str| reply.and_then(|reply| reply.headers.get(name)).map(str::to_owned);
    let code = header(ERROR_CODE).filter(|_| !lacks_code);
    ErrorHeaders {
        code: code.unwrap_or_else(|| BAD_GATEWAY.to_owned()),
        text: header(ERROR_TEXT).unwrap_or_else(|| "extension error".to_owned()),
    }
}

pub(super) fn status(outcome: Outcome) -> Status {
    match outcome {
        Outcome::Success => Status::Success,
        Outcome::Failure(Failure::Timeout) => Status::Timeout,
        Outcome::Failure(_) => Status::Failure,
        Outcome::Neutral(_) => Status::Neutral,
    }
}
