//! Routing rules: which requests a version is meant for.

use serde_json::value::RawValue;

use super::context::{Context, Scalar};
use super::json::JsonObject;
use super::quote::quoted;

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
    ///
    /// # Errors
    /// What is wrong with it: also a value that no value of a context can ever equal.
    pub fn parse(text: &str) -> Result<Self, String> {
        let source = JsonObject::parse(text).map_err(|error| error.to_string())?;
        let matchers = source.members().into_iter();
        let matchers = matchers.map(|(key, value)| match matcher(value) {
            Some(matcher) => Ok((key.into_boxed_str(), matcher)),
            None => Err(bad_value(&key)),
        });
        let matchers = matchers.collect::<Result<_, _>>()?;
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

fn bad_value(key: &str) -> String {
    format!(
        "rule `{}` must be a string, a number of up to 64 digits below 1e308, or a boolean, or a list \
         of them",
        quoted(key)
    )
}

fn matcher(value: &RawValue) -> Option<Matcher> {
    if !value.get().starts_with('[') {
        return Scalar::read(value.get()).map(Matcher::Equals);
    }
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    let items = items.into_iter().map(|item| Scalar::read(item.get()));
    items.collect::<Option<_>>().map(Matcher::OneOf)
}

#[cfg(test)]
mod tests {
    use super::super::testing::context;
    use super::*;

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
            // CASES.md C1: as floats these two are one tenant.
            (
                r#"{"tenant_id":[18446744073709551616]}"#,
                r#"{"tenant_id":18446744073709551617}"#,
                false,
            ),
            (
                r#"{"tenant_id":[1e2,340282366920938463463374607431768211456]}"#,
                r#"{"tenant_id":340282366920938463463374607431768211456.0}"#,
                true,
            ),
        ] {
            let parsed = Rules::parse(rules).unwrap();
            assert_eq!(parsed.matches(&context(given)), matches, "{rules} {given}");
        }
    }

    #[test]
    fn rules_that_can_never_match_are_refused() {
        for bad in [
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
            r#"{"a":[["x"]]}"#,
            r#"{"a":[1,1e400]}"#,
            r#"{"a":"\ud800"}"#,
        ] {
            assert_eq!(Rules::parse(bad), Err(bad_value("a")));
        }
        for (bad, rule) in [
            ("[]", "must be a JSON object"),
            (r#"{"a":1,"a":1}"#, "has the key `a` twice"),
        ] {
            assert_eq!(Rules::parse(bad), Err(rule.to_owned()), "{bad}");
        }
    }
}
