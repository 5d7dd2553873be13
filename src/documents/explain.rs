//! The verb `explain`: a request, and why it is served by its version.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::request::OfOne;
use super::resting::RestingBody;
use super::{shown, to_bytes};
use crate::domain::breaker::{CircuitState, View};
use crate::domain::record::warnings;
use crate::service::read::Explanation;
use crate::service::selection::Target;

/// The arguments of `explain`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ExplainRequest)]
pub struct ExplainArguments {
    /// The id.
    pub id: Option<String>,
    /// A version to use regardless of the rules.
    pub version: Option<String>,
    /// What rules and rollouts read.
    #[schema(value_type = Option<Object>)]
    pub context: Option<Box<RawValue>>,
}

impl OfOne for ExplainArguments {
    fn id_mut(&mut self) -> &mut Option<String> {
        &mut self.id
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(super) struct Explained<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    reason: &'static str,
    /// The extension that serves: another one where `reason` is `fallback`.
    served_by: Option<&'a str>,
    version: Option<&'a str>,
    subject: Option<&'a str>,
    enabled: bool,
    auto_disabled: bool,
    current_version: &'a str,
    candidates: Vec<Candidate<'a>>,
    instances: Vec<ExplainedInstance<'a>>,
    /// What rests after push-back, of what serves; absent when nothing does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resting: Vec<RestingBody<'a>>,
    fallback: Vec<&'a str>,
    circuit_breaker_state: &'static str,
    revision: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Candidate<'a> {
    version: &'a str,
    subject: &'a str,
    enabled: bool,
    current: bool,
    priority: i32,
    rules: Vec<RuleVerdict<'a>>,
    rollouts: Vec<RolloutVerdict>,
    takes_part: bool,
    chosen: bool,
    circuit_breaker_state: &'static str,
    /// Over the circuit's window: below the minimum it gives way to the current version. Absent
    /// before it had enough calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate: Option<f64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RuleVerdict<'a> {
    key: &'a str,
    matched: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RolloutVerdict {
    bucket: Option<u64>,
    admitted: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ExplainedInstance<'a> {
    instance_id: &'a str,
    subject: &'a str,
    weight: u8,
    /// Until when it gets no calls, unless all are ejected; absent where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ejected_until: Option<String>,
}

/// The choice and every candidate's verdict, in the order in which they are tried.
pub fn explained(explanation: &Explanation) -> Bytes {
    to_bytes(&Explained::of(explanation))
}

impl<'a> Explained<'a> {
    pub(super) fn of(explanation: &'a Explanation) -> Self {
        let entry = &explanation.entry;
        let extension = entry.extension();
        let resolved = explanation.target.as_ref().map(Target::resolved);
        let own = resolved.filter(|resolved| resolved.extension.id == extension.id);
        let views = &explanation.circuits;
        let candidates = entry.candidates().zip(explanation.verdicts()).zip(views);
        let state = |view: &Option<View>| view.map_or(CircuitState::Closed, |view| view.state);
        let mut known = entry.candidates().zip(views);
        let current = known.find(|(candidate, _)| candidate.is_current());
        let current = current.map_or(CircuitState::Closed, |(_, view)| state(view));
        Self {
            id: extension.id.as_str(),
            kind: extension.kind.as_str(),
            reason: explanation.reason.as_str(),
            served_by: resolved.map(|resolved| resolved.extension.id.as_str()),
            version: resolved.map(|resolved| resolved.version.as_str()),
            subject: resolved.map(|resolved| resolved.subject.as_str()),
            enabled: extension.enabled,
            auto_disabled: extension.auto_disabled,
            current_version: extension.version.as_str(),
            candidates: candidates
                .map(|((candidate, verdict), view)| {
                    let resolved = candidate.resolve(extension);
                    let rules = verdict.rules.into_iter();
                    let rules = rules.map(|(key, matched)| RuleVerdict { key, matched });
                    let rollouts = verdict.rollouts.into_iter();
                    let rollouts =
                        rollouts.map(|(bucket, admitted)| RolloutVerdict { bucket, admitted });
                    Candidate {
                        version: resolved.version.as_str(),
                        subject: resolved.subject.as_str(),
                        enabled: candidate.enabled(),
                        current: candidate.is_current(),
                        priority: candidate.priority(extension),
                        rules: rules.collect(),
                        rollouts: rollouts.collect(),
                        takes_part: verdict.takes_part,
                        chosen: own.is_some_and(|own| own.version == resolved.version),
                        circuit_breaker_state: state(view).as_str(),
                        success_rate: view.and_then(|view| view.success_rate),
                    }
                })
                .collect(),
            instances: resolved
                .iter()
                .flat_map(|resolved| resolved.instances())
                .map(|instance| {
                    let mut ejected = explanation.ejected.iter();
                    let ejected = ejected.find(|(id, _)| *id == instance.instance_id);
                    ExplainedInstance {
                        instance_id: instance.instance_id.as_str(),
                        subject: instance.subject.as_str(),
                        weight: instance.weight,
                        ejected_until: ejected.and_then(|(_, until)| shown(*until)),
                    }
                })
                .collect(),
            resting: RestingBody::all(&explanation.resting),
            fallback: extension.fallback.iter().map(|id| id.as_str()).collect(),
            circuit_breaker_state: current.as_str(),
            revision: explanation.revision,
            warnings: warnings(extension),
        }
    }
}
