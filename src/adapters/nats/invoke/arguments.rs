//! From an `invoke` message to an [`Invocation`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::adapters::nats::actor::check_actor;
use crate::adapters::nats::payload;
use crate::adapters::nats::request::subject;
use crate::adapters::nats::subjects::Route;
use crate::adapters::nats::wire::headers::Headers;
use crate::adapters::nats::wire::operation::Message;
use crate::documents::request::{context, malformed, numbers};
use crate::domain::call_id::CallId;
use crate::domain::json::{ObjectError, check_keys};
use crate::domain::quote::quoted;
use crate::domain::whole::whole;
use crate::service::caller::CALL_ID;
use crate::service::error::RegistryError;
use crate::service::invoke::Invocation;

/// Milliseconds that the caller still has, from receipt.
const DEADLINE_MS: &str = "Beamline-Deadline-Ms";
/// What kinds of answers the caller takes.
const ACCEPT: &str = "Beamline-Accept";

/// The body of an `invoke`.
#[derive(serde::Deserialize, ToSchema)]
#[schema(as = InvokeRequest)]
pub struct Body<'a> {
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
    #[schema(value_type = Value)]
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

/// An `invoke` message, decoded as far as it can be without deciding anything.
pub(super) struct Arguments<'a> {
    body: Body<'a>,
    id: Cow<'a, str>,
    headers: Headers<'a>,
    received: Instant,
}

impl<'a> Arguments<'a> {
    /// Decodes `message`, which was received at `received`.
    pub(super) fn read(
        route: Route,
        message: &Message<'a>,
        received: Instant,
    ) -> Result<Self, RegistryError> {
        let headers = message.headers.read();
        let headers = headers.map_err(|why| malformed(&why.to_string()))?;
        let subject = subject(message)?;
        check_actor(route, subject)?;
        let mut body: Body<'a> = payload::optional_object(message.payload)?;
        let id = payload::agreed_id(body.id.take(), route.id(subject))?
            .ok_or_else(|| RegistryError::field("id", "is missing"))?;
        Ok(Self {
            body,
            id,
            headers,
            received,
        })
    }

    /// Whether nothing should be sent.
    pub(super) fn dry_run(&self) -> bool {
        self.body.dry_run.unwrap_or(false)
    }

    /// The request as the use case sees it.
    pub(super) fn invocation(&self) -> Result<Invocation<'_>, RegistryError> {
        let body = &self.body;
        let rule = match body.payload.map(RawValue::get) {
            None => "is missing",
            Some("null") => "must not be null",
            Some(_) => "",
        };
        let payload = body.payload.filter(|_| rule.is_empty());
        let payload = payload.ok_or_else(|| RegistryError::field("payload", rule))?;
        Ok(Invocation {
            id: &self.id,
            version: body.version.as_deref(),
            payload,
            metadata: object("metadata", body.metadata)?,
            config: settings("config", body.config)?,
            fallback_config: fallback_config(body.fallback_config)?,
            context: context(body.context)?,
            timeout: body.timeout_ms.map(Duration::from_millis),
            deadline: self.deadline()?,
            traceparent: self.headers.get("traceparent"),
            tracestate: self.headers.get("tracestate"),
            call_id: self.call_id()?,
            stream: self.headers.get(ACCEPT) == Some("stream"),
            received: self.received,
        })
    }

    fn call_id(&self) -> Result<Option<CallId>, RegistryError> {
        let given = self.headers.get(CALL_ID).map(CallId::parse);
        given
            .transpose()
            .map_err(|rule| RegistryError::field(CALL_ID, rule))
    }

    /// The nearer of the deadlines in body and header.
    fn deadline(&self) -> Result<Option<Instant>, RegistryError> {
        let header = self.headers.get(DEADLINE_MS);
        let header = header.map(|text| whole(text.trim(), &numbers::ANY));
        let header = header
            .transpose()
            .map_err(|rule| RegistryError::field(DEADLINE_MS, rule))?;
        let nearest = [self.body.deadline_ms, header].into_iter().flatten().min();
        // A deadline beyond the end of time is none.
        Ok(nearest.and_then(|ms| self.received.checked_add(Duration::from_millis(ms))))
    }
}

/// What the call in `message` is known by, as far as it can be read: its own id, or for a stream one
/// that is made.
pub(super) fn call_id(message: &Message<'_>) -> Option<CallId> {
    let headers = message.headers.read().ok()?;
    match headers.get(CALL_ID) {
        Some(id) => CallId::parse(id).ok(),
        None => (headers.get(ACCEPT) == Some("stream")).then(|| CallId::of(rand::random())),
    }
}

/// Settings for fallbacks, by id. Each is an object, whether it will be needed or not.
fn fallback_config(
    given: Option<&RawValue>,
) -> Result<HashMap<Cow<'_, str>, &RawValue>, RegistryError> {
    let Some(given) = settings("fallback_config", given)? else {
        return Ok(HashMap::new());
    };
    // Its keys are texts, and none is given twice.
    let by_id: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(given.get()).unwrap_or_default();
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
        let checked = check_keys(value.get()).map_err(ObjectError::from);
        checked.map_err(|rule| RegistryError::field(field, rule))?;
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
