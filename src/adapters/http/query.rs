//! The query of a URL: names and values, taken one by one.

use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, Query as Pairs};
use axum::http::request::Parts;

use super::answer::HttpError;
use crate::documents::request::numbers::{ANY, ROWS, WAITS_MS};
use crate::documents::request::{
    AuditArguments, CircuitsArguments, EnabledFilter, Freshness, HealthArguments, ListArguments,
};
use crate::domain::quote::quoted;
use crate::domain::whole::whole;
use crate::service::error::{BadField, MAX_FAULTS, RegistryError};

/// The parameters of a read; those that nobody takes are ignored.
pub(super) struct Query(pub(super) Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        // Pairs of texts can be made of any query.
        let pairs = Pairs::try_from_uri(&parts.uri);
        pairs.map(|Pairs(pairs)| Self(pairs)).map_err(|_| {
            let message = "the query cannot be read".to_owned();
            let field = None;
            RegistryError::InvalidRequest { field, message }.into()
        })
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

    /// A whole number within `range`.
    fn number(
        &self,
        name: &str,
        range: &RangeInclusive<u64>,
    ) -> Result<Option<u64>, RegistryError> {
        let number = self.text(name)?.map(|text| whole(text.trim(), range));
        let number = number.transpose();
        number.map_err(|rule| RegistryError::field(name, rule))
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

    /// How new an answer must be.
    pub(super) fn freshness(&self) -> Result<Freshness, RegistryError> {
        Ok(Freshness {
            min_revision: self.number("min_revision", &ANY)?,
            wait_ms: self.number("wait_ms", &WAITS_MS)?,
        })
    }

    /// Which extensions to list.
    pub(super) fn list(&self) -> Result<ListArguments, RegistryError> {
        let Freshness {
            min_revision,
            wait_ms,
        } = self.freshness()?;
        Ok(ListArguments {
            kind: self.text("type")?,
            enabled: self.text("enabled")?.map(enabled).transpose()?,
            limit: self.number("limit", &ROWS)?,
            cursor: self.text("cursor")?,
            min_revision,
            wait_ms,
        })
    }

    /// Whose health to tell.
    pub(super) fn health(&self) -> Result<HealthArguments, RegistryError> {
        let Freshness {
            min_revision,
            wait_ms,
        } = self.freshness()?;
        Ok(HealthArguments {
            id: None,
            state: self.text("state")?,
            limit: self.number("limit", &ROWS)?,
            cursor: self.text("cursor")?,
            min_revision,
            wait_ms,
        })
    }

    /// Which circuits to list.
    pub(super) fn circuits(&self) -> Result<CircuitsArguments, RegistryError> {
        let Freshness {
            min_revision,
            wait_ms,
        } = self.freshness()?;
        Ok(CircuitsArguments {
            limit: self.number("limit", &ROWS)?,
            cursor: self.text("cursor")?,
            min_revision,
            wait_ms,
        })
    }

    /// Which entries of the audit to read.
    pub(super) fn audit(&self) -> Result<AuditArguments, RegistryError> {
        Ok(AuditArguments {
            id: self.text("id")?,
            limit: self.number("limit", &ROWS)?,
            before: self.number("before", &ANY)?,
        })
    }
}

fn enabled(text: String) -> Result<EnabledFilter, RegistryError> {
    match text.as_str() {
        "true" => Ok(EnabledFilter(Some(true))),
        "false" => Ok(EnabledFilter(Some(false))),
        "all" => Ok(EnabledFilter(None)),
        _ => Err(RegistryError::field(
            "enabled",
            "must be true, false or all",
        )),
    }
}
