//! The body of a request to an extension: contract, section 3.2, "What the extension receives".
//!
//! Payload, metadata and the values of `config` go through as the bytes they came in: no number is
//! rounded, no key reordered, no white space touched.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::context::{Context, Scalar};
use super::extension::ExtensionType;
use super::ids::ExtensionId;
use super::json::{JsonObject, KeyFault, members};

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
    /// The request's metadata, an object; absent means the empty one.
    pub metadata: Option<&'a RawValue>,
    /// The chosen version's config.
    pub config: &'a JsonObject,
    /// The request's own config, an object.
    pub request_config: Option<&'a RawValue>,
}

/// What the registry itself sends to a provider, beside the fields of the payload.
///
/// A payload with such a field is refused. To drop the field would lose data silently, to let it
/// through would allow a tenant to speak for another, and two fields of one name mean something else
/// to every reader.
const RESERVED: [&str; 5] = ["trace_id", "tenant_id", "provider_id", "metadata", "config"];

/// A request body, one JSON object, that can be made another extension's of the same type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The field of a provider's id; empty for other types.
    id: Range<usize>,
    /// Where the config begins; it is the last field.
    config: usize,
}

impl Body {
    /// What the extension `id` is sent instead, with its own `config`, overlaid with the request's
    /// for it.
    pub fn for_another(
        &self,
        id: &ExtensionId,
        config: &JsonObject,
        request_config: Option<&RawValue>,
    ) -> Self {
        let config = overlaid(config, request_config);
        let part = |range| self.bytes.get(range).unwrap_or_default();
        let mut bytes = part(0..self.id.start).to_vec();
        if !self.id.is_empty() {
            push_text(&mut bytes, id.as_str());
        }
        let id = self.id.start..bytes.len();
        bytes.extend_from_slice(part(self.id.end..self.config));
        let config_at = bytes.len();
        bytes.extend_from_slice(&config);
        bytes.push(b'}');
        Self {
            bytes,
            id,
            config: config_at,
        }
    }
}

impl Envelope<'_> {
    /// The request body, one JSON object.
    ///
    /// # Errors
    /// The field of the request that does not fit, with a dot before a field within it.
    pub fn body(&self) -> Result<Body, KeyFault> {
        let metadata = self.metadata.map_or("{}", RawValue::get);
        let config = overlaid(self.config, self.request_config);
        let payload = self.payload.get();

        let mut body = Vec::with_capacity(payload.len() + metadata.len() + config.len() + 256);
        body.extend_from_slice(br#"{"trace_id":"#);
        push_scalar(&mut body, self.context.get("trace_id"));
        body.extend_from_slice(br#","tenant_id":"#);
        push_scalar(&mut body, self.context.get("tenant_id"));
        let mut id = 0..0;
        if self.kind == ExtensionType::Provider {
            body.extend_from_slice(br#","provider_id":"#);
            id.start = body.len();
            push_text(&mut body, self.id.as_str());
            id.end = body.len();
            let fields = provider_fields(payload)?;
            if !fields.is_empty() {
                body.push(b',');
                body.extend_from_slice(fields.as_bytes());
            }
        } else {
            body.extend_from_slice(br#","payload":"#);
            body.extend_from_slice(payload.as_bytes());
        }
        body.extend_from_slice(br#","metadata":"#);
        body.extend_from_slice(metadata.as_bytes());
        body.extend_from_slice(br#","config":"#);
        let config_at = body.len();
        body.extend_from_slice(&config);
        body.push(b'}');
        Ok(Body {
            bytes: body,
            id,
            config: config_at,
        })
    }
}

/// The registry's config, overlaid with the request's by top-level key. Where either is empty the
/// other goes through as it is; otherwise values keep their text and keys are sorted.
fn overlaid<'a>(config: &'a JsonObject, request: Option<&'a RawValue>) -> Cow<'a, [u8]> {
    let own = config.as_str();
    let Some(request) = request.map(RawValue::get) else {
        return own.as_bytes().into();
    };
    if config.raw().is_none() {
        return request.as_bytes().into();
    }
    let mut merged = fields(own);
    merged.extend(fields(request));

    let mut text = Vec::with_capacity(own.len() + request.len());
    for (key, value) in &merged {
        text.push(if text.is_empty() { b'{' } else { b',' });
        push_text(&mut text, &key.0);
        text.push(b':');
        text.extend_from_slice(value.get().as_bytes());
    }
    if text.is_empty() {
        text.push(b'{');
    }
    text.push(b'}');
    text.into()
}

/// A key without its escapes, so that two spellings of one key are one.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

fn fields(object: &str) -> BTreeMap<Key<'_>, &RawValue> {
    // Checked where it was read: an object whose keys are texts.
    serde_json::from_str(object).unwrap_or_default()
}

/// The fields of a provider's payload, as written between its braces.
fn provider_fields(payload: &str) -> Result<&str, KeyFault> {
    let inner = payload.strip_prefix('{');
    let inner = inner.and_then(|rest| rest.strip_suffix('}'));
    let not_an_object = || KeyFault::new("payload", "must be a JSON object for a provider");
    let inner = inner.ok_or_else(not_an_object)?;
    // A key that is no text is none of ours.
    let members = members(payload).into_iter().flatten();
    let mut keys = members.filter_map(|member| member.key);
    match keys.find(|key| RESERVED.contains(&&**key)) {
        Some(name) => Err(KeyFault::new(
            format!("payload.{name}"),
            "is reserved: the registry itself sets it for a provider",
        )),
        None => Ok(inner.trim_ascii()),
    }
}

fn push_scalar(body: &mut Vec<u8>, value: Option<&Scalar>) {
    match value {
        None => body.extend_from_slice(b"null"),
        Some(Scalar::Text(text)) => push_text(body, text),
        Some(Scalar::Number(number)) => body.extend_from_slice(number.written().as_bytes()),
        Some(Scalar::Bool(true)) => body.extend_from_slice(b"true"),
        Some(Scalar::Bool(false)) => body.extend_from_slice(b"false"),
    }
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    // A text and memory: there is nothing in it that could fail.
    let _ = serde_json::to_writer(body, text);
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
