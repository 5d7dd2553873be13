use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::domain::breaker::Tick;
use crate::domain::call_id::CallId;
use crate::domain::catalog::{Catalog, CatalogWriter, Change};
use crate::domain::extension::{Extension, Version};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::subject::Subject;
use crate::domain::testing::{change, context, entry, extension_with, rules, version};
use crate::service::caller::{Call, CallError, CallHeaders, Caller, Reply};
use crate::service::circuits::Circuit;
use crate::service::error::{RegistryError, Unavailable};
use crate::service::invoke::{Cancellable, Follower, Invocation, Invoker, Messenger, Tools};
use crate::service::testing;

/// A link that is down.
#[derive(Debug, Default)]
struct Nobody(CancellationToken);

#[derive(Debug)]
struct NoCall;

impl Caller for Nobody {
    type Call = NoCall;

    fn call(
        &self,
        _: &Subject,
        _: &CallHeaders<'_>,
        _: &[u8],
        deadline: tokio::time::Instant,
    ) -> Result<NoCall, CallError> {
        Err(match deadline <= tokio::time::Instant::now() {
            true => CallError::Timeout,
            false => CallError::Disconnected,
        })
    }

    fn is_connected(&self) -> bool {
        false
    }

    fn max_payload(&self) -> usize {
        usize::MAX
    }

    fn giving_up(&self) -> &CancellationToken {
        &self.0
    }
}

impl Call for NoCall {
    async fn next(&mut self, _: tokio::time::Instant) -> Result<Reply, CallError> {
        Err(CallError::Closed)
    }
}

#[derive(Debug)]
struct Silent;

impl Messenger for Silent {
    fn cancelled(&self, _: &ExtensionId, _: &CallId, _: Option<u32>) {}
}

/// Calls of `x`: `v1` for all, `v2` for acme.
struct Case {
    writer: CatalogWriter,
    tools: Tools,
    invoker: Invoker<Nobody>,
}

impl Case {
    fn new(json: &str) -> Self {
        let (catalog, mut writer) = Catalog::new();
        let x = Extension {
            versions: vec![Version {
                routing_rules: rules(r#"{"tenant_id":"acme"}"#),
                ..version("v2")
            }],
            ..extension_with("x", json)
        };
        writer.apply(Change {
            upserts: vec![entry(x)],
            ..change(1)
        });
        let tools = testing::tools(catalog);
        let cancellable = Cancellable::new(Arc::new(Silent));
        let invoker = Invoker::new(tools.clone(), Nobody::default(), cancellable);
        Self {
            writer,
            tools,
            invoker,
        }
    }

    fn circuit(&self, version: &str) -> Arc<Circuit> {
        let x = self.tools.selector.catalog().get("x").unwrap();
        let version = VersionName::parse(version).unwrap();
        let setup = self.tools.runtimes.setup(&x);
        let settings = || setup.limits.breaker.clone();
        let circuits = &self.tools.circuits;
        circuits.get_or_create(x.extension(), &version, settings)
    }
}

fn invocation(tenant: &str) -> Invocation<'static> {
    let payload: &RawValue = serde_json::from_str("{}").unwrap();
    Invocation {
        id: "x",
        version: None,
        payload,
        metadata: None,
        config: None,
        fallback_config: HashMap::new(),
        context: context(&format!(r#"{{"tenant_id":"{tenant}"}}"#)),
        timeout: None,
        deadline: None,
        traceparent: None,
        tracestate: None,
        stream: false,
        call_id: None,
        received: tokio::time::Instant::now(),
    }
}

#[test]
fn of_calls_that_come_together_no_more_choose_a_failing_version_than_its_trials_allow() {
    let case = Case::new("{}");
    let canary = case.circuit("v2");
    canary.restore_open(case.tools.clock.tick(), Duration::ZERO);
    let accepted: Vec<_> = (0..5)
        .map(|_| case.invoker.accept(&mut invocation("acme")).unwrap())
        .collect();
    let versions = accepted.iter().map(|it| it.plan.version().as_str());
    // It has three trials.
    let versions: Vec<_> = versions.collect();
    assert_eq!(versions, ["v2", "v2", "v2", "v1", "v1"]);
    drop(accepted);
    let again = case.invoker.accept(&mut invocation("acme")).unwrap();
    assert_eq!(again.plan.version().as_str(), "v2", "trials come back");
}

#[tokio::test(start_paused = true)]
async fn what_an_open_circuit_refuses_waits_for_no_place() {
    let case = Case::new(r#"{"metadata":{"max_in_flight":1}}"#);
    let one = case.invoker.accept(&mut invocation("one")).unwrap();
    let now = case.tools.clock.tick();
    case.circuit("v1").force_open(now, Tick::NEVER);
    for tenant in ["one", "two"] {
        // The place is taken, and the second tenant has a right to the next one.
        let accepted = case.invoker.accept(&mut invocation(tenant)).unwrap();
        let refused = case.invoker.call(accepted).await;
        let error = refused.unwrap_err();
        let is_refused = matches!(
            error,
            RegistryError::ExtensionUnavailable {
                why: Unavailable::CircuitOpen { .. },
                ..
            }
        );
        assert!(is_refused, "{tenant}: {error:?}");
    }
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_a_place_asks_again() {
    let case = Case::new(r#"{"metadata":{"max_in_flight":1}}"#);
    let one = case.invoker.accept(&mut invocation("one")).unwrap();
    let two = case.invoker.accept(&mut invocation("two")).unwrap();
    let now = case.tools.clock.tick();
    case.circuit("v1").force_open(now, Tick::NEVER);
    drop(one);
    let error = case.invoker.call(two).await.unwrap_err();
    let RegistryError::ExtensionUnavailable { why, .. } = &error else {
        panic!("{error:?}");
    };
    let retry_after_ms = None;
    assert_eq!(*why, Unavailable::CircuitOpen { retry_after_ms });
}

#[tokio::test(start_paused = true)]
async fn who_waited_while_the_extension_was_deleted_makes_no_circuit_of_it() {
    let mut case = Case::new(r#"{"metadata":{"max_in_flight":1}}"#);
    let one = case.invoker.accept(&mut invocation("one")).unwrap();
    let two = case.invoker.accept(&mut invocation("two")).unwrap();
    case.writer.apply(Change {
        removals: vec![ExtensionId::parse("x").unwrap()],
        ..change(2)
    });
    Follower::new(case.tools.clone()).follow();
    drop(one);
    let error = case.invoker.call(two).await.unwrap_err();
    let RegistryError::ExtensionUnavailable { why, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*why, Unavailable::LinkDown, "it went on");
    let left = case.tools.circuits.get("x", "v1");
    assert!(left.is_none(), "another `x` has one of its own");
}

/// There is nothing at the extension that it could end.
#[tokio::test(start_paused = true)]
async fn of_a_call_whose_deadline_passed_before_it_was_sent_its_extension_hears_nothing() {
    let case = Case::new("{}");
    let mut late = invocation("acme");
    late.call_id = Some(CallId::of(7));
    late.deadline = Some(late.received);
    let accepted = case.invoker.accept(&mut late).unwrap();
    case.invoker.call(accepted).await.unwrap_err();
    let runtime = case.tools.runtimes.get("x").unwrap();
    assert_eq!(runtime.meter.cancelled.get(), 0);
}
