//! What a request says about itself: tenant, environment, policy and whatever else rules ask for.

use std::fmt;

/// A value that rules compare and rollouts hash.
#[derive(Debug, Clone)]
pub enum Scalar {
    /// A JSON string.
    Text(Box<str>),
    /// A JSON number, as the text it came in.
    Number(Box<str>),
    /// A JSON boolean.
    Bool(bool),
}

impl Scalar {
    /// Reads a JSON value; `None` for null, lists and objects, which no rule can match.
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::String(text) => Some(Self::Text(text.as_str().into())),
            serde_json::Value::Number(number) => Some(Self::Number(number.to_string().into())),
            serde_json::Value::Bool(bool) => Some(Self::Bool(*bool)),
            _ => None,
        }
    }
}

impl PartialEq for Scalar {
    /// Equal as JSON values: `1` equals `1.0`, `"1"` equals neither.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b || equal_numbers(a, b),
            _ => false,
        }
    }
}

/// Integers compare exactly; only where one is no integer does the float decide.
fn equal_numbers(a: &str, b: &str) -> bool {
    match (a.parse::<i128>(), b.parse::<i128>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a == b),
    }
}

impl fmt::Display for Scalar {
    /// The value as text: what a rollout hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Number(text) => f.write_str(text),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

/// The context of one request: a handful of keys, so a list beats a map.
#[derive(Debug, Clone, Default)]
pub struct Context(Vec<(String, Scalar)>);

impl Context {
    /// The value of `key`, if the request has one that rules can compare.
    pub fn get(&self, key: &str) -> Option<&Scalar> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Adds `key` unless the request already says something about it.
    pub fn set_default(&mut self, key: &str, value: &str) {
        if self.get(key).is_none() {
            self.0.push((key.to_owned(), Scalar::Text(value.into())));
        }
    }
}

impl FromIterator<(String, Scalar)> for Context {
    fn from_iter<I: IntoIterator<Item = (String, Scalar)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(json: &str) -> Scalar {
        Scalar::from_json(&serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn scalars_compare_as_json_values() {
        for (a, b, equal) in [
            ("1", "1.0", true),
            ("1", "\"1\"", false),
            ("9007199254740993", "9007199254740992", false),
            ("true", "true", true),
            ("true", "\"true\"", false),
            ("\"a\"", "\"a\"", true),
        ] {
            assert_eq!(scalar(a) == scalar(b), equal, "{a} {b}");
        }
        assert!(Scalar::from_json(&serde_json::Value::Null).is_none());
    }

    #[test]
    fn a_default_never_overrides_the_request() {
        let mut context: Context = [("environment".to_owned(), scalar("\"prod\""))]
            .into_iter()
            .collect();
        context.set_default("environment", "dev");
        context.set_default("region", "eu");
        assert_eq!(context.get("environment"), Some(&scalar("\"prod\"")));
        assert_eq!(context.get("region"), Some(&scalar("\"eu\"")));
    }
}
