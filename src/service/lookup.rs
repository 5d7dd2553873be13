//! Lookups: which version of an extension serves this request, answered from memory.
//!
//! Synchronous on purpose: between receipt and reply nothing is awaited, locked or built.

use std::sync::Arc;

use bytes::Bytes;

use super::error::{NotFoundReason, RegistryError};
use super::meter::LookupMeter;
use crate::domain::catalog::Catalog;
use crate::domain::context::Context;
use crate::domain::entry::{Chosen, Entry, Refusal};
use crate::domain::ids::{ExtensionId, VersionName};

/// The most ids that one request may ask for.
pub const MAX_IDS: usize = 100;

/// Answers lookups.
#[derive(Debug)]
pub struct Lookups {
    catalog: Arc<Catalog>,
    environment: Option<Box<str>>,
    /// What lookups came to.
    pub meter: LookupMeter,
}

/// The answer to a lookup of many ids, all of one revision.
#[derive(Debug)]
pub struct Many {
    /// Prepared replies of the ids that are served, in the order asked for.
    pub found: Vec<Bytes>,
    /// The other ids and why they are not.
    pub errors: Vec<(String, RegistryError)>,
    /// The catalog's revision.
    pub revision: u64,
}

impl Lookups {
    /// Lookups in `catalog`; `environment` stands in where a context says nothing about it.
    pub fn new(catalog: Arc<Catalog>, environment: Option<String>) -> Self {
        Self {
            catalog,
            environment: environment.map(String::into_boxed_str),
            meter: LookupMeter::default(),
        }
    }

    /// The catalog's revision. Read before a lookup, it is never ahead of what the lookup sees.
    pub fn revision(&self) -> u64 {
        self.catalog.revision()
    }

    /// The prepared reply for one id.
    pub fn one(
        &self,
        id: &str,
        version: Option<&str>,
        context: Context,
    ) -> Result<Bytes, RegistryError> {
        let entry = self.catalog.get(id);
        self.answer(id, entry.as_deref(), version, context)
    }

    /// The prepared replies for many ids, all of one revision.
    pub fn many(&self, ids: &[&str], context: &Context) -> Many {
        let consistent = self.catalog.get_many(ids);
        let mut many = Many {
            found: Vec::new(),
            errors: Vec::new(),
            revision: consistent.revision,
        };
        for (id, entry) in ids.iter().zip(consistent.entries) {
            match self.answer(id, entry.as_deref(), None, context.clone()) {
                Ok(reply) => many.found.push(reply),
                Err(error) => many.errors.push(((*id).to_owned(), error)),
            }
        }
        many
    }

    fn answer(
        &self,
        id: &str,
        entry: Option<&Entry>,
        version: Option<&str>,
        context: Context,
    ) -> Result<Bytes, RegistryError> {
        let Some(entry) = entry else {
            return Err(self.absent(id));
        };
        let chosen = match version {
            Some(version) => choose_version(entry, version)?,
            None => self.choose(entry, context),
        };
        match chosen {
            Ok(chosen) => {
                self.meter.hit();
                Ok(chosen.reply.bytes.clone())
            }
            Err(refusal) => {
                self.meter.refused();
                Err(refused(id, version, refusal))
            }
        }
    }

    fn choose<'a>(&self, entry: &'a Entry, mut context: Context) -> Result<Chosen<'a>, Refusal> {
        if entry.needs_context() {
            self.complete(&mut context);
        }
        entry.choose(&context)
    }

    /// Adds what the deployment knows about every request.
    pub fn complete(&self, context: &mut Context) {
        if let Some(environment) = &self.environment {
            context.set_default("environment", environment);
        }
    }

    fn absent(&self, id: &str) -> RegistryError {
        if let Err(rule) = ExtensionId::parse(id) {
            return RegistryError::field("id", rule);
        }
        let reason = if self.catalog.quarantine().holds(id) {
            self.meter.refused();
            NotFoundReason::Quarantined
        } else {
            self.meter.miss();
            NotFoundReason::Unknown
        };
        RegistryError::ExtensionNotFound {
            id: id.to_owned(),
            reason,
        }
    }
}

/// The outer error is a malformed name, the inner one a version that does not serve.
fn choose_version<'a>(
    entry: &'a Entry,
    version: &str,
) -> Result<Result<Chosen<'a>, Refusal>, RegistryError> {
    let name = VersionName::parse(version).map_err(|rule| RegistryError::field("version", rule))?;
    Ok(entry.choose_version(&name))
}

/// The error for a request that an existing extension does not serve.
pub fn refused(id: &str, version: Option<&str>, refusal: Refusal) -> RegistryError {
    let reason = match refusal {
        Refusal::Disabled => NotFoundReason::Disabled,
        Refusal::AutoDisabled => NotFoundReason::AutoDisabled,
        Refusal::NotTargeted => NotFoundReason::NotTargeted,
        Refusal::VersionNotFound => {
            return RegistryError::VersionNotFound {
                id: id.to_owned(),
                version: version.unwrap_or_default().to_owned(),
            };
        }
    };
    RegistryError::ExtensionNotFound {
        id: id.to_owned(),
        reason,
    }
}
