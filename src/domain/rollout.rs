//! Percentage rollouts: sticky per value, and monotone when the percentage grows.

use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::context::Context;
use super::json::JsonObject;

/// Buckets per rollout: a hundredth of a percent each.
const BUCKETS: u64 = 10_000;

/// Why a JSON object is not a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RolloutError {
    /// Not an object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// `by` is missing or empty.
    #[error("`by` must be a non-empty string")]
    By,
    /// `percent` is missing or out of range.
    #[error("`percent` must be a number from 0 to 100")]
    Percent,
    /// `salt` is no string.
    #[error("`salt` must be a string")]
    Salt,
    /// A key that means nothing here, most likely a typing mistake.
    #[error("unknown key `{0}`")]
    Unknown(String),
}

/// `{"by": context key, "percent": 0..100, "salt"?: text}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    source: JsonObject,
    by: Box<str>,
    salt: Option<Box<str>>,
    /// Buckets below this one are in.
    threshold: u64,
}

impl Rollout {
    /// Parses the JSON object `text`.
    pub fn parse(text: &str) -> Result<Self, RolloutError> {
        let source = JsonObject::parse(text).map_err(|_| RolloutError::NotAnObject)?;
        let Ok(Value::Object(fields)) = serde_json::from_str(source.as_str()) else {
            return Err(RolloutError::NotAnObject);
        };
        if let Some(key) = fields
            .keys()
            .find(|k| !["by", "percent", "salt"].contains(&k.as_str()))
        {
            return Err(RolloutError::Unknown(key.clone()));
        }
        let by = fields
            .get("by")
            .and_then(Value::as_str)
            .filter(|by| !by.is_empty());
        let percent = fields.get("percent").and_then(Value::as_f64);
        let salt = match fields.get("salt") {
            None | Some(Value::Null) => None,
            Some(Value::String(salt)) => Some(salt.as_str().into()),
            Some(_) => return Err(RolloutError::Salt),
        };
        Ok(Self {
            by: by.ok_or(RolloutError::By)?.into(),
            threshold: threshold(
                percent
                    .filter(|p| (0.0..=100.0).contains(p))
                    .ok_or(RolloutError::Percent)?,
            ),
            salt,
            source,
        })
    }

    /// The rollout as it was written.
    pub fn source(&self) -> &JsonObject {
        &self.source
    }

    /// The bucket (0 to 9999) of this request; `None` where the context lacks the key.
    pub fn bucket(&self, id: &str, context: &Context) -> Option<u64> {
        let value = context.get(&self.by)?;
        let mut hash = Sha256::new();
        hash.update(self.salt.as_deref().unwrap_or(id));
        hash.update(":");
        hash.update(value.to_string());
        let first = hash
            .finalize()
            .iter()
            .take(8)
            .fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        Some(first % BUCKETS)
    }

    /// Whether `bucket` is in.
    pub fn admits(&self, bucket: u64) -> bool {
        bucket < self.threshold
    }
}

/// Rounds away the noise of binary fractions first: 0.07 x 100 is a little above 7.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the argument lies in 0 to 100, checked by the caller"
)]
fn threshold(percent: f64) -> u64 {
    let buckets = percent * 100.0;
    ((buckets * 1e6).round() / 1e6).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::super::context::Scalar;
    use super::*;

    fn tenant(name: &str) -> Context {
        [("tenant_id".to_owned(), Scalar::Text(name.into()))]
            .into_iter()
            .collect()
    }

    #[test]
    fn the_bucket_is_the_documented_hash() {
        let rollout = Rollout::parse(r#"{"by":"tenant_id","percent":50}"#).unwrap();
        // printf 'normalize_text:acme' | sha256sum, first 16 hex digits, mod 10000
        assert_eq!(
            rollout.bucket("normalize_text", &tenant("acme")),
            Some(ACME_BUCKET)
        );
        let salted =
            Rollout::parse(r#"{"by":"tenant_id","percent":50,"salt":"normalize_text"}"#).unwrap();
        assert_eq!(salted.bucket("other", &tenant("acme")), Some(ACME_BUCKET));
        assert_eq!(rollout.bucket("normalize_text", &Context::default()), None);
    }
    const ACME_BUCKET: u64 = 3234;

    #[test]
    fn shares_are_exact_enough_and_monotone() {
        let at = |percent: u32| {
            Rollout::parse(&format!(r#"{{"by":"tenant_id","percent":{percent}}}"#)).unwrap()
        };
        let (ten, quarter) = (at(10), at(25));
        let (mut in_ten, mut in_quarter) = (0u32, 0u32);
        for n in 0..100_000 {
            let context = tenant(&format!("tenant-{n}"));
            let bucket = ten.bucket("x", &context).unwrap();
            in_ten += u32::from(ten.admits(bucket));
            in_quarter += u32::from(quarter.admits(bucket));
            assert!(
                !ten.admits(bucket) || quarter.admits(bucket),
                "a tenant of the 10 left the 25"
            );
        }
        assert!(in_ten.abs_diff(10_000) < 500, "{in_ten}");
        assert!(in_quarter.abs_diff(25_000) < 500, "{in_quarter}");
    }

    #[test]
    fn edges_of_the_percentage() {
        for (percent, threshold) in [
            ("0", 0),
            ("100", 10_000),
            ("0.07", 7),
            ("12.34", 1234),
            ("0.001", 1),
        ] {
            let rollout = Rollout::parse(&format!(r#"{{"by":"t","percent":{percent}}}"#)).unwrap();
            assert_eq!(rollout.threshold, threshold, "{percent}");
        }
    }

    #[test]
    fn bad_rollouts_name_the_field() {
        for (text, error) in [
            (r#"{"percent":1}"#, RolloutError::By),
            (r#"{"by":"t"}"#, RolloutError::Percent),
            (r#"{"by":"t","percent":101}"#, RolloutError::Percent),
            (r#"{"by":"t","percent":1,"salt":2}"#, RolloutError::Salt),
            (
                r#"{"by":"t","percent":1,"sallt":"x"}"#,
                RolloutError::Unknown("sallt".into()),
            ),
            ("[]", RolloutError::NotAnObject),
        ] {
            assert_eq!(Rollout::parse(text), Err(error), "{text}");
        }
    }
}
