//! Calls that can be cancelled, and the message to their extension.
//!
//! Only calls with an id are known here: all others pay nothing for it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use super::runtime::Runtime;
use crate::domain::call_id::CallId;
use crate::domain::ids::ExtensionId;
use crate::domain::lock::locked;
use crate::domain::outcome::Ended;
use crate::domain::overload::Overload;

/// Informs extensions, so that they need not go on.
pub trait Messenger: Debug + Send + Sync + 'static {
    /// The attempt number `attempt` of a call at `id`, or the whole call, was cancelled. One that
    /// does not hear of it loses nothing.
    fn cancelled(&self, id: &ExtensionId, call: &CallId, attempt: Option<u32>);
}

/// The calls under way that have an id: no more than there are places for calls.
#[derive(Debug)]
pub struct Cancellable {
    calls: Mutex<HashMap<CallId, Vec<CancellationToken>, foldhash::fast::RandomState>>,
    messenger: Arc<dyn Messenger>,
}

/// A call that is known by its id, as long as this exists.
#[derive(Debug)]
pub(super) struct Known {
    id: CallId,
    /// Ends the call.
    pub(super) cancel: CancellationToken,
    all: Arc<Cancellable>,
}

impl Cancellable {
    /// None yet; extensions are informed by `messenger`.
    pub fn new(messenger: Arc<dyn Messenger>) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            messenger,
        })
    }

    /// Cancels all calls that `id` names; how many that are.
    pub fn cancel(&self, id: &str) -> usize {
        let named = locked(&self.calls).get(id).cloned().unwrap_or_default();
        for call in &named {
            call.cancel();
        }
        named.len()
    }

    pub(super) fn know(self: &Arc<Self>, id: CallId) -> Known {
        let cancel = CancellationToken::new();
        let mut calls = locked(&self.calls);
        calls.entry(id.clone()).or_default().push(cancel.clone());
        drop(calls);
        Known {
            id,
            cancel,
            all: Arc::clone(self),
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut calls = locked(&self.all.calls);
        let Some(named) = calls.get_mut(&self.id) else {
            return;
        };
        // Which of them it is only matters for what can still be cancelled.
        named.retain(|cancel| *cancel != self.cancel);
        if named.is_empty() {
            calls.remove(&self.id);
        }
    }
}

/// An attempt of a call with an id, whose answer is awaited. Dropped without
/// [`answered`](Self::answered) or [`late`](Self::late), the call counts as cancelled, and its
/// extension hears of that.
#[derive(Debug)]
pub(super) struct Awaited {
    plan: Arc<Plan>,
    runtime: Arc<Runtime>,
    attempt: u32,
    over: bool,
}

impl Awaited {
    /// The attempt number `attempt`; `None` for a call without an id.
    pub(super) fn of(plan: &Arc<Plan>, runtime: &Arc<Runtime>, attempt: u32) -> Option<Self> {
        plan.known.as_ref()?;
        Some(Self {
            plan: Arc::clone(plan),
            runtime: Arc::clone(runtime),
            attempt,
            over: false,
        })
    }

    /// Its answer is here, or none will come.
    pub(super) fn answered(mut self) {
        self.over = true;
    }

    /// No answer came: `ended` has the cause.
    pub(super) fn unanswered(self, ended: &Ended<'_>) {
        // Its first piece was lost, and no other attempt follows: it goes on, unread.
        let lost = matches!(
            ended,
            Ended::Overloaded(Overload::Bytes) | Ended::Unreadable
        );
        match ended.ran_out_of_time() {
            true => self.late(),
            false if lost && self.plan.stream => drop(self),
            false => self.answered(),
        }
    }

    /// It ran out of time: its extension may still be at work, and hears of it.
    pub(super) fn late(mut self) {
        self.over = true;
        self.tell(Some(self.attempt));
    }

    fn tell(&self, attempt: Option<u32>) {
        if let Some(known) = &self.plan.known {
            let id = &self.plan.target.resolved().extension.id;
            known.all.messenger.cancelled(id, &known.id, attempt);
            self.runtime.meter.cancelled.add(1);
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if !self.over {
            self.tell(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Silent;

    impl Messenger for Silent {
        fn cancelled(&self, _: &ExtensionId, _: &CallId, _: Option<u32>) {}
    }

    #[test]
    fn every_call_of_an_id_is_cancelled_and_no_other_is_known() {
        let all = Cancellable::new(Arc::new(Silent));
        let know = |id| all.know(CallId::parse(id).unwrap());
        let (a, same, b) = (know("a"), know("a"), know("b"));
        drop(know("a"));
        assert_eq!((all.cancel("a"), all.cancel("nobody")), (2, 0));
        let cancelled = [&a, &same, &b].map(|known| known.cancel.is_cancelled());
        assert_eq!(cancelled, [true, true, false]);
        drop((a, same, b));
        assert!(locked(&all.calls).is_empty(), "nothing stays behind");
    }
}
