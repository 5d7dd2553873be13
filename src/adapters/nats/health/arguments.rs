//! From payloads to what the use cases are asked for.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapters::nats::payload::{agreed_id, bare_id, optional_object};
use crate::documents::request::HealthArguments;
use crate::domain::decimal::Decimal;
use crate::service::error::RegistryError;
use crate::service::invoke::{Reported, Verdict};

/// A day: no call takes longer, and one wrong figure must not spoil an average for good.
const MAX_LATENCY_MS: f64 = 86_400_000.0;

/// The arguments of `health`, from a payload and the id in the subject, if there is one: an object,
/// a bare id, or nothing.
pub(in crate::adapters::nats) fn health_arguments(
    payload: &[u8],
    subject_id: Option<&str>,
) -> Result<HealthArguments, RegistryError> {
    let payload = payload.trim_ascii();
    let mut arguments: HealthArguments = match payload.first() {
        None | Some(b'{') => optional_object(payload)?,
        Some(_) => HealthArguments {
            id: Some(bare_id(payload)?.to_owned()),
            ..HealthArguments::default()
        },
    };
    let id = agreed_id(arguments.id.take().map(Cow::from), subject_id)?;
    arguments.id = id.map(Cow::into_owned);
    Ok(arguments)
}

/// The arguments of `report`.
#[derive(Debug, Deserialize)]
pub(super) struct ReportArguments<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow)]
    latency_ms: Option<&'a RawValue>,
}

impl ReportArguments<'_> {
    /// The call that is reported.
    pub(super) fn reported(&self) -> Result<Reported<'_>, RegistryError> {
        let missing = |field| RegistryError::field(field, "is missing");
        let verdict = match self.outcome.as_deref() {
            Some("success") => Verdict::Success,
            Some("failure") => Verdict::Failure,
            Some(_) => {
                let rule = "must be success or failure";
                return Err(RegistryError::field("outcome", rule));
            }
            None => return Err(missing("outcome")),
        };
        Ok(Reported {
            id: self.id.as_deref().ok_or_else(|| missing("id"))?,
            version: self.version.as_deref(),
            verdict,
            latency: self.latency_ms.map(latency).transpose()?,
        })
    }
}

fn latency(ms: &RawValue) -> Result<Duration, RegistryError> {
    // A measurement: a float will do.
    let ms = Decimal::parse(ms.get()).and_then(|_| ms.get().parse().ok());
    let ms = ms.filter(|ms| (0.0..=MAX_LATENCY_MS).contains(ms));
    let ms: f64 = ms.ok_or_else(|| {
        let rule = format!("must be a number from 0 to {MAX_LATENCY_MS}");
        RegistryError::field("latency_ms", rule)
    })?;
    Ok(Duration::from_secs_f64(ms / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::nats::payload::object;
    use crate::domain::breaker::CircuitState;

    fn report(payload: &str) -> Result<(String, Verdict, Option<Duration>), RegistryError> {
        let arguments: ReportArguments<'_> = object(payload.as_bytes())?;
        let reported = arguments.reported()?;
        Ok((reported.id.to_owned(), reported.verdict, reported.latency))
    }

    #[test]
    fn a_report_is_read_and_what_is_wrong_with_it_is_named() {
        let ok = report(r#"{"id":"a","outcome":"failure","latency_ms":1.5,"more":1}"#).unwrap();
        let latency = Some(Duration::from_micros(1500));
        assert_eq!(ok, ("a".to_owned(), Verdict::Failure, latency));
        let ok = report(r#"{"id":"a","outcome":"success"}"#).unwrap();
        assert_eq!(ok, ("a".to_owned(), Verdict::Success, None));
        for (payload, field) in [
            (r#"{"outcome":"success"}"#, "id"),
            (r#"{"id":"a"}"#, "outcome"),
            (r#"{"id":"a","outcome":"timeout"}"#, "outcome"),
            (r#"{"id":"a","outcome":true}"#, "outcome"),
            (
                r#"{"id":"a","outcome":"success","latency_ms":-1}"#,
                "latency_ms",
            ),
            (
                r#"{"id":"a","outcome":"success","latency_ms":"1"}"#,
                "latency_ms",
            ),
            (
                r#"{"id":"a","outcome":"success","latency_ms":1e9}"#,
                "latency_ms",
            ),
            (
                r#"{"id":"a","outcome":"success","latency_ms":1e400}"#,
                "latency_ms",
            ),
            (r#"{"id":"a","id":"b","outcome":"success"}"#, "id"),
            (r#"{"id":"\ud800","outcome":"success"}"#, "id"),
        ] {
            let error = report(payload).unwrap_err();
            assert!(
                matches!(&error, RegistryError::InvalidRequest { field: Some(named), .. } if named == field),
                "{payload}: {error:?}"
            );
        }
    }

    #[test]
    fn health_takes_an_id_wherever_it_stands_or_none() {
        for (payload, subject_id, id) in [
            ("", None, None),
            ("{}", None, None),
            ("a", None, Some("a")),
            (" a ", None, Some("a")),
            (r#"{"id":"a"}"#, None, Some("a")),
            ("", Some("a"), Some("a")),
            (r#"{"id":"a"}"#, Some("a"), Some("a")),
        ] {
            let arguments = health_arguments(payload.as_bytes(), subject_id).unwrap();
            assert_eq!(arguments.id.as_deref(), id, "{payload:?} {subject_id:?}");
        }
        health_arguments(b"b", Some("a")).unwrap_err();
        let arguments = health_arguments(br#"{"state":"half_open"}"#, None).unwrap();
        let state = arguments.query().unwrap().state;
        assert_eq!(state, Some(CircuitState::HalfOpen));
        let arguments = health_arguments(br#"{"state":"ajar"}"#, None).unwrap();
        arguments.query().unwrap_err();
    }
}
