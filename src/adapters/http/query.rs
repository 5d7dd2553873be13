//! The query of a URL: names and values, taken one by one.

use axum::extract::{FromRequestParts, Query as Pairs};
use axum::http::request::Parts;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::answer::HttpError;
use crate::documents::request::{Read, malformed, object};
use crate::domain::quote::quoted;
use crate::service::error::{BadField, MAX_FAULTS, RegistryError};

/// Parameters whose values are JSON: numbers, objects, and what may be true or false.
const NO_TEXTS: &str = "enabled selector limit before min_revision wait_ms";

/// The parameters of a read; unknown ones are ignored.
pub(super) struct Query(pub(super) Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        // Pairs of texts can be made of any query.
        let pairs = Pairs::try_from_uri(&parts.uri);
        let pairs = pairs.map_err(|_| malformed("the query cannot be read"))?;
        Ok(Self(pairs.0))
    }
}

impl Query {
    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, RegistryError> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.clone());
        match values.next() {
            Some(_) => Err(RegistryError::field(name, "is given twice")),
            None => Ok(value),
        }
    }

    /// Refuses whatever is not in `known`, as changes do.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), RegistryError> {
        let names = self.0.iter().map(|(name, _)| name);
        let unknown = names.filter(|name| !known.contains(&name.as_str()));
        let unknown = unknown.take(MAX_FAULTS).map(|name| BadField {
            field: quoted(name).into(),
            value: None,
            rule: "is unknown in the query of a change".into(),
        });
        let unknown: Vec<_> = unknown.collect();
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(RegistryError::BadFields(unknown))
        }
    }

    /// The arguments of a read, as the same object over NATS would have them.
    pub(super) fn arguments<T: DeserializeOwned>(&self) -> Result<T, RegistryError> {
        let members = self.0.iter().map(|(name, text)| {
            let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok();
            let may_be = || NO_TEXTS.split(' ').any(|known| known == name);
            let value = match may_be() && is_json() {
                true => text.clone(),
                false => Value::from(text.as_str()).to_string(),
            };
            format!("{}:{value}", Value::from(name.as_str()))
        });
        let members: Vec<_> = members.collect();
        object(format!("{{{}}}", members.join(",")).as_bytes())
    }

    /// The same, and how new the answer must be.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<Read<T>, RegistryError> {
        Ok(Read {
            arguments: self.arguments()?,
            freshness: self.arguments()?,
        })
    }
}
