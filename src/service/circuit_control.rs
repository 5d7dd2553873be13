//! Circuits as operators want them: the verb `circuit`.

use std::time::Duration;

use super::error::RegistryError;
use super::fleet::{OverrideHandle, Spot, Wanted};
use super::health_store::{OverrideAction, StoreError};
use super::invoke::Tools;
use crate::domain::actor::Actor;
use crate::domain::breaker::Tick;
use crate::domain::ids::VersionName;
use crate::service::circuits::Listed;
use crate::service::observe::Observation;

/// What is asked for.
#[derive(Debug)]
pub struct CircuitOrder {
    /// The extension.
    pub id: String,
    /// The version; without one, the current.
    pub version: Option<VersionName>,
    /// What to do.
    pub action: OverrideAction,
    /// For how long; `None` until the next order. A reset has no length.
    pub ttl: Option<Duration>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// The actor.
    pub actor: Actor,
}

/// Carries out orders.
#[derive(Debug)]
pub struct CircuitControl {
    tools: Tools,
    /// The way to the fleet; without a database, orders hold for this sidecar only.
    fleet: Option<OverrideHandle>,
}

impl CircuitControl {
    /// Controls the circuits of `tools`, and through `fleet` the circuits of all sidecars.
    pub fn new(tools: Tools, fleet: Option<OverrideHandle>) -> Self {
        Self { tools, fleet }
    }

    /// Carries out an order and returns the resulting circuit.
    ///
    /// # Errors
    /// No such extension or version, or a database that is needed and unreachable.
    pub async fn carry_out(&self, order: CircuitOrder) -> Result<Listed, RegistryError> {
        let entry = self.tools.selector.entry(&order.id)?;
        let current = || entry.extension().version.clone();
        let version = order.version.unwrap_or_else(current);
        let spot = Spot::of(&self.tools, entry, &version);
        let spot = spot.ok_or_else(|| RegistryError::VersionNotFound {
            id: order.id.clone(),
            version: version.to_string(),
            serving: false,
        })?;
        let wanted = Wanted {
            spot: spot.clone(),
            action: order.action,
            ttl: order.ttl,
            reason: order.reason,
            actor: order.actor,
        };
        if let Some(fleet) = &self.fleet {
            fleet.order(wanted).await?;
        } else {
            let now = self.tools.clock.tick();
            let until = wanted.ttl.map_or(Tick::NEVER, |ttl| now.plus(ttl));
            spot.apply(wanted.action, now, until);
            let observers = &self.tools.observers;
            observers.observe(&Observation::Ordered(wanted));
        }
        Ok(spot.listed())
    }
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Failed(error) => error.into(),
            StoreError::Unknown(error) => Self::OutcomeUnknown(error.outside()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::domain::catalog::{Catalog, Change};
    use crate::domain::testing::{change, entry, extension};
    use crate::service::observe::{Observer, Observers};
    use crate::service::testing::tools;

    /// Who ordered what, and why.
    #[derive(Default)]
    struct Told(Mutex<Vec<(String, OverrideAction, Option<String>)>>);

    impl Observer for Told {
        fn observe(&self, observation: &Observation) {
            if let Observation::Ordered(order) = observation {
                let actor = order.actor.name().to_owned();
                let order = (actor, order.action, order.reason.clone());
                self.0.lock().unwrap().push(order);
            }
        }
    }

    #[tokio::test]
    async fn an_order_that_no_audit_has_is_reported_with_who_and_why() {
        let (catalog, mut writer) = Catalog::new();
        writer.apply(Change {
            upserts: vec![entry(extension("e"))],
            ..change(1)
        });
        let told = Arc::<Told>::default();
        let tools = Tools {
            observers: Observers::new(vec![Box::new(Arc::clone(&told))]),
            ..tools(catalog)
        };
        let order = CircuitOrder {
            id: "e".to_owned(),
            version: None,
            action: OverrideAction::Close,
            ttl: None,
            reason: Some("INC-42".to_owned()),
            actor: Actor::anonymous(),
        };
        CircuitControl::new(tools, None)
            .carry_out(order)
            .await
            .unwrap();
        let expected = (
            "anonymous".to_owned(),
            OverrideAction::Close,
            Some("INC-42".to_owned()),
        );
        assert_eq!(*told.0.lock().unwrap(), [expected]);
    }
}
