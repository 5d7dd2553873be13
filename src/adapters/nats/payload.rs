//! Payloads: from bytes to arguments, or to an error that names the field.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::context::{Context, Scalar};
use crate::service::error::{RegistryError, shortened};

/// Deeper JSON than anyone means; serde_json itself stops at 128.
const NOT_AN_OBJECT: &str = "the payload must be a JSON object";

/// Parses a JSON object; the error names the field at fault.
pub fn object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, RegistryError> {
    if payload.first() != Some(&b'{') {
        return Err(malformed(NOT_AN_OBJECT));
    }
    serde_json::from_slice(payload).or_else(|_| {
        // Only a request that fails pays for finding out where.
        let mut json = serde_json::Deserializer::from_slice(payload);
        let located: T = serde_path_to_error::deserialize(&mut json).map_err(located)?;
        json.end().map_err(|error| malformed(&error.to_string()))?;
        Ok(located)
    })
}

/// Parses a JSON object where an empty payload means an empty one.
pub fn optional_object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, RegistryError> {
    let payload = payload.trim_ascii();
    object(if payload.is_empty() { b"{}" } else { payload })
}

fn located(error: serde_path_to_error::Error<serde_json::Error>) -> RegistryError {
    let path = error.path().to_string();
    let inner = error.into_inner();
    if inner.is_syntax() || inner.is_eof() || path == "." {
        return malformed(&inner.to_string());
    }
    let text = inner.to_string();
    let rule = text.split(" at line ").next().unwrap_or_default();
    RegistryError::field(
        &shortened(&path),
        format_args!("is wrong: {}", shortened(rule)),
    )
}

fn malformed(message: &str) -> RegistryError {
    RegistryError::InvalidRequest {
        field: None,
        message: shortened(message),
    }
}

/// The arguments of a verb that is about one extension.
#[derive(Debug, Default, Deserialize)]
pub struct IdArguments<'a> {
    /// The id.
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    /// Many ids, where the verb takes them.
    #[serde(borrow)]
    pub ids: Option<Vec<Cow<'a, str>>>,
    /// A version to use whatever the rules say.
    #[serde(borrow)]
    pub version: Option<Cow<'a, str>>,
    /// What the request says about itself.
    context: Option<Map<String, Value>>,
    /// The revision the answer must have seen.
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
    pub wait_ms: Option<u64>,
}

impl<'a> IdArguments<'a> {
    /// Reads a payload and the id in the subject, if there is one: a JSON object, a bare id, or
    /// nothing where the subject says it all.
    pub fn read(payload: &'a [u8], subject_id: Option<&'a str>) -> Result<Self, RegistryError> {
        let payload = payload.trim_ascii();
        let mut arguments = match payload.first() {
            None => Self::default(),
            Some(b'{') => object(payload)?,
            Some(_) => Self {
                id: Some(bare_id(payload)?.into()),
                ..Self::default()
            },
        };
        arguments.id = agreed_id(arguments.id, subject_id)?;
        Ok(arguments)
    }

    /// The id, which must be there.
    pub fn id(&self) -> Result<&str, RegistryError> {
        self.id
            .as_deref()
            .ok_or_else(|| RegistryError::field("id", "is missing"))
    }

    /// The context, without what no rule can compare.
    pub fn take_context(&mut self) -> Context {
        let fields = self.context.take().unwrap_or_default();
        fields
            .into_iter()
            .filter_map(|(key, value)| Some((key, Scalar::from_json(&value)?)))
            .collect()
    }
}

/// The id of the payload or of the subject; one in both must agree.
pub fn agreed_id<'a>(
    id: Option<Cow<'a, str>>,
    subject_id: Option<&'a str>,
) -> Result<Option<Cow<'a, str>>, RegistryError> {
    match (id, subject_id) {
        (Some(id), Some(subject_id)) if id != subject_id => {
            let rule = "differs from the id in the subject";
            Err(RegistryError::field("id", rule))
        }
        (id, subject_id) => Ok(subject_id.map(Cow::from).or(id)),
    }
}

/// A payload that is nothing but an id.
pub fn bare_id(payload: &[u8]) -> Result<&str, RegistryError> {
    std::str::from_utf8(payload).map_err(|_| malformed("the payload is not UTF-8"))
}

/// The arguments of `list` and `lookup_by_type`.
#[derive(Debug, Deserialize)]
pub struct ListArguments {
    /// Only this type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Which of them.
    pub enabled: Option<EnabledFilter>,
    /// At most so many.
    pub limit: Option<u64>,
    /// The `next` of an earlier page.
    pub cursor: Option<String>,
    /// The revision the answer must have seen.
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
    pub wait_ms: Option<u64>,
}

impl ListArguments {
    /// All enabled extensions of the type that `payload` names.
    pub fn of_type(payload: &[u8]) -> Self {
        Self {
            kind: Some(String::from_utf8_lossy(payload).into_owned()),
            enabled: None,
            limit: None,
            cursor: None,
            min_revision: None,
            wait_ms: None,
        }
    }
}

/// `true`, `false` or `"all"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct EnabledFilter(pub Option<bool>);

impl TryFrom<Value> for EnabledFilter {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::Bool(enabled) => Ok(Self(Some(enabled))),
            Value::String(text) if text == "all" => Ok(Self(None)),
            _ => Err("must be true, false or \"all\""),
        }
    }
}

/// The arguments of a read without any of its own.
#[derive(Debug, Deserialize)]
pub struct ReadArguments {
    /// The revision the answer must have seen.
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
    pub wait_ms: Option<u64>,
}

/// The arguments of `reload`, which is no read: it refuses what it does not know.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadArguments {
    /// Only this id.
    pub id: Option<String>,
    /// Who asks, where the subject does not say.
    #[serde(rename = "actor")]
    _actor: Option<String>,
}

impl ReloadArguments {
    /// Reads a payload: an object, a bare id, or nothing for everything.
    pub fn read(payload: &[u8]) -> Result<Self, RegistryError> {
        let payload = payload.trim_ascii();
        match payload.first() {
            None => Ok(Self::default()),
            Some(b'{') => object(payload),
            Some(_) => Ok(Self {
                id: Some(bare_id(payload)?.to_owned()),
                _actor: None,
            }),
        }
    }
}

/// The arguments of `circuit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitArguments {
    /// The extension.
    pub id: Option<String>,
    /// The version; without one, the current.
    pub version: Option<String>,
    /// What to do.
    pub action: Option<CircuitAction>,
    /// For how long, in seconds; without it until the next order.
    pub ttl_seconds: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// Who asks, where neither the subject nor a header says so.
    pub actor: Option<String>,
}

/// What can be done to a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "named after what they do")]
pub enum CircuitAction {
    Open,
    Close,
    Reset,
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
