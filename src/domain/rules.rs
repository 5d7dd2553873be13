//! Routing rules: which requests a version is meant for.

use serde_json::Value;
use thiserror::Error;

use super::context::{Context, Scalar};
use super::json::JsonObject;

/// Why a JSON object is not a set of rules.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RulesError {
    /// Not an object at all.
    #[error("must be a JSON object of rules")]
    NotAnObject,
    /// A value that no context value can ever equal.
    #[error("rule `{0}` must be a string, number or boolean, or a list of them")]
    BadValue(String),
}

/// What one key of the context has to be.
#[derive(Debug, Clone, PartialEq)]
enum Matcher {
    Equals(Scalar),
    OneOf(Box<[Scalar]>),
}

/// Rules of which all must match; no rules at all match everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    source: JsonObject,
    matchers: Box<[(Box<str>, Matcher)]>,
}

impl Rules {
    /// Parses the JSON object `text`.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let source = JsonObject::parse(text).map_err(|_| RulesError::NotAnObject)?;
        let Ok(Value::Object(fields)) = serde_json::from_str(source.as_str()) else {
            return Err(RulesError::NotAnObject);
        };
        let matchers = fields
            .into_iter()
            .map(|(key, value)| match matcher(&value) {
                Some(matcher) => Ok((key.into_boxed_str(), matcher)),
                None => Err(RulesError::BadValue(key)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { source, matchers })
    }

    /// The rules as they were written.
    pub fn source(&self) -> &JsonObject {
        &self.source
    }

    /// How many keys must match: the more, the more specific.
    pub fn keys(&self) -> usize {
        self.matchers.len()
    }

    /// Whether `context` satisfies every rule.
    pub fn matches(&self, context: &Context) -> bool {
        self.verdicts(context).all(|(_, matched)| matched)
    }

    /// Each rule's key and whether `context` satisfies it.
    pub fn verdicts(&self, context: &Context) -> impl Iterator<Item = (&str, bool)> {
        self.matchers.iter().map(move |(key, matcher)| {
            let matched = context.get(key).is_some_and(|value| match matcher {
                Matcher::Equals(wanted) => wanted == value,
                Matcher::OneOf(wanted) => wanted.contains(value),
            });
            (key.as_ref(), matched)
        })
    }
}

fn matcher(value: &Value) -> Option<Matcher> {
    match value {
        Value::Array(items) => items
            .iter()
            .map(Scalar::from_json)
            .collect::<Option<_>>()
            .map(Matcher::OneOf),
        single => Scalar::from_json(single).map(Matcher::Equals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(json: &str) -> Context {
        let fields: serde_json::Map<String, Value> = serde_json::from_str(json).unwrap();
        fields
            .into_iter()
            .filter_map(|(k, v)| Some((k, Scalar::from_json(&v)?)))
            .collect()
    }

    #[test]
    fn all_rules_must_match() {
        for (rules, given, matches) in [
            (r#"{}"#, r#"{}"#, true),
            (r#"{"tenant_id":["a","b"]}"#, r#"{"tenant_id":"b"}"#, true),
            (r#"{"tenant_id":["a","b"]}"#, r#"{"tenant_id":"c"}"#, false),
            (r#"{"tenant_id":["a","b"]}"#, r#"{}"#, false),
            (r#"{"tenant_id":[]}"#, r#"{"tenant_id":"a"}"#, false),
            (
                r#"{"tenant_id":"a","beta":true}"#,
                r#"{"tenant_id":"a","beta":true}"#,
                true,
            ),
            (
                r#"{"tenant_id":"a","beta":true}"#,
                r#"{"tenant_id":"a"}"#,
                false,
            ),
            (r#"{"tier":2}"#, r#"{"tier":2.0}"#, true),
        ] {
            let parsed = Rules::parse(rules).unwrap();
            assert_eq!(parsed.matches(&context(given)), matches, "{rules} {given}");
        }
    }

    #[test]
    fn rules_that_can_never_match_are_refused() {
        for bad in [r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"a":[["x"]]}"#] {
            assert_eq!(Rules::parse(bad), Err(RulesError::BadValue("a".into())));
        }
        assert_eq!(Rules::parse("[]"), Err(RulesError::NotAnObject));
    }
}
