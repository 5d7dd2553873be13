//! Every event published, kept in the order of arrival.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use crate::docs::asyncapi::KINDS;
use crate::harness::{DEADLINE, NatsServer, eventually, settled};

/// An event with the subject it came on, without `beamline.registry.events.`.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) subject: String,
    pub(crate) event: Value,
}

/// All events since [`EventsSeen::start`].
pub(crate) struct EventsSeen {
    seen: Arc<Mutex<Vec<Seen>>>,
    _taking: AbortOnDropHandle<()>,
}

/// Whether AsyncAPI has this kind of event, with an id in its subject or without.
fn is_described(subject: &str) -> bool {
    let (kind, has_id) = match subject.split_once('.') {
        Some((kind, _)) => (kind, true),
        None => (subject, false),
    };
    KINDS
        .iter()
        .any(|it| (it.name, it.has_id) == (kind, has_id))
}

/// Where the last event of each kind is left, for `just api-test`, which holds them against AsyncAPI.
pub(crate) const SAMPLES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/events");

/// Tests that run at the same time see each other's files whole.
pub(crate) fn leave(kind: &str, event: &Value) {
    std::fs::create_dir_all(SAMPLES).unwrap();
    let draft = tempfile::NamedTempFile::new_in(SAMPLES).unwrap();
    std::fs::write(draft.path(), event.to_string()).unwrap();
    draft.persist(format!("{SAMPLES}/{kind}.json")).unwrap();
}

impl EventsSeen {
    /// Subscribed for certain when this returns.
    pub(crate) async fn start(nats: &NatsServer) -> Self {
        let client = async_nats::connect(nats.url()).await.unwrap();
        let prefix = "beamline.registry.events.";
        let mut events = client.subscribe(format!("{prefix}>")).await.unwrap();
        settled(&client).await;
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let sink = Arc::clone(&seen);
        let taking = tokio::spawn(async move {
            while let Some(message) = events.next().await {
                let subject = message.subject.strip_prefix(prefix).unwrap().to_owned();
                let event: Value = serde_json::from_slice(&message.payload).unwrap();
                let headers = message.headers.unwrap_or_default();
                let id = headers.get("Nats-Msg-Id").map(|id| id.as_str());
                assert_eq!(id, event["id"].as_str(), "{subject}");
                assert!(is_described(&subject), "{subject}");
                leave(subject.split('.').next().unwrap(), &event);
                sink.lock().unwrap().push(Seen { subject, event });
            }
        });
        Self {
            seen,
            _taking: AbortOnDropHandle::new(taking),
        }
    }

    /// Those so far whose subject ends with `.<id>`, as kind and event.
    pub(crate) fn about(&self, id: &str) -> Vec<(String, Value)> {
        let seen = self.seen.lock().unwrap();
        let about = seen.iter().filter_map(|seen| {
            let (kind, of) = seen.subject.split_once('.')?;
            (of == id).then(|| (kind.to_owned(), seen.event.clone()))
        });
        about.collect()
    }

    /// Those so far of this kind, about whomever.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        let of_kind = seen
            .iter()
            .filter(|seen| seen.subject.split('.').next() == Some(kind));
        of_kind.map(|seen| seen.event.clone()).collect()
    }

    /// Waits until so many events about `id` are of `kinds`, and returns these, in order.
    pub(crate) async fn wait(
        &self,
        id: &str,
        kinds: &[&str],
        count: usize,
    ) -> Vec<(String, Value)> {
        let what = format!("{count} of {kinds:?} about {id}");
        eventually(&what, DEADLINE, async || {
            let mut about = self.about(id);
            about.retain(|(kind, _)| kinds.contains(&kind.as_str()));
            if about.len() >= count {
                Ok(about)
            } else {
                Err(about)
            }
        })
        .await
    }
}

/// What CloudEvents 1.0 and the contract ask of an event about an extension.
pub(crate) fn assert_about(event: &Value, kind: &str, id: &str) {
    let names: Vec<&String> = event.as_object().unwrap().keys().collect();
    let expected = [
        "data",
        "datacontenttype",
        "id",
        "source",
        "specversion",
        "subject",
        "time",
        "type",
    ];
    assert_eq!(names, expected, "{event}");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], format!("beamline.registry.{kind}"));
    assert_eq!(
        (&event["subject"], &event["data"]["id"]),
        (&id.into(), &id.into())
    );
    let source = event["source"].as_str().unwrap();
    assert!(source.starts_with("/beamline-registry/pod-"), "{source}");
}
