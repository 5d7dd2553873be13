//! The inbox of the keeper of overrides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::domain::overload::Overload;
use crate::service::clock::standstill::timeout;
use crate::service::error::RegistryError;
use crate::service::health_store::NewOverride;
use crate::service::trouble::{DatabaseError, Trouble};

/// Orders that may wait for their turn; more are answered `overloaded`.
const MAX_ORDERS: usize = 64;
/// For an order, its turn included: the operator has an answer within five seconds.
const PATIENCE: Duration = Duration::from_millis(4800);

type Answer = oneshot::Sender<Result<(), RegistryError>>;

/// What is to be done, and where to send the result.
#[derive(Debug)]
pub enum Order {
    /// Have an override written, and apply it; whether that is done, and whether it has begun.
    Write(NewOverride, Answer, Arc<AtomicBool>),
    /// Bring the circuits in line with the store; done, or tried.
    Look(oneshot::Sender<()>),
}

/// Gives orders.
#[derive(Debug, Clone)]
pub struct OverrideHandle(mpsc::Sender<Order>);

/// Takes orders.
pub type OverrideQueue = mpsc::Receiver<Order>;

/// Both ends of a queue of orders.
pub fn orders() -> (OverrideHandle, OverrideQueue) {
    let (sender, receiver) = mpsc::channel(MAX_ORDERS);
    (OverrideHandle(sender), receiver)
}

impl OverrideHandle {
    /// Has an override written and applied here.
    ///
    /// # Errors
    /// The store is unreachable, or there are too many orders; nothing was done, unless the error
    /// says that the outcome is unknown.
    pub async fn order(&self, wanted: NewOverride) -> Result<(), RegistryError> {
        let (answer, answered) = oneshot::channel();
        let begun = Arc::<AtomicBool>::default();
        let order = Order::Write(wanted, answer, Arc::clone(&begun));
        self.0.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RegistryError::Overloaded(Overload::Requests),
            mpsc::error::TrySendError::Closed(_) => RegistryError::ShuttingDown,
        })?;
        match timeout(PATIENCE, answered).await {
            Ok(outcome) => outcome.unwrap_or(Err(match self.0.is_closed() {
                true => RegistryError::ShuttingDown,
                false => RegistryError::Internal,
            })),
            // The answer's end is dropped by now, so what has not begun never will.
            Err(_elapsed) if begun.load(Ordering::SeqCst) => Err(RegistryError::OutcomeUnknown(
                "the override got no answer".to_owned(),
            )),
            Err(_elapsed) => {
                let waited = "earlier reads or writes of overrides have not ended";
                Err(DatabaseError::new(Trouble::Slow, waited).into())
            }
        }
    }

    /// Has the circuits brought in line with the store, and returns when they are; at once where
    /// there is no room for the order.
    pub async fn look(&self) {
        let (answer, answered) = oneshot::channel();
        if self.0.try_send(Order::Look(answer)).is_ok() {
            // An end without an answer means that the process ends.
            let _ = answered.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::{advance, sleep};

    use super::*;
    use crate::domain::actor::Actor;
    use crate::domain::ids::{ExtensionId, VersionName};
    use crate::service::health_store::OverrideAction;

    const MOMENT: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_had_no_chance_while_we_stood_still_is_waited_for() {
        let wanted = NewOverride {
            extension: ExtensionId::parse("e").unwrap(),
            incarnation: None,
            version: VersionName::parse("v1").unwrap(),
            action: OverrideAction::Open,
            ttl: None,
            reason: None,
            actor: Actor::anonymous(),
        };
        let (handle, mut queue) = orders();
        let mut ordering = pin!(handle.order(wanted));
        assert!(futures_util::poll!(&mut ordering).is_pending());
        let Some(Order::Write(_, answer, begun)) = queue.recv().await else {
            panic!("it is to be written");
        };
        begun.store(true, Ordering::SeqCst);
        advance(PATIENCE + 3 * MOMENT).await;
        let answering = async {
            sleep(MOMENT).await;
            answer.send(Ok(())).unwrap();
        };
        let (ordered, ()) = tokio::join!(ordering, answering);
        assert_eq!(ordered, Ok(()));
    }
}
