//! Figures per verb, as discovery shows them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::verb::Verb;
use crate::domain::lock::locked;
use crate::service::error::RegistryError;
use crate::service::observe::{Observation, Observers};

/// What one verb has done since the start.
#[derive(Debug, Default)]
pub struct Endpoint {
    requests: AtomicU64,
    errors: AtomicU64,
    processing_ns: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// An endpoint's figures at one moment, as discovery names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointFigures {
    /// Requests answered.
    pub num_requests: u64,
    /// Errors among them.
    pub num_errors: u64,
    /// `code:title` of the last error; empty before the first.
    pub last_error: String,
    /// Time spent on them, in nanoseconds.
    pub processing_time: u64,
    /// The same of one request.
    pub average_processing_time: u64,
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
            *locked(&self.last_error) = Some(text);
        }
    }

    fn figures(&self) -> EndpointFigures {
        let num_requests = self.requests.load(Ordering::Relaxed);
        let processing_time = self.processing_ns.load(Ordering::Relaxed);
        EndpointFigures {
            num_requests,
            num_errors: self.errors.load(Ordering::Relaxed),
            last_error: locked(&self.last_error).clone().unwrap_or_default(),
            processing_time,
            average_processing_time: processing_time.checked_div(num_requests).unwrap_or(0),
        }
    }
}

/// The endpoints of all verbs.
#[derive(Debug)]
pub struct Endpoints {
    verbs: [Endpoint; Verb::ALL.len()],
    observers: Observers,
}

impl Endpoints {
    /// Endpoints that have answered nothing; `observers` hear of refusals.
    pub fn new(observers: Observers) -> Self {
        Self {
            verbs: std::array::from_fn(|_| Endpoint::default()),
            observers,
        }
    }

    /// Counts one answered request for `verb`. Here its outcome is final, so what was refused for too
    /// much at once is observed here, whichever bound it met.
    pub fn record<T>(&self, verb: Verb, took: Duration, outcome: &Result<T, RegistryError>) {
        let place = Verb::ALL.iter().position(|known| *known == verb);
        if let Some(endpoint) = place.and_then(|place| self.verbs.get(place)) {
            endpoint.record(took, outcome);
        }
        if let Some(why) = outcome.as_ref().err().and_then(RegistryError::overload) {
            self.observers.observe(&Observation::Overloaded(why));
        }
    }

    /// The figures of every verb.
    pub fn figures(&self) -> impl Iterator<Item = (Verb, EndpointFigures)> {
        Verb::ALL
            .into_iter()
            .zip(self.verbs.iter().map(Endpoint::figures))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::overload::Overload;
    use crate::service::observe::Observer;

    /// The refusals observed.
    #[derive(Default)]
    struct Refusals(Mutex<Vec<Overload>>);

    impl Observer for Refusals {
        fn observe(&self, observation: &Observation) {
            if let Observation::Overloaded(why) = observation {
                self.0.lock().unwrap().push(*why);
            }
        }
    }

    #[test]
    fn a_refusal_is_observed_once_whichever_bound_was_met() {
        let refusals = Arc::<Refusals>::default();
        let endpoints = Endpoints::new(Observers::new(vec![Box::new(Arc::clone(&refusals))]));
        let met = [Overload::Requests, Overload::Bytes, Overload::Full];
        for why in met {
            let outcome: Result<(), _> = Err(RegistryError::Overloaded(why));
            endpoints.record(Verb::Get, Duration::ZERO, &outcome);
        }
        for other in [Ok(()), Err(RegistryError::ReadOnly)] {
            endpoints.record(Verb::Get, Duration::ZERO, &other);
        }
        assert_eq!(*refusals.0.lock().unwrap(), met);
        let (_, figures) = endpoints
            .figures()
            .find(|(verb, _)| *verb == Verb::Get)
            .unwrap();
        assert_eq!((figures.num_requests, figures.num_errors), (5, 4));
    }
}
