//! Percentage rollouts: sticky per value, and monotone when the percentage grows.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::context::{Context, Scalar};
use super::decimal::Decimal;
use super::json::JsonObject;
use super::quote::quoted;
use super::whole::whole;
use super::words::words;

/// Buckets per rollout: a hundredth of a percent each.
const BUCKETS: u64 = 10_000;

words! {
    /// What a rollout consists of.
    pub enum Member {
        /// The share.
        Percent = "percent",
        /// The key of the context by whose value requests are shared out.
        By = "by",
        /// What is hashed before the value.
        Salt = "salt",
        /// See [`Halt`].
        Halt = "halt",
    }
}

impl Member {
    /// What its value has to be.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Percent => "must be a number from 0 to 100",
            Self::By => "must be a non-empty string",
            Self::Salt => "must be a string",
            Self::Halt => {
                "must be an object of `max_failure_rate_delta`, a number from 0 to 1, and \
                 `min_requests`, a whole number from 1 to 1000000"
            }
        }
    }

    fn fault(self) -> String {
        format!("`{}` {}", self.as_str(), self.rule())
    }

    /// Whether `json` may be its value.
    pub fn accepts(self, json: &str) -> bool {
        let rest = match self {
            Self::Percent => r#""by":"x""#,
            Self::By => r#""percent":0"#,
            Self::Salt | Self::Halt => r#""by":"x","percent":0"#,
        };
        Rollout::parse(&format!(r#"{{"{}":{json},{rest}}}"#, self.as_str())).is_ok()
    }
}

/// When a version whose calls fail more often than the current one's gives up its share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Halt {
    /// By how much its failure rate may exceed the current version's.
    pub max_failure_rate_delta: f64,
    /// From how many requests on its rate counts.
    pub min_requests: u64,
}

impl Halt {
    fn parse(json: &str) -> Option<Self> {
        let object = JsonObject::parse(json).ok()?;
        let fields = object.members();
        let known = ["max_failure_rate_delta", "min_requests"];
        if fields.keys().any(|key| !known.contains(&key.as_str())) {
            return None;
        }
        let given = |name| {
            let raw = fields.get(name).map(|raw| raw.get());
            raw.filter(|raw| *raw != "null")
        };
        let rate = |text: &str| Decimal::parse(text).and_then(|_| text.parse().ok());
        let delta: f64 = given("max_failure_rate_delta").map_or(Some(0.1), rate)?;
        let requests = given("min_requests").map_or(Ok(50), |text| whole(text, &(1..=1_000_000)));
        (0.0..=1.0).contains(&delta).then_some(Self {
            max_failure_rate_delta: delta,
            min_requests: requests.ok()?,
        })
    }
}

/// `{"by": context key, "percent": 0..100, "salt"?: text, "halt"?: see [`Halt`]}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    source: JsonObject,
    by: Box<str>,
    salt: Option<Box<str>>,
    /// Buckets below this one are in.
    threshold: u64,
    halt: Option<Halt>,
}

impl Rollout {
    /// Parses the JSON object `text`.
    ///
    /// # Errors
    /// What is wrong with it: also a key that means nothing, most likely a typing mistake.
    pub fn parse(text: &str) -> Result<Self, String> {
        let source = JsonObject::parse(text).map_err(|error| error.to_string())?;
        let fields = source.members();
        let unknown = |key: &&String| Member::named(key).is_none();
        if let Some(key) = fields.keys().find(unknown) {
            return Err(format!("unknown key `{}`", quoted(key)));
        }
        let given = |name| fields.get(name).filter(|value| value.get() != "null");
        let fault = |member: Member| move || member.fault();
        let by = given("by").and_then(|value| string(value));
        let by = by.filter(|by| !by.is_empty());
        let by = by.ok_or_else(fault(Member::By))?;
        let threshold = given("percent").and_then(|value| threshold(value.get()));
        let threshold = threshold.ok_or_else(fault(Member::Percent))?;
        let salt = given("salt").map(|value| string(value).ok_or_else(fault(Member::Salt)));
        let halt = given("halt").map(|halt| Halt::parse(halt.get()));
        let halt = halt.map(|halt| halt.ok_or_else(fault(Member::Halt)));
        Ok(Self {
            by,
            salt: salt.transpose()?,
            threshold,
            halt: halt.transpose()?,
            source,
        })
    }

    /// The rollout as it was written.
    pub fn source(&self) -> &JsonObject {
        &self.source
    }

    /// When it gives up its share by itself.
    pub fn halt(&self) -> Option<Halt> {
        self.halt
    }

    /// The bucket (0 to 9999) of this request; `None` where the context lacks the key.
    pub fn bucket(&self, id: &str, context: &Context) -> Option<u64> {
        let value = context.get(&self.by)?;
        let mut hash = Sha256::new();
        hash.update(self.salt.as_deref().unwrap_or(id));
        hash.update(":");
        match value {
            Scalar::Text(text) => hash.update(text.as_str()),
            value => hash.update(value.to_string()),
        }
        let hash = hash.finalize();
        let first = hash.first_chunk::<8>().copied()?;
        Some(u64::from_be_bytes(first) % BUCKETS)
    }

    /// Whether it lets no request in.
    pub fn is_nobodys(&self) -> bool {
        self.threshold == 0
    }

    /// Whether `bucket` is in.
    pub fn admits(&self, bucket: u64) -> bool {
        bucket < self.threshold
    }
}

/// The first bucket that is out, for a share of 0 to 100 per cent.
fn threshold(percent: &str) -> Option<u64> {
    let percent = Decimal::parse(percent).filter(|percent| !percent.is_negative())?;
    let buckets = u64::try_from(percent.ceil_times(2)?).ok();
    buckets.filter(|buckets| *buckets <= BUCKETS)
}

fn string(value: &RawValue) -> Option<Box<str>> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::context;
    use super::*;

    fn tenant(name: &str) -> Context {
        context(&format!(r#"{{"tenant_id":"{name}"}}"#))
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

    /// CASES.md C1. Buckets of whole numbers are those that they always had.
    #[test]
    fn a_number_has_one_bucket_however_it_is_written() {
        let rollout = Rollout::parse(r#"{"by":"tenant_id","percent":50}"#).unwrap();
        let bucket = |value: &str| {
            let given = context(&format!(r#"{{"tenant_id":{value}}}"#));
            rollout.bucket("normalize_text", &given).unwrap()
        };
        // printf 'normalize_text:100' | sha256sum, and so on for each first one
        for (values, expected) in [
            (
                &["100", "1e2", "100.0", "1000e-1", r#""100""#][..],
                BUCKETS_OF[0],
            ),
            (&["1.1", "1.10", "11e-1", r#""1.1""#], BUCKETS_OF[1]),
            (&["0", "-0", "-0.0e5", r#""0""#], BUCKETS_OF[2]),
            (
                &[
                    "18446744073709551617",
                    "18446744073709551617.0",
                    r#""18446744073709551617""#,
                ],
                BUCKETS_OF[3],
            ),
            (&["true", r#""true""#], BUCKETS_OF[4]),
        ] {
            for value in values {
                assert_eq!(bucket(value), expected, "{value}");
            }
        }
        assert_ne!(bucket("18446744073709551616"), BUCKETS_OF[3]);
    }
    const BUCKETS_OF: [u64; 5] = [7227, 8816, 9644, 133, 9391];

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
            ("1e1", 1000),
            ("10.0", 1000),
            ("1e-400", 1),
            ("99.9900000000000000000000000000000001", 10_000),
            ("-0", 0),
        ] {
            let rollout = Rollout::parse(&format!(r#"{{"by":"t","percent":{percent}}}"#)).unwrap();
            assert_eq!(rollout.threshold, threshold, "{percent}");
            assert_eq!(rollout.is_nobodys(), threshold == 0, "{percent}");
            assert!(threshold == 0 || rollout.admits(threshold - 1), "{percent}");
            assert!(!rollout.admits(threshold), "{percent}");
        }
    }

    #[test]
    fn a_halt_has_defaults() {
        let halt = |json: &str| {
            let json = format!(r#"{{"by":"t","percent":1,"halt":{json}}}"#);
            let halt = Rollout::parse(&json).unwrap().halt();
            halt.map(|halt| (halt.max_failure_rate_delta, halt.min_requests))
        };
        assert_eq!(halt("null"), None);
        assert_eq!(halt("{}"), Some((0.1, 50)));
        let said = r#"{"max_failure_rate_delta":2e-1,"min_requests":7.0}"#;
        assert_eq!(halt(said), Some((0.2, 7)));
    }

    #[test]
    fn bad_rollouts_name_the_field() {
        for (text, error) in [
            (r#"{"percent":1}"#, Member::By.fault()),
            (r#"{"by":"t"}"#, Member::Percent.fault()),
            (r#"{"by":"t","percent":101}"#, Member::Percent.fault()),
            (r#"{"by":"t","percent":100.001}"#, Member::Percent.fault()),
            (r#"{"by":"t","percent":-1e-9}"#, Member::Percent.fault()),
            (r#"{"by":"t","percent":1e400}"#, Member::Percent.fault()),
            (r#"{"by":"t","percent":"10"}"#, Member::Percent.fault()),
            (r#"{"by":null,"percent":1}"#, Member::By.fault()),
            (r#"{"by":"t","percent":1,"salt":2}"#, Member::Salt.fault()),
            (
                r#"{"by":"t","percent":1,"sallt":"x"}"#,
                "unknown key `sallt`".to_owned(),
            ),
            (
                r#"{"by":"t","percent":1,"halt":true}"#,
                Member::Halt.fault(),
            ),
            (
                r#"{"by":"t","percent":1,"halt":{"max_failure_rate_delta":1.1}}"#,
                Member::Halt.fault(),
            ),
            (
                r#"{"by":"t","percent":1,"halt":{"min_requests":0}}"#,
                Member::Halt.fault(),
            ),
            (
                r#"{"by":"t","percent":1,"halt":{"min":1}}"#,
                Member::Halt.fault(),
            ),
            ("[]", "must be a JSON object".to_owned()),
            (
                r#"{"by":"t","percent":1,"percent":99}"#,
                "has the key `percent` twice".to_owned(),
            ),
        ] {
            assert_eq!(Rollout::parse(text), Err(error), "{text}");
        }
    }
}
