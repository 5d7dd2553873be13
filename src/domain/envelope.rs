//! The body of a request to an extension: contract, section 3.2, "What the extension receives".
//!
//! Payload, metadata and the values of `config` go through as the bytes they came in: no number is
//! rounded, no key reordered, no white space touched.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use super::context::{Context, Scalar};
use super::extension::ExtensionType;
use super::ids::ExtensionId;
use super::json::JsonObject;

/// What goes to an extension.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The extension's type.
    pub kind: ExtensionType,
    /// Its id.
    pub id: &'a ExtensionId,
    /// The request's context; `trace_id` and `tenant_id` come from it.
    pub context: &'a Context,
    /// The message.
    pub payload: &'a RawValue,
    /// The request's metadata, an object; absent or null means the empty one.
    pub metadata: Option<&'a RawValue>,
    /// The chosen version's config.
    pub config: &'a JsonObject,
    /// The request's own config, an object; absent or null changes nothing.
    pub request_config: Option<&'a RawValue>,
}

/// A field of the request that does not fit into an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{field}` {rule}")]
pub struct EnvelopeError {
    /// The field, with a dot before a field within it.
    pub field: Cow<'static, str>,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// What the registry itself says to a provider, beside the fields of the payload.
///
/// A payload with such a field is refused. To drop the field would lose data silently, to let it
/// through would allow a tenant to speak for another, and two fields of one name mean something else
/// to every reader.
const RESERVED: [&str; 5] = ["trace_id", "tenant_id", "provider_id", "metadata", "config"];

const NOT_AN_OBJECT: &str = "must be a JSON object";

impl Envelope<'_> {
    /// The request body, one JSON object.
    pub fn body(&self) -> Result<Vec<u8>, EnvelopeError> {
        let metadata = object(self.metadata, "metadata")?.unwrap_or("{}");
        let config = self.config()?;
        let payload = self.payload.get();

        let mut body = String::with_capacity(payload.len() + metadata.len() + config.len() + 256);
        body.push_str(r#"{"trace_id":"#);
        push_scalar(&mut body, self.context.get("trace_id"));
        body.push_str(r#","tenant_id":"#);
        push_scalar(&mut body, self.context.get("tenant_id"));
        if self.kind == ExtensionType::Provider {
            body.push_str(r#","provider_id":"#);
            push_text(&mut body, self.id.as_str());
            let fields = provider_fields(payload)?;
            if !fields.is_empty() {
                body.push(',');
                body.push_str(fields);
            }
        } else {
            body.push_str(r#","payload":"#);
            body.push_str(payload);
        }
        body.push_str(r#","metadata":"#);
        body.push_str(metadata);
        body.push_str(r#","config":"#);
        body.push_str(&config);
        body.push('}');
        Ok(body.into_bytes())
    }

    /// The registry's config, overlaid with the request's by top-level key. Where either is empty
    /// the other goes through as it is; otherwise values keep their text and keys are sorted.
    fn config(&self) -> Result<Cow<'_, str>, EnvelopeError> {
        let own = self.config.as_str();
        let Some(request) = object(self.request_config, "config")? else {
            return Ok(own.into());
        };
        if self.config.raw().is_none() {
            return Ok(request.into());
        }
        let mut merged = fields(own, "config")?;
        merged.extend(fields(request, "config")?);

        let mut text = String::with_capacity(own.len() + request.len());
        for (key, value) in &merged {
            text.push(if text.is_empty() { '{' } else { ',' });
            push_text(&mut text, &key.0);
            text.push(':');
            text.push_str(value.get());
        }
        if text.is_empty() {
            text.push('{');
        }
        text.push('}');
        Ok(text.into())
    }
}

/// A key without its escapes, so that two spellings of one key are one.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

fn fields<'a>(
    object: &'a str,
    field: &'static str,
) -> Result<BTreeMap<Key<'a>, &'a RawValue>, EnvelopeError> {
    serde_json::from_str(object).map_err(|_| EnvelopeError {
        field: field.into(),
        rule: NOT_AN_OBJECT,
    })
}

/// The text of an optional object; `None` when it is absent or null.
fn object<'a>(
    value: Option<&'a RawValue>,
    field: &'static str,
) -> Result<Option<&'a str>, EnvelopeError> {
    match value.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(text) if text.starts_with('{') => Ok(Some(text)),
        Some(_) => Err(EnvelopeError {
            field: field.into(),
            rule: NOT_AN_OBJECT,
        }),
    }
}

/// The fields of a provider's payload, as they stand between its braces.
fn provider_fields(payload: &str) -> Result<&str, EnvelopeError> {
    let inner = payload
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or(EnvelopeError {
            field: "payload".into(),
            rule: "must be a JSON object for a provider",
        })?;
    let keys: BTreeMap<Key<'_>, IgnoredAny> =
        serde_json::from_str(payload).map_err(|_| EnvelopeError {
            field: "payload".into(),
            rule: NOT_AN_OBJECT,
        })?;
    match RESERVED
        .iter()
        .find(|name| keys.contains_key(&Key(Cow::Borrowed(name))))
    {
        Some(name) => Err(EnvelopeError {
            field: format!("payload.{name}").into(),
            rule: "is reserved: the registry itself tells it to a provider",
        }),
        None => Ok(inner.trim_ascii()),
    }
}

fn push_scalar(body: &mut String, value: Option<&Scalar>) {
    match value {
        None => body.push_str("null"),
        Some(Scalar::Text(text)) => push_text(body, text),
        Some(Scalar::Number(number)) => body.push_str(number.written()),
        Some(Scalar::Bool(value)) => body.push_str(if *value { "true" } else { "false" }),
    }
}

fn push_text(body: &mut String, text: &str) {
    body.push_str(&Value::from(text).to_string());
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
