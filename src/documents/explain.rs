//! Why a request is served by the version it is served by.

use bytes::Bytes;
use serde::Serialize;

use super::to_bytes;
use crate::service::read::Explanation;

#[derive(Serialize)]
struct Explained<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    reason: &'static str,
    version: Option<&'a str>,
    subject: Option<&'a str>,
    enabled: bool,
    auto_disabled: bool,
    current_version: &'a str,
    candidates: Vec<CandidateBody<'a>>,
    instances: Vec<InstanceBody<'a>>,
    fallback: Vec<&'a str>,
    circuit_breaker_state: &'static str,
    revision: u64,
}

#[derive(Serialize)]
struct CandidateBody<'a> {
    version: &'a str,
    subject: &'a str,
    enabled: bool,
    current: bool,
    priority: i32,
    rules: Vec<RuleBody<'a>>,
    rollouts: Vec<RolloutBody>,
    takes_part: bool,
    chosen: bool,
    circuit_breaker_state: &'static str,
}

#[derive(Serialize)]
struct RuleBody<'a> {
    key: &'a str,
    matched: bool,
}

#[derive(Serialize)]
struct RolloutBody {
    bucket: Option<u64>,
    admitted: bool,
}

#[derive(Serialize)]
struct InstanceBody<'a> {
    instance_id: &'a str,
    subject: &'a str,
    weight: u8,
}

/// The choice and every candidate's verdict, in the order in which they are tried.
pub fn explained(explanation: &Explanation) -> Bytes {
    let entry = &explanation.entry;
    let extension = entry.extension();
    let chosen = explanation.chosen.and_then(|i| entry.candidates().nth(i));
    let resolved = chosen.map(|candidate| candidate.resolve(extension));
    let candidates = entry.candidates().zip(explanation.verdicts()).enumerate();
    to_bytes(&Explained {
        id: extension.id.as_str(),
        kind: extension.kind.as_str(),
        reason: explanation.reason.as_str(),
        version: resolved.map(|resolved| resolved.version.as_str()),
        subject: resolved.map(|resolved| resolved.subject.as_str()),
        enabled: extension.enabled,
        auto_disabled: extension.auto_disabled,
        current_version: extension.version.as_str(),
        candidates: candidates
            .map(|(i, (candidate, verdict))| {
                let resolved = candidate.resolve(extension);
                let rules = verdict.rules.into_iter();
                let rollouts = verdict.rollouts.into_iter();
                CandidateBody {
                    version: resolved.version.as_str(),
                    subject: resolved.subject.as_str(),
                    enabled: candidate.enabled(),
                    current: candidate.is_current(),
                    priority: candidate.priority(extension),
                    rules: rules
                        .map(|(key, matched)| RuleBody { key, matched })
                        .collect(),
                    rollouts: rollouts
                        .map(|(bucket, admitted)| RolloutBody { bucket, admitted })
                        .collect(),
                    takes_part: verdict.takes_part,
                    chosen: explanation.chosen == Some(i),
                    circuit_breaker_state: "closed",
                }
            })
            .collect(),
        instances: resolved
            .iter()
            .flat_map(|resolved| resolved.instances())
            .map(|instance| InstanceBody {
                instance_id: instance.instance_id.as_str(),
                subject: instance.subject.as_str(),
                weight: instance.weight,
            })
            .collect(),
        fallback: extension.fallback.iter().map(|id| id.as_str()).collect(),
        circuit_breaker_state: "closed",
        revision: explanation.revision,
    })
}
