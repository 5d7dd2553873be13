//! The verb `report`: what a router reports about a call of its own, and the answer for those that
//! ask for one.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::request::required;
use super::to_bytes;
use crate::domain::decimal::Decimal;
use crate::service::error::RegistryError;
use crate::service::invoke::{Reported, Verdict};

/// A day: no call takes longer, and one wrong figure must not spoil an average for good.
const MAX_LATENCY_MS: f64 = 86_400_000.0;

/// The arguments of `report`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ReportRequest)]
pub struct ReportArguments<'a> {
    /// The extension that was called.
    #[serde(borrow)]
    #[schema(value_type = String)]
    id: Option<Cow<'a, str>>,
    /// The version; without one, the current.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    version: Option<Cow<'a, str>>,
    /// `success` or `failure`.
    #[serde(borrow)]
    #[schema(value_type = String, pattern = "^(success|failure)$")]
    outcome: Option<Cow<'a, str>>,
    /// How long it took.
    #[serde(borrow)]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 86400000)]
    latency_ms: Option<&'a RawValue>,
}

impl ReportArguments<'_> {
    /// The call that is reported.
    ///
    /// # Errors
    /// The field at fault.
    pub fn reported(&self) -> Result<Reported<'_>, RegistryError> {
        let verdict = Verdict::named(required("outcome", self.outcome.as_deref())?)
            .ok_or_else(|| RegistryError::field("outcome", "must be success or failure"))?;
        Ok(Reported {
            id: required("id", self.id.as_deref())?,
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

#[derive(Serialize, ToSchema)]
pub(super) struct Noted {
    ok: bool,
}

/// The result is entered.
pub fn noted() -> Bytes {
    to_bytes(&Noted { ok: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::request::object;

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
}
