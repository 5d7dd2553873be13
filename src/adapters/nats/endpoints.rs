//! Figures per verb, as discovery shows them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::verb::Verb;
use crate::service::error::RegistryError;

/// What one verb has done since the start.
#[derive(Debug, Default)]
pub struct Endpoint {
    requests: AtomicU64,
    errors: AtomicU64,
    processing_ns: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// An endpoint's figures at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFigures {
    /// Requests answered.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// Time spent on them, in nanoseconds.
    pub processing_ns: u64,
    /// `code:title` of the last error; empty before the first.
    pub last_error: String,
}

impl Endpoint {
    /// Counts one answered request.
    pub fn record<T>(&self, took: Duration, outcome: &Result<T, RegistryError>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.processing_ns.fetch_add(ns, Ordering::Relaxed);
        if let Err(error) = outcome {
            self.errors.fetch_add(1, Ordering::Relaxed);
            let text = format!("{}:{}", error.number(), error.title());
            *self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
    }

    fn figures(&self) -> EndpointFigures {
        let last_error = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        EndpointFigures {
            requests: self.requests.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            processing_ns: self.processing_ns.load(Ordering::Relaxed),
            last_error: last_error.clone().unwrap_or_default(),
        }
    }
}

/// The endpoints of all verbs.
#[derive(Debug, Default)]
pub struct Endpoints([Endpoint; Verb::ALL.len()]);

impl Endpoints {
    /// The endpoint of `verb`.
    pub fn of(&self, verb: Verb) -> Option<&Endpoint> {
        self.0
            .get(Verb::ALL.iter().position(|known| *known == verb)?)
    }

    /// Counts one answered request for `verb`.
    pub fn record<T>(&self, verb: Verb, took: Duration, outcome: &Result<T, RegistryError>) {
        if let Some(endpoint) = self.of(verb) {
            endpoint.record(took, outcome);
        }
    }

    /// The figures of every verb.
    pub fn figures(&self) -> impl Iterator<Item = (Verb, EndpointFigures)> {
        Verb::ALL
            .into_iter()
            .zip(self.0.iter().map(Endpoint::figures))
    }
}
