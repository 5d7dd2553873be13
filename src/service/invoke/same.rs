//! An extension for tests: it answers every call with the same message, again and again, at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Cancellable, Invocation, Invoker, Messenger, Tools};
use crate::domain::call_id::CallId;
use crate::domain::catalog::{Catalog, Change};
use crate::domain::context::Context;
use crate::domain::ids::ExtensionId;
use crate::domain::lock::locked;
use crate::domain::subject::Subject;
use crate::domain::testing::{change, entry, extension_with};
use crate::service::caller::{Call, CallError, CallHeaders, Caller, Headers, Reply};
use crate::service::clock::Clock;
use crate::service::testing;

/// Until when replies were waited for.
type Waits = Arc<Mutex<Vec<Instant>>>;

/// Calls it.
#[derive(Debug)]
pub(super) struct Same {
    reply: Reply,
    waits: Waits,
    giving_up: CancellationToken,
}

/// A call of it.
#[derive(Debug)]
pub(super) struct SameCall {
    reply: Reply,
    waits: Waits,
}

impl Caller for Same {
    type Call = SameCall;

    fn call(
        &self,
        _: &Subject,
        _: &CallHeaders<'_>,
        _: &[u8],
        deadline: Instant,
    ) -> Result<SameCall, CallError> {
        if deadline <= Instant::now() {
            return Err(CallError::Timeout);
        }
        Ok(SameCall {
            reply: self.reply.clone(),
            waits: Arc::clone(&self.waits),
        })
    }

    fn is_connected(&self) -> bool {
        true
    }

    fn max_payload(&self) -> usize {
        usize::MAX
    }

    fn giving_up(&self) -> &CancellationToken {
        &self.giving_up
    }
}

impl Call for SameCall {
    async fn next(&mut self, deadline: Instant) -> Result<Reply, CallError> {
        locked(&self.waits).push(deadline);
        Ok(self.reply.clone())
    }
}

#[derive(Debug)]
struct Silent;

impl Messenger for Silent {
    fn cancelled(&self, _: &ExtensionId, _: &CallId, _: Option<u32>) {}
}

/// Calls of the extension `x`.
pub(super) struct Case {
    pub(super) tools: Tools,
    pub(super) invoker: Invoker<Same>,
    pub(super) waits: Waits,
}

impl Case {
    /// With the fields of `x` from `json`; it answers with the header `name`.
    pub(super) fn new(json: &str, (name, value): (&str, &str), clock: Clock) -> Self {
        let (catalog, mut writer) = Catalog::new();
        writer.apply(Change {
            upserts: vec![entry(extension_with("x", json))],
            ..change(1)
        });
        let tools = Tools {
            clock,
            ..testing::tools(catalog)
        };
        let mut headers = Headers::new();
        headers.push(name, value);
        let waits = Waits::default();
        let same = Same {
            reply: Reply {
                headers,
                payload: Bytes::from_static(b"{}"),
            },
            waits: Arc::clone(&waits),
            giving_up: CancellationToken::new(),
        };
        let invoker = Invoker::new(tools.clone(), same, Cancellable::new(Arc::new(Silent)));
        Self {
            tools,
            invoker,
            waits,
        }
    }
}

/// A call of `x`.
pub(super) fn invocation() -> Invocation<'static> {
    let payload: &RawValue = serde_json::from_str("{}").unwrap();
    Invocation {
        id: "x",
        version: None,
        payload,
        metadata: None,
        config: None,
        fallback_config: HashMap::new(),
        context: Context::default(),
        timeout: None,
        deadline: None,
        traceparent: None,
        tracestate: None,
        stream: false,
        call_id: None,
        received: Instant::now(),
    }
}
