//! The verb `invoke`: from a body and headers to the call that is asked for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::request::{agreed_id, context, numbers, optional_object, required};
use crate::domain::call_id::CallId;
use crate::domain::json::{check_keys, members};
use crate::domain::quote::quoted;
use crate::domain::whole::whole;
use crate::service::caller::{ACCEPT, CALL_ID, DEADLINE_MS};
use crate::service::error::RegistryError;
use crate::service::invoke::{Invocation, known_as};

/// The header beside `traceparent`; of several, all are one list.
pub const TRACESTATE: &str = "tracestate";

/// The body of an `invoke`.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[schema(as = InvokeRequest)]
pub struct InvokeArguments<'a> {
    /// The extension, where the subject does not have it.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    id: Option<Cow<'a, str>>,
    /// That version, whatever rules and health say, as long as it is enabled.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    version: Option<Cow<'a, str>>,
    /// What the extension works on: anything but null, of a provider an object.
    // As it came, null included: that is no message, but a mistake.
    #[serde(borrow, default, deserialize_with = "with_null")]
    #[schema(value_type = Value, required)]
    payload: Option<&'a RawValue>,
    /// Goes to the extension as it is.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
    /// Laid over the extension's own, by top-level key.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    config: Option<&'a RawValue>,
    /// By id: the config for a fallback.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    fallback_config: Option<&'a RawValue>,
    /// What rules and rollouts read.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    context: Option<&'a RawValue>,
    /// A timeout below the extension's own, in milliseconds.
    #[serde(default, deserialize_with = "numbers::any")]
    timeout_ms: Option<u64>,
    /// Milliseconds from receipt; the header's counts if it is nearer.
    #[serde(default, deserialize_with = "numbers::any")]
    deadline_ms: Option<u64>,
    /// Whether nothing is sent, and the reply says what would be.
    dry_run: Option<bool>,
}

fn with_null<'de, D: Deserializer<'de>>(json: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(json).map(Some)
}

/// The headers of an `invoke`.
#[derive(Debug, Clone, Copy)]
pub struct InvokeHeaders<'a> {
    deadline_ms: Option<&'a str>,
    call_id: Option<&'a str>,
    stream: bool,
    traceparent: Option<&'a str>,
    tracestate: Option<&'a str>,
}

impl<'a> InvokeHeaders<'a> {
    /// Takes them from `get`, which has the value of a header by its name.
    pub fn read(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            deadline_ms: get(DEADLINE_MS),
            call_id: get(CALL_ID),
            stream: get(ACCEPT) == Some("stream"),
            traceparent: get("traceparent"),
            tracestate: get(TRACESTATE),
        }
    }

    /// What a call that is refused is known by, as far as its headers can be read.
    pub fn known_as(&self) -> Option<CallId> {
        known_as(self.call_id().ok()?, self.stream)
    }

    fn call_id(&self) -> Result<Option<CallId>, RegistryError> {
        let given = self.call_id.map(CallId::parse).transpose();
        given.map_err(|rule| RegistryError::field(CALL_ID, rule))
    }
}

impl<'a> InvokeArguments<'a> {
    /// Reads a JSON object; its id may be in the subject.
    ///
    /// # Errors
    /// The field at fault; also an id that is not the one in the subject.
    pub fn read(payload: &'a [u8], subject_id: Option<&'a str>) -> Result<Self, RegistryError> {
        let mut arguments: Self = optional_object(payload)?;
        arguments.id = agreed_id(arguments.id, subject_id)?;
        Ok(arguments)
    }

    /// Whether nothing should be sent.
    pub fn dry_run(&self) -> bool {
        self.dry_run.unwrap_or(false)
    }

    /// The call that is asked for by a request with these `headers`, received at `received`.
    ///
    /// # Errors
    /// The field or header at fault.
    pub fn invocation<'i>(
        &'i self,
        headers: &InvokeHeaders<'i>,
        received: Instant,
    ) -> Result<Invocation<'i>, RegistryError> {
        let id = required("id", self.id.as_deref())?;
        let payload = required("payload", self.payload)?;
        if payload.get() == "null" {
            return Err(RegistryError::field("payload", "must not be null"));
        }
        Ok(Invocation {
            id,
            version: self.version.as_deref(),
            payload,
            metadata: object("metadata", self.metadata)?,
            config: settings("config", self.config)?,
            fallback_config: fallback_config(self.fallback_config)?,
            context: context(self.context)?,
            timeout: self.timeout_ms.map(Duration::from_millis),
            deadline: self.deadline(headers, received)?,
            traceparent: headers.traceparent,
            tracestate: headers.tracestate,
            call_id: headers.call_id()?,
            stream: headers.stream,
            received,
        })
    }

    /// The nearer of the deadlines in body and header.
    fn deadline(
        &self,
        headers: &InvokeHeaders<'_>,
        received: Instant,
    ) -> Result<Option<Instant>, RegistryError> {
        let header = headers.deadline_ms.map(str::trim);
        let header = header.map(|text| whole(text, &numbers::ANY)).transpose();
        let header = header.map_err(|rule| RegistryError::field(DEADLINE_MS, rule))?;
        let nearest = [self.deadline_ms, header].into_iter().flatten().min();
        // A deadline beyond the end of time is none.
        Ok(nearest.and_then(|ms| received.checked_add(Duration::from_millis(ms))))
    }
}

/// The most fallbacks with settings. Each takes fifty bytes and more, however short its text is.
const MAX_FALLBACKS: usize = 1024;

/// Settings for fallbacks, by id. Each is an object, whether it will be needed or not.
fn fallback_config(
    given: Option<&RawValue>,
) -> Result<HashMap<Cow<'_, str>, &RawValue>, RegistryError> {
    let keys = object("fallback_config", given)?.and_then(|given| members(given.get()));
    if keys.is_some_and(|mut keys| keys.nth(MAX_FALLBACKS).is_some()) {
        let rule = format!("must have at most {MAX_FALLBACKS} keys");
        return Err(RegistryError::field("fallback_config", rule));
    }
    let Some(given) = settings("fallback_config", given)? else {
        return Ok(HashMap::new());
    };
    // Its keys are texts, and none is given twice.
    let mut by_id: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(given.get()).unwrap_or_default();
    by_id.retain(|_, config| config.get() != "null");
    for (id, config) in &by_id {
        object(&format!("fallback_config.{}", quoted(id)), Some(config))?;
    }
    Ok(by_id)
}

/// An object whose keys mean something to us: none may be given twice.
fn settings<'a>(
    field: &str,
    value: Option<&'a RawValue>,
) -> Result<Option<&'a RawValue>, RegistryError> {
    let value = object(field, value)?;
    if let Some(value) = value {
        check_keys(value.get()).map_err(|rule| RegistryError::field(field, rule))?;
    }
    Ok(value)
}

/// `null` means nothing given; anything else must be an object.
fn object<'a>(
    field: &str,
    value: Option<&'a RawValue>,
) -> Result<Option<&'a RawValue>, RegistryError> {
    match value.filter(|value| value.get() != "null") {
        Some(value) if !value.get().starts_with('{') => {
            Err(RegistryError::field(field, "must be a JSON object"))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_deadline_counts() {
        let received = Instant::now();
        for (field, header, left) in [
            ("", None, None),
            (r#","deadline_ms":5"#, None, Some(5)),
            ("", Some(" 7.0 "), Some(7)),
            (r#","deadline_ms":5"#, Some("7"), Some(5)),
            (r#","deadline_ms":9"#, Some("7"), Some(7)),
        ] {
            let body = format!(r#"{{"id":"a","payload":{{}}{field}}}"#);
            let arguments = InvokeArguments::read(body.as_bytes(), None).unwrap();
            let headers = InvokeHeaders::read(|name| header.filter(|_| name == DEADLINE_MS));
            let invocation = arguments.invocation(&headers, received).unwrap();
            let deadline = left.map(|ms| received + Duration::from_millis(ms));
            assert_eq!(invocation.deadline, deadline, "{body} {header:?}");
        }
    }

    #[test]
    fn settings_for_fallbacks_are_counted_before_they_are_kept() {
        for (count, fits) in [(MAX_FALLBACKS, true), (MAX_FALLBACKS + 1, false)] {
            let many: Vec<_> = (0..count).map(|n| format!(r#""x{n}":{{}}"#)).collect();
            let json = format!("{{{}}}", many.join(","));
            let given: &RawValue = serde_json::from_str(&json).unwrap();
            let read = fallback_config(Some(given)).map(|by_id| by_id.len());
            let rule = "must have at most 1024 keys";
            let fault = RegistryError::field("fallback_config", rule);
            assert_eq!(read, if fits { Ok(count) } else { Err(fault) });
        }
    }

    #[test]
    fn what_goes_to_the_extension_as_settings_is_an_object_or_nothing() {
        let invoke = |field: &str, json: &str| {
            let body = format!(r#"{{"id":"a","payload":1,"{field}":{json}}}"#);
            let arguments = InvokeArguments::read(body.as_bytes(), None).unwrap();
            let invocation = arguments.invocation(&InvokeHeaders::read(|_| None), Instant::now());
            invocation.map(|it| {
                let given = usize::from(it.metadata.is_some()) + usize::from(it.config.is_some());
                given + it.fallback_config.len()
            })
        };
        for field in ["metadata", "config", "fallback_config"] {
            assert_eq!(invoke(field, "null"), Ok(0));
            for bad in ["1", "[]", r#""x""#] {
                let rule = RegistryError::field(field, "must be a JSON object");
                assert_eq!(invoke(field, bad), Err(rule));
            }
        }
        assert_eq!(invoke("fallback_config", r#"{"b":null}"#), Ok(0));
        let rule = RegistryError::field("fallback_config.b", "must be a JSON object");
        assert_eq!(invoke("fallback_config", r#"{"b":1}"#), Err(rule));
    }

    fn known(id: Option<&'static str>, accept: Option<&'static str>) -> Option<String> {
        let headers = InvokeHeaders::read(|name| match name {
            CALL_ID => id,
            ACCEPT => accept,
            _ => None,
        });
        headers.known_as().map(|id| id.to_string())
    }

    #[test]
    fn a_refused_call_is_known_by_its_own_id_and_a_stream_always() {
        let own = Some("c0ffee".to_owned());
        assert_eq!(known(Some("c0ffee"), None), own);
        assert_eq!(known(Some("c0ffee"), Some("stream")), own);
        assert_eq!(known(None, None), None);
        assert_eq!(known(Some("no token"), Some("stream")), None);
        assert!(known(None, Some("stream")).is_some());
    }
}
