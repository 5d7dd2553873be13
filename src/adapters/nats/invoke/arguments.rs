//! From an `invoke` message to an [`Invocation`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use async_nats::{HeaderMap, Message};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::adapters::nats::payload;
use crate::adapters::nats::subjects::Route;
use crate::domain::context::{Context, Scalar};
use crate::service::error::RegistryError;
use crate::service::invoke::Invocation;

/// Milliseconds that the caller still has, from receipt.
const DEADLINE_MS: &str = "Beamline-Deadline-Ms";
/// What kinds of answers the caller takes.
const ACCEPT: &str = "Beamline-Accept";

/// The body of an `invoke`.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    config: Option<&'a RawValue>,
    #[serde(borrow)]
    fallback_config: Option<HashMap<Cow<'a, str>, &'a RawValue>>,
    #[serde(borrow)]
    context: Option<HashMap<Cow<'a, str>, &'a RawValue>>,
    timeout_ms: Option<u64>,
    deadline_ms: Option<u64>,
    #[serde(default)]
    dry_run: bool,
}

/// An `invoke` message, decoded as far as it can be without deciding anything.
pub(super) struct Arguments<'a> {
    body: Body<'a>,
    id: Cow<'a, str>,
    headers: Option<&'a HeaderMap>,
    received: Instant,
}

impl<'a> Arguments<'a> {
    /// Decodes `message`, which was received at `received`.
    pub(super) fn read(
        route: Route,
        message: &'a Message,
        received: Instant,
    ) -> Result<Self, RegistryError> {
        let mut body: Body<'a> = payload::object(message.payload.trim_ascii())?;
        let id = match (route.id(&message.subject), body.id.take()) {
            (Some(subject), Some(id)) if id != subject => {
                return Err(RegistryError::field(
                    "id",
                    "differs from the id in the subject",
                ));
            }
            (Some(subject), _) => subject.into(),
            (None, Some(id)) => id,
            (None, None) => return Err(RegistryError::field("id", "is missing")),
        };
        Ok(Self {
            body,
            id,
            headers: message.headers.as_ref(),
            received,
        })
    }

    /// Whether nothing should be sent.
    pub(super) fn dry_run(&self) -> bool {
        self.body.dry_run
    }

    /// The request as the use case sees it.
    pub(super) fn invocation(&self) -> Result<Invocation<'_>, RegistryError> {
        let body = &self.body;
        let payload = body
            .payload
            .ok_or_else(|| RegistryError::field("payload", "is missing"))?;
        let fallback_config = body.fallback_config.iter().flatten();
        let fallback_config: HashMap<&str, &RawValue> = fallback_config
            .map(|(id, config)| (id.as_ref(), *config))
            .collect();
        for (id, config) in &fallback_config {
            object(&format!("fallback_config.{id}"), Some(config))?;
        }
        Ok(Invocation {
            id: &self.id,
            version: body.version.as_deref(),
            payload,
            metadata: object("metadata", body.metadata)?,
            config: object("config", body.config)?,
            fallback_config,
            context: self.context(),
            timeout: body.timeout_ms.map(Duration::from_millis),
            deadline: self.deadline()?,
            traceparent: self.header_in_any_case("traceparent"),
            tracestate: self.header_in_any_case("tracestate"),
            stream: self.header(ACCEPT) == Some("stream"),
            received: self.received,
        })
    }

    /// What rules and rollouts can compare.
    fn context(&self) -> Context {
        let fields = self.body.context.iter().flatten();
        fields
            .filter_map(|(key, value)| {
                let value = serde_json::from_str(value.get()).ok()?;
                Some((key.to_string(), Scalar::from_json(&value)?))
            })
            .collect()
    }

    /// The nearer of the deadlines in body and header.
    fn deadline(&self) -> Result<Option<Instant>, RegistryError> {
        let header = self.header(DEADLINE_MS).map(str::parse::<u64>).transpose();
        let header = header
            .map_err(|_| RegistryError::field(DEADLINE_MS, "must be a number of milliseconds"))?;
        let nearest = [self.body.deadline_ms, header].into_iter().flatten().min();
        // A deadline beyond the end of time is none.
        Ok(nearest.and_then(|ms| self.received.checked_add(Duration::from_millis(ms))))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers?.get(name).map(async_nats::HeaderValue::as_str)
    }

    /// The standard of these headers ignores case, and propagators made for HTTP write it their way.
    fn header_in_any_case(&self, name: &str) -> Option<&str> {
        self.header(name).or_else(|| {
            let mut headers = self.headers?.iter();
            let same = |known: &str| known.eq_ignore_ascii_case(name);
            let (_, values) = headers.find(|(known, _)| same((*known).as_ref()))?;
            values.first().map(async_nats::HeaderValue::as_str)
        })
    }
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
