//! Everything about a call that is known before the first attempt.

use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::cancelling::Known;
use super::meter::Status;
use super::record::Pending;
use super::request::{Invocation, known_as};
use super::runtime::Setup;
use super::spare::Spare;
use crate::domain::balancer::Past;
use crate::domain::call_id::CallId;
use crate::domain::call_rules::CallRules;
use crate::domain::context::{Context, Scalar};
use crate::domain::envelope::{Body, Envelope};
use crate::domain::ids::{InstanceId, VersionName};
use crate::domain::subject::Subject;
use crate::domain::traceparent::{SpanId, TraceHeaders, TraceSeed};
use crate::service::caller::CallHeaders;
use crate::service::error::RegistryError;
use crate::service::patience::Wait;
use crate::service::selection::Target;
use crate::service::spans::{OpenSpan, Work};

/// A call that only has to be made.
#[derive(Debug)]
pub struct Plan {
    /// What is called.
    pub target: Target,
    /// What its record sets for calls.
    pub setup: Arc<Setup>,
    /// The body of every attempt.
    pub body: Body,
    /// How long one attempt may take, or, of an answer in pieces, the first of them.
    pub timeout: Duration,
    /// When the caller no longer wants the answer.
    pub deadline: Option<Instant>,
    /// When the request was received.
    pub received: Instant,
    /// Whether the answer may come in pieces.
    pub stream: bool,
    /// What it is known by, where it may be cancelled: an answer in pieces always may.
    pub call_id: Option<CallId>,
    /// As long as it is under way, by that id.
    pub(super) known: Option<Known>,
    /// The caller's context, as failures name it.
    pub(super) on_behalf: OnBehalf,
    /// Of the trace that begins here, where the caller has none: all attempts are of one trace.
    trace_id: [u8; 16],
    traceparent: Option<String>,
    tracestate: Option<String>,
    /// The span of the call, where it is recorded; over when the plan is no longer needed.
    span: Option<OpenSpan>,
    /// What a fallback would need, where one may be called.
    pub(super) spare: Option<Spare>,
}

/// The caller's context of a call, as failures name it.
#[derive(Debug, Clone, Default)]
pub(super) struct OnBehalf {
    pub(super) tenant_id: Option<SmolStr>,
    pub(super) trace_id: Option<SmolStr>,
}

impl OnBehalf {
    /// Without a copy of what is short, or shared.
    fn of(context: &Context) -> Self {
        let text = |key| match context.get(key)? {
            Scalar::Text(text) => Some(text.clone()),
            // As the caller and the extension have it in their own logs.
            Scalar::Number(number) => Some(SmolStr::from(number.written())),
            Scalar::Bool(value) => Some(SmolStr::from(value.to_string())),
        };
        Self {
            tenant_id: text("tenant_id"),
            trace_id: text("trace_id"),
        }
    }
}

impl Plan {
    pub(super) fn new(
        invocation: &Invocation<'_>,
        target: Target,
        setup: Arc<Setup>,
    ) -> Result<Self, RegistryError> {
        let limits = &setup.limits;
        check_size(
            "the payload",
            invocation.payload.get(),
            limits.max_payload_bytes,
        )?;
        if let Some(metadata) = invocation.metadata {
            check_size("the metadata", metadata.get(), limits.max_metadata_bytes)?;
        }
        let resolved = target.resolved();
        let extension = resolved.extension;
        // The request's own config is meant for the extension it asked for.
        let of_fallbacks = &invocation.fallback_config;
        let request_config = match &target.fallback_from {
            None => invocation.config,
            Some(_) => of_fallbacks.get(extension.id.as_str()).copied(),
        };
        let envelope = Envelope {
            kind: extension.kind,
            id: &extension.id,
            context: &invocation.context,
            payload: invocation.payload,
            metadata: invocation.metadata,
            config: resolved.config,
            request_config,
        };
        let body = envelope
            .body()
            .map_err(|e| RegistryError::field(&e.key, e.rule))?;
        let own_timeout = Duration::from_millis(resolved.timeout_ms.into());
        let (received, patience) = (invocation.received, invocation.timeout);
        Ok(Self {
            body,
            timeout: timeout(invocation.stream, own_timeout, &setup, resolved.version),
            deadline: nearest(invocation.deadline, patience, own_timeout, received),
            received,
            stream: invocation.stream,
            call_id: known_as(invocation.call_id.clone(), invocation.stream),
            known: None,
            on_behalf: OnBehalf::of(&invocation.context),
            trace_id: rand::random(),
            traceparent: invocation.traceparent.map(str::to_owned),
            tracestate: invocation.tracestate.map(str::to_owned),
            target,
            setup,
            span: None,
            spare: None,
        })
    }

    /// Makes it the same call of `target`, the fallback. Nothing changes where the request does not
    /// suit the target.
    pub(super) fn stand_in(&mut self, target: Target, setup: Arc<Setup>) -> Option<()> {
        let resolved = target.resolved();
        let id = &resolved.extension.id;
        let spare = self.spare.take();
        let spare = spare.filter(|spare| spare.fits(&setup.limits))?;
        let config = spare.config(id);
        self.body = self.body.for_another(id, resolved.config, config);
        if let Some(span) = &mut self.span {
            span.note("beamline.fallback", id);
        }
        let own_timeout = Duration::from_millis(resolved.timeout_ms.into());
        self.timeout = timeout(self.stream, own_timeout, &setup, resolved.version);
        self.received = Instant::now();
        self.deadline = nearest(self.deadline, spare.timeout, own_timeout, self.received);
        (self.target, self.setup) = (target, setup);
        Some(())
    }

    /// Records the call as `span`.
    pub(super) fn traced(mut self, span: Option<OpenSpan>) -> Self {
        self.span = span.map(|mut span| {
            span.note("beamline.version", self.version());
            if self.target.fallback_from.is_some() {
                span.note("beamline.fallback", &self.target.resolved().extension.id);
            }
            span
        });
        self
    }

    /// Notes the outcome of the call.
    pub(super) fn trace_end(&self, status: Status) {
        if let Some(span) = &self.span {
            span.end(error(status));
        }
    }

    /// Records an attempt that ends now.
    pub(super) fn trace_attempt(&self, attempt: &Pending, status: Status) {
        let Some(span) = &self.span else {
            return;
        };
        let mut attributes = vec![("beamline.attempt", attempt.number.to_string())];
        let instance = attempt.destination.instance.as_ref();
        attributes.extend(instance.map(|id| ("beamline.instance", id.to_string())));
        let (id, begun) = (attempt.span_id, attempt.begun);
        span.finished_child(Work::Attempt, id, begun, attributes, error(status));
    }

    /// The version that is called.
    pub fn version(&self) -> &VersionName {
        self.target.resolved().version
    }

    /// How calls of that version go.
    pub(super) fn rules(&self) -> CallRules {
        self.setup.rules(self.version())
    }

    /// Where an attempt at `instance` is sent; without one, to the version's own subject.
    pub(super) fn subject(&self, instance: Option<&InstanceId>) -> &Subject {
        let resolved = self.target.resolved();
        let mut instances = resolved.instances();
        let instance = instance.and_then(|id| instances.find(|known| known.instance_id == *id));
        instance.map_or(resolved.subject, |instance| &instance.subject)
    }

    /// Where the next call would go; no turn is taken.
    pub(super) fn next_subject(&self, now: std::time::Instant) -> String {
        let resolved = self.target.resolved();
        let turns = self.setup.balancer(resolved.version);
        let mut turns = turns.map(|turns| turns.clone()).unwrap_or_default();
        let next = turns.pick(resolved.instances(), Past::default(), None, now);
        // Where all rest, the first of them is as good as any.
        let next = match next {
            Ok(pick) => pick.instance,
            Err(_) => resolved.instances().find(|instance| instance.serves()),
        };
        next.map_or(resolved.subject, |instance| &instance.subject)
            .to_string()
    }

    /// When an attempt that begins at `begun` ends, and whether that is the caller's deadline.
    pub(super) fn attempt_ends(&self, begun: Instant) -> (Instant, bool) {
        self.within_deadline(begun + self.timeout)
    }

    /// Until when the extension may work. An attempt ends with the first piece of a stream.
    fn work_ends(&self, begun: Instant, attempt_ends: Instant) -> Instant {
        match self.stream {
            true => self.within_deadline(begun + self.rules().stream.total).0,
            false => attempt_ends,
        }
    }

    /// How long a stream may pause between two of its pieces.
    pub(super) fn gap(&self) -> Duration {
        let own_timeout = Duration::from_millis(self.target.resolved().timeout_ms.into());
        self.rules().stream.gap.unwrap_or(own_timeout)
    }

    /// The extension's own time, or the caller's deadline, and whether it is that.
    pub(super) fn within_deadline(&self, own: Instant) -> (Instant, bool) {
        match self.deadline {
            Some(deadline) if deadline < own => (deadline, true),
            _ => (own, false),
        }
    }

    /// The wait for what answers an attempt, or goes on with it, from `begun` to `ends`.
    pub(super) fn wait(&self, begun: Instant, ends: Instant) -> Wait {
        Wait {
            begun,
            ends,
            deadline: self.deadline,
        }
    }

    /// The headers of attempt number `attempt`, from 1, that may take until `ends` and is the span
    /// `span_id`.
    pub fn headers(
        &self,
        attempt: u32,
        begun: Instant,
        ends: Instant,
        span_id: SpanId,
    ) -> CallHeaders<'_> {
        let resolved = self.target.resolved();
        let seed = TraceSeed {
            trace_id: self.trace_id,
            span_id,
        };
        let mut trace = TraceHeaders::of_attempt(
            self.traceparent.as_deref(),
            self.tracestate.as_deref(),
            seed,
        );
        if let Some(span) = &self.span {
            trace.traceparent = span.child(span_id);
        }
        CallHeaders {
            trace: Some(trace),
            attempt: Some(attempt),
            id: &resolved.extension.id,
            version: resolved.version,
            left: self.work_ends(begun, ends).saturating_duration_since(begun),
            stream: self.stream,
            call_id: self.call_id.as_ref(),
        }
    }
}

/// The deadline of a call of an extension with `own_timeout`, received at `received`: a shorter
/// patience is one, a longer one means the extension's own.
fn nearest(
    deadline: Option<Instant>,
    patience: Option<Duration>,
    own_timeout: Duration,
    received: Instant,
) -> Option<Instant> {
    let impatient = patience.filter(|patience| *patience < own_timeout);
    let impatient = impatient.map(|patience| received + patience);
    [deadline, impatient].into_iter().flatten().min()
}

/// How long an attempt may take until its answer, or the first piece of one that is a stream.
fn timeout(stream: bool, own: Duration, setup: &Setup, version: &VersionName) -> Duration {
    if !stream {
        return own;
    }
    let limits = setup.rules(version).stream;
    limits.first_chunk.unwrap_or(own).min(limits.total)
}

/// What a span records for a call or attempt with `status`.
fn error(status: Status) -> Option<&'static str> {
    (status != Status::Success).then_some(status.as_str())
}

fn check_size(what: &'static str, text: &str, limit_bytes: usize) -> Result<(), RegistryError> {
    if text.len() > limit_bytes {
        return Err(RegistryError::PayloadTooLarge { what, limit_bytes });
    }
    Ok(())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
