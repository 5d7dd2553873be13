//! Asking extensions that are out of service whether they are alive, and enabling them again.
//!
//! One sidecar of the fleet does, the one that holds the lease; the others ask for the lease at the
//! times at which they would probe, so a holder that dies is followed within a lease and a round.

mod lease;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::domain::entry::{Entry, Refusal};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::probe;
use crate::domain::routing::Resolved;
use crate::domain::subject::Subject;
use crate::service::boundary::survived;
use crate::service::caller::{CallHeaders, Caller};
use crate::service::health_store::{AutoSwitch, StoreError};
use crate::service::invoke::{ERROR_CODE, Tools};
use crate::service::observe::Observation;
use crate::service::patience::{Patience, Wait};
use lease::Lease;
use schedule::{Out, Schedule};

/// Probes under way at a time: the mux has places for them beside the calls of routers.
const AT_A_TIME: usize = 4;
/// How often the catalog is looked at for extensions that went out of service or came back.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Writes as a JSON document why an extension is taken back into service, for its audit entry and its
/// event: the version that answered, and how long it took.
pub type WriteEnableCause = fn(&VersionName, Duration) -> String;

/// Probes auto-disabled extensions.
#[derive(Debug)]
pub struct Prober<S, C> {
    /// Knows which sidecar probes, and enables for the fleet.
    pub store: Arc<S>,
    /// Sends the probes.
    pub caller: C,
    /// The catalog, and the observers.
    pub tools: Tools,
    /// Revisions of the catalog as they are applied.
    pub applied: watch::Receiver<Option<u64>>,
    /// Whether one that is alive is enabled again, or only reported.
    pub enable: bool,
    /// The document of a cause.
    pub write_cause: WriteEnableCause,
}

impl<S: AutoSwitch, C: Caller> Prober<S, C> {
    /// Probes until `stop`, then gives the lease back.
    pub async fn run(self, stop: CancellationToken) {
        let mut lease = Lease::new(Arc::clone(&self.store));
        let probing = async {
            loop {
                // It has no end of its own.
                survived(&self.tools.observers, self.probe_all(&mut lease)).await;
                sleep(LOOK_EVERY).await;
            }
        };
        stop.run_until_cancelled(probing).await;
        lease.release().await;
    }

    async fn probe_all(&self, lease: &mut Lease<S>) {
        let (mut schedule, mut applied) = (Schedule::default(), self.applied.clone());
        let observers = &self.tools.observers;
        let mut running = FuturesUnordered::new();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        applied.mark_changed();
        loop {
            let room = running.len() < AT_A_TIME;
            tokio::select! {
                _ = look.tick() => if applied.has_changed().unwrap_or(false) {
                    applied.mark_unchanged();
                    schedule.follow(self.out_of_service(), Instant::now());
                },
                Some(_) = running.next(), if !running.is_empty() => {}
                id = schedule.due(), if room => match self.may_probe(lease).await {
                    Ok(true) => running.push(survived(observers, self.visit(id))),
                    Ok(false) => {}
                    Err(error) => observers.store_failed("taking the probe lease", error),
                },
            }
        }
    }

    /// Whether this sidecar probes now. One whose own link is down leaves the lease to others.
    async fn may_probe(&self, lease: &mut Lease<S>) -> Result<bool, StoreError> {
        Ok(self.caller.is_connected() && lease.hold().await?)
    }

    /// Which extensions are to be probed, and how often.
    fn out_of_service(&self) -> impl Iterator<Item = Out> {
        let (catalog, runtimes) = (self.tools.selector.catalog(), &self.tools.runtimes);
        catalog.out_of_service().into_iter().filter_map(move |id| {
            let entry = catalog.get(&id)?;
            let out = entry.admitted() == Err(Refusal::AutoDisabled);
            out.then(|| Out {
                incarnation: entry.extension().incarnation,
                every: runtimes.setup(&entry).limits.breaker.open_time,
                id,
            })
        })
    }

    /// Probes one extension and does what follows.
    async fn visit(&self, id: ExtensionId) {
        let entry = self.tools.selector.catalog().get(&id);
        let out = |entry: &Arc<Entry>| entry.admitted() == Err(Refusal::AutoDisabled);
        let Some(entry) = entry.filter(out) else {
            return;
        };
        let Some(current) = entry.current() else {
            return;
        };
        let resolved = current.candidate.resolve(entry.extension());
        let begun = Instant::now();
        if self.probe(&resolved, begun).await != Some(true) {
            return;
        }
        let observers = &self.tools.observers;
        if !self.enable {
            observers.observe(&Observation::ProbeAnswered(id));
            return;
        }
        let took = self.tools.clock.awake_since(begun.into_std());
        let cause = (self.write_cause)(resolved.version, took);
        let incarnation = entry.extension().incarnation;
        match self.store.auto_enable(&id, incarnation, &cause).await {
            Ok(Some(revision)) => observers.observe(&Observation::AutoSwitched {
                id,
                disabled: false,
                revision,
            }),
            Ok(None) => {}
            // The next probe tries again.
            Err(error) => observers.store_failed("auto-enabling", error),
        }
    }

    /// Whether the version answers; `None` when it must not be asked, or that is unknown.
    async fn probe(&self, resolved: &Resolved<'_>, begun: Instant) -> Option<bool> {
        let body = probe::body(resolved)?;
        let timeout = Duration::from_millis(resolved.timeout_ms.into());
        let ends = begun + timeout;
        let headers = CallHeaders {
            trace: None,
            attempt: None,
            id: &resolved.extension.id,
            version: resolved.version,
            left: timeout,
            stream: false,
            call_id: None,
        };
        let subject = destination(resolved);
        let call = self.caller.call(subject, &headers, body.as_ref(), ends);
        let patience = Patience {
            clock: self.tools.clock,
            observers: &self.tools.observers,
            id: &resolved.extension.id,
        };
        let wait = Wait {
            begun,
            ends,
            deadline: None,
        };
        let reply = patience.next(&mut call.ok()?, wait).await.ok()?;
        let error_code = reply.headers.get(ERROR_CODE);
        Some(probe::is_alive(error_code, &reply.payload))
    }
}

/// Where calls would go: any of the instances, else the version's own subject.
fn destination<'a>(resolved: &Resolved<'a>) -> &'a Subject {
    let instances: Vec<_> = resolved.instances().collect();
    let pick = rand::random_range(0..instances.len().max(1));
    let instance = instances.get(pick);
    instance.map_or(resolved.subject, |instance| &instance.subject)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::domain::catalog::{Catalog, Change};
    use crate::domain::extension::Extension;
    use crate::domain::testing::{change, entry, extension};
    use crate::service::caller::{Call, CallError, Reply};
    use crate::service::fleet::testing::Store;
    use crate::service::testing::tools;

    /// A link that is up or down, over which nobody answers.
    #[derive(Debug, Default)]
    struct Line {
        up: AtomicBool,
        giving_up: CancellationToken,
    }

    #[derive(Debug)]
    struct NoCall;

    impl Caller for Arc<Line> {
        type Call = NoCall;

        fn call(
            &self,
            _: &Subject,
            _: &CallHeaders<'_>,
            _: &[u8],
            _: Instant,
        ) -> Result<NoCall, CallError> {
            Err(CallError::Disconnected)
        }

        fn is_connected(&self) -> bool {
            self.up.load(Ordering::Relaxed)
        }

        fn max_payload(&self) -> usize {
            usize::MAX
        }

        fn giving_up(&self) -> &CancellationToken {
            &self.giving_up
        }
    }

    impl Call for NoCall {
        async fn next(&mut self, _: Instant) -> Result<Reply, CallError> {
            Err(CallError::Closed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sidecar_that_cannot_ask_leaves_the_lease_to_others() {
        let (catalog, mut writer) = Catalog::new();
        let out = Extension {
            auto_disabled: true,
            ..extension("e")
        };
        writer.apply(Change {
            upserts: vec![entry(out)],
            ..change(1)
        });
        let (store, line) = (Arc::<Store>::default(), Arc::<Line>::default());
        let (_revisions, applied) = watch::channel(Some(1));
        let prober = Prober {
            store: Arc::clone(&store),
            caller: Arc::clone(&line),
            tools: tools(catalog),
            applied,
            enable: true,
            write_cause: |_, _| String::new(),
        };
        let stop = CancellationToken::new();
        let probing = tokio::spawn(prober.run(stop.clone()));
        let asked = || store.0.load(Ordering::Relaxed);
        sleep(10 * LOOK_EVERY).await;
        assert_eq!(asked(), 0);
        line.up.store(true, Ordering::Relaxed);
        sleep(10 * LOOK_EVERY).await;
        assert_ne!(asked(), 0);
        stop.cancel();
        probing.await.unwrap();
    }
}
