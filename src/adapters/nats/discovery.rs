//! Discovery by ADR-32: `nats micro ls`, `info` and `stats` find every sidecar.
//!
//! Written by hand: the official client's service module always joins a queue group.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::endpoints::{EndpointFigures, Endpoints};
use super::subjects::Layout;
use super::verb::Verb;
use crate::documents;
use crate::domain::moment::rfc3339;
use crate::service::stats::Stats as Sidecar;

/// The name under which sidecars are found.
pub const SERVICE_NAME: &str = "beamline-registry";
const DESCRIPTION: &str =
    "Extension registry: which service implements extension X for this tenant";

/// What discovery can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Who is there?
    Ping,
    /// What does it do?
    Info,
    /// What has it done?
    Stats,
}

impl Question {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Ping, "PING"),
        (Self::Info, "INFO"),
        (Self::Stats, "STATS"),
    ];

    /// The nine subjects that `instance_id` answers, each with its question.
    pub fn subjects(instance_id: &str) -> Vec<(String, Self)> {
        Self::ALL
            .into_iter()
            .flat_map(|(question, name)| {
                [
                    format!("$SRV.{name}"),
                    format!("$SRV.{name}.{SERVICE_NAME}"),
                    format!("$SRV.{name}.{SERVICE_NAME}.{instance_id}"),
                ]
                .map(|subject| (subject, question))
            })
            .collect()
    }
}

#[derive(Serialize)]
struct Response<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    id: &'a str,
    version: &'static str,
    metadata: BTreeMap<&'static str, &'a str>,
    #[serde(flatten)]
    more: T,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Info<'a> {
    description: &'static str,
    endpoints: Vec<EndpointInfo<'a>>,
}

#[derive(Serialize)]
struct EndpointInfo<'a> {
    name: &'static str,
    subject: String,
    queue_group: &'a str,
    metadata: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Stats<'a> {
    started: Option<String>,
    endpoints: Vec<EndpointStats<'a>>,
}

#[derive(Serialize)]
struct EndpointStats<'a> {
    name: &'static str,
    subject: String,
    queue_group: &'a str,
    #[serde(flatten)]
    figures: EndpointFigures,
}

/// Answers discovery.
#[derive(Debug)]
pub struct Discovery {
    /// This sidecar's subjects.
    pub layout: Layout,
    /// Figures per verb.
    pub endpoints: Arc<Endpoints>,
    /// Knows when this sidecar started.
    pub sidecar: Arc<Sidecar>,
}

impl Discovery {
    /// What `question` is answered with.
    pub fn body(&self, question: Question) -> bytes::Bytes {
        let none = BTreeMap::new();
        match question {
            Question::Ping => self.response("io.nats.micro.v1.ping_response", none, Nothing {}),
            Question::Info => {
                let (metadata, info) = (self.metadata(), self.info());
                self.response("io.nats.micro.v1.info_response", metadata, info)
            }
            Question::Stats => self.response("io.nats.micro.v1.stats_response", none, self.stats()),
        }
    }

    fn response(
        &self,
        kind: &'static str,
        metadata: BTreeMap<&'static str, &str>,
        more: impl Serialize,
    ) -> bytes::Bytes {
        documents::to_bytes(&Response {
            kind,
            name: SERVICE_NAME,
            id: &self.layout.instance_id,
            version: env!("CARGO_PKG_VERSION"),
            metadata,
            more,
        })
    }

    /// The settings that differ from the defaults, and the fingerprint of those that a fleet shares.
    fn metadata(&self) -> BTreeMap<&'static str, &str> {
        let settings = &self.sidecar.settings;
        let changed = settings.changed.iter();
        let mut metadata: BTreeMap<_, _> = changed
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        metadata.insert("settings_fingerprint", &settings.fingerprint);
        metadata
    }

    fn info(&self) -> Info<'_> {
        let endpoints = Verb::ALL.map(|verb| {
            let (subject, queue_group) = self.layout.public(verb);
            EndpointInfo {
                name: verb.name(),
                subject,
                queue_group,
                metadata: BTreeMap::new(),
            }
        });
        Info {
            description: DESCRIPTION,
            endpoints: endpoints.into(),
        }
    }

    fn stats(&self) -> Stats<'_> {
        let endpoints = self.endpoints.figures().map(|(verb, figures)| {
            let (subject, queue_group) = self.layout.public(verb);
            EndpointStats {
                name: verb.name(),
                subject,
                queue_group,
                figures,
            }
        });
        Stats {
            // Nanoseconds are more than some clients can read.
            started: rfc3339(self.sidecar.started_at()),
            endpoints: endpoints.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_subjects_are_answered() {
        let subjects = Question::subjects("pod-1");
        assert_eq!(subjects.len(), 9);
        assert!(subjects.contains(&("$SRV.PING".into(), Question::Ping)));
        assert!(subjects.contains(&("$SRV.STATS.beamline-registry.pod-1".into(), Question::Stats)));
    }
}
