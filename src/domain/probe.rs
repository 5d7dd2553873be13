//! Asking an extension that is out of service whether it is alive: contract, section 3.5.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::context::Context;
use super::envelope::Envelope;
use super::extension::ExtensionType;
use super::outcome::{Ended, Neutral, Outcome};
use super::routing::Resolved;

/// The field of `metadata` that a probe is made of.
#[derive(Debug, Default, Deserialize)]
struct Known<'a> {
    #[serde(borrow)]
    probe: Option<&'a RawValue>,
}

/// What a probe of this version sends: its `metadata.probe` as it is, else a request without
/// content. `None` for a provider without one, as to ask it may cost money or have consequences.
pub fn body(resolved: &Resolved<'_>) -> Option<Vec<u8>> {
    let known: Known<'_> = serde_json::from_str(resolved.metadata.as_str()).unwrap_or_default();
    if let Some(probe) = known.probe {
        return Some(probe.get().as_bytes().to_vec());
    }
    let extension = resolved.extension;
    if extension.kind == ExtensionType::Provider {
        return None;
    }
    let envelope = Envelope {
        kind: extension.kind,
        id: &extension.id,
        context: &Context::default(),
        payload: serde_json::from_str("{}").ok()?,
        metadata: None,
        config: resolved.config,
        request_config: None,
    };
    envelope.body().ok().map(|body| body.bytes)
}

/// Whether this answer to a probe shows a working extension. An empty request may well be refused:
/// a 4xx is as good as a success.
pub fn is_alive(error_code: Option<&str>, body: &[u8]) -> bool {
    let ended = Ended::Reply {
        error_code,
        hint: None,
        body,
    };
    matches!(
        ended.classify().0,
        Outcome::Success | Outcome::Neutral(Neutral::CallerFault | Neutral::PushedBack { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json::JsonObject;
    use crate::domain::testing::{entry, extension};

    fn sent(kind: ExtensionType, metadata: &str) -> Option<String> {
        let mut extension = extension("a");
        extension.kind = kind;
        extension.metadata = JsonObject::parse(metadata).unwrap();
        extension.config = JsonObject::parse(r#"{"strict":true}"#).unwrap();
        let entry = entry(extension);
        let current = entry.current().unwrap().candidate;
        let body = body(&current.resolve(entry.extension()))?;
        Some(String::from_utf8(body).unwrap())
    }

    #[test]
    fn a_probe_is_what_the_metadata_say_or_an_empty_request_but_never_that_to_a_provider() {
        let empty = r#"{"trace_id":null,"tenant_id":null,"payload":{},"metadata":{},"config":{"strict":true}}"#;
        let own = r#"{"ping":1.0}"#;
        for (kind, metadata, expected) in [
            (ExtensionType::Pre, "{}", Some(empty)),
            (ExtensionType::Pre, r#"{"probe":null}"#, Some(empty)),
            (ExtensionType::Post, r#"{"probe":{"ping": 1.0}}"#, Some(own)),
            (
                ExtensionType::Provider,
                r#"{"a":1,"probe":{"ping": 1.0}}"#,
                Some(own),
            ),
            (ExtensionType::Provider, r#"{"probe":null}"#, None),
            (ExtensionType::Provider, "{}", None),
        ] {
            let body = sent(kind, metadata);
            assert_eq!(body.as_deref(), expected, "{kind} {metadata}");
        }
    }

    #[test]
    fn a_refusal_is_a_sign_of_life_and_an_error_is_none() {
        for (code, body, alive) in [
            (None, r#"{"payload":{}}"#, true),
            (None, r#"{"status":"reject"}"#, true),
            (Some("422"), "", true),
            (Some("500"), "{}", false),
            (None, r#"{"error":"broken"}"#, false),
            (None, "", false),
            (None, "not json", false),
        ] {
            assert_eq!(is_alive(code, body.as_bytes()), alive, "{code:?} {body}");
        }
    }
}
