//! Discovery by ADR-32: `nats micro ls`, `info` and `stats` find every sidecar.
//!
//! Written by hand: the official client's service module always joins a queue group.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::endpoints::{EndpointFigures, Endpoints};
use super::subjects::Layout;
use crate::documents;
use crate::domain::moment::rfc3339;
use crate::domain::words::words;
use crate::service::stats::Stats;

/// The name under which sidecars are found.
pub const SERVICE_NAME: &str = "beamline-registry";
const DESCRIPTION: &str =
    "Extension registry: which service implements extension X for this tenant";

words! {
    /// What discovery can be asked for.
    pub enum Question {
        /// Who is there?
        Ping = "PING",
        /// What does it do?
        Info = "INFO",
        /// What has it done?
        Stats = "STATS",
    }
}

impl Question {
    /// The nine subjects that `instance_id` answers, each with its question.
    pub fn subjects(instance_id: &str) -> Vec<(String, Self)> {
        let subjects = Self::ALL.into_iter().flat_map(|question| {
            let name = question.as_str();
            [
                format!("$SRV.{name}"),
                format!("$SRV.{name}.{SERVICE_NAME}"),
                format!("$SRV.{name}.{SERVICE_NAME}.{instance_id}"),
            ]
            .map(|subject| (subject, question))
        });
        subjects.collect()
    }
}

type Metadata<'a> = BTreeMap<&'static str, &'a str>;

/// The answer to any question, without what it does not ask for.
#[derive(Serialize)]
struct Response<'a> {
    #[serde(rename = "type")]
    kind: String,
    name: &'static str,
    id: &'a str,
    version: &'static str,
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    name: &'static str,
    subject: String,
    queue_group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(flatten)]
    figures: Option<EndpointFigures>,
}

/// Answers discovery.
#[derive(Debug)]
pub struct Discovery {
    /// This sidecar's subjects.
    pub layout: Layout,
    /// Figures per verb.
    pub endpoints: Arc<Endpoints>,
    /// Knows when this sidecar started.
    pub sidecar: Arc<Stats>,
}

impl Discovery {
    /// What `question` is answered with.
    pub fn body(&self, question: Question) -> bytes::Bytes {
        let name = question.as_str().to_ascii_lowercase();
        let mut response = Response {
            kind: format!("io.nats.micro.v1.{name}_response"),
            name: SERVICE_NAME,
            id: &self.layout.instance_id,
            version: env!("CARGO_PKG_VERSION"),
            metadata: Metadata::new(),
            description: None,
            started: None,
            endpoints: Vec::new(),
        };
        match question {
            Question::Ping => {}
            Question::Info => {
                response.metadata = self.metadata();
                response.description = Some(DESCRIPTION);
                response.endpoints = self.endpoints(|_| (Some(Metadata::new()), None));
            }
            Question::Stats => {
                // Nanoseconds are more than some clients can read.
                response.started = rfc3339(self.sidecar.started_at());
                response.endpoints = self.endpoints(|figures| (None, Some(figures)));
            }
        }
        documents::to_bytes(&response)
    }

    /// The settings that differ from the defaults, and the fingerprint of those that a fleet shares.
    fn metadata(&self) -> Metadata<'_> {
        let settings = &self.sidecar.settings;
        let changed = settings.changed.iter();
        let mut metadata: Metadata<'_> = changed
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        metadata.insert("settings_fingerprint", &settings.fingerprint);
        metadata
    }

    fn endpoints<'a>(
        &'a self,
        more: impl Fn(EndpointFigures) -> (Option<Metadata<'a>>, Option<EndpointFigures>),
    ) -> Vec<Endpoint<'a>> {
        let endpoints = self.endpoints.figures().map(|(verb, figures)| {
            let (subject, queue_group) = self.layout.public(verb);
            let (metadata, figures) = more(figures);
            Endpoint {
                name: verb.as_str(),
                subject,
                queue_group,
                metadata,
                figures,
            }
        });
        endpoints.collect()
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
