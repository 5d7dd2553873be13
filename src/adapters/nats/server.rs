//! The NATS side as a whole: connect, serve, drain, close.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connect::Purpose;
use super::control::ControlServer;
use super::discovery::{Discovery, Question};
use super::endpoints::Endpoints;
use super::events::{EventQueue, Publisher};
use super::intake::{Subscribed, Subscription};
use super::invoke::InvokeServer;
use super::lane::{Lane, LaneError};
use super::link::lane;
use super::lookups::LookupServer;
use super::mux::Mux;
use super::replies::{ReplyRules, Responder};
use super::respond::Respond;
use super::subjects::{Layout, Route};
use super::verb::Verb;
use super::verbs::Verbs;
use crate::config::NatsSettings;
use crate::service::invoke::{Invoker, Tools};
use crate::service::lookup::Lookups;
use crate::service::observe::Observers;
use crate::service::progress::Progress;
use crate::service::read::Reads;
use crate::service::status::{INVOCATIONS, Status};

/// The lane that lookups are answered on.
const LOOKUP: &str = "lookup";

const CONTROL: Purpose = Purpose {
    name: "control",
    subscription_capacity: 2048,
    event_interval: 1,
};

/// The mux receives all replies on one subscription: it has to hold what a server can send between
/// two turns of the thread, many small chunks at worst.
const INVOKE: Purpose = Purpose {
    name: INVOCATIONS,
    subscription_capacity: 65_536,
    event_interval: 61,
};

/// Everything the NATS side needs from the rest.
#[derive(Debug)]
#[expect(missing_docs, reason = "named after what they are")]
pub struct Parts {
    pub layout: Layout,
    pub reply_rules: Arc<ReplyRules>,
    pub lookups: Arc<Lookups>,
    pub verbs: Arc<Verbs>,
    pub tools: Tools,
    pub reads: Arc<Reads>,
    pub max_in_flight: usize,
    pub progress: Progress,
    pub status: Arc<Status>,
    pub observers: Observers,
}

/// All connections, before or after requests are served on them.
#[derive(Debug)]
pub struct Links {
    lookup: lane::Lane<Route>,
    control: Lane,
    invoke: Lane,
    mux: Arc<Mux>,
}

/// A NATS side that serves.
#[derive(Debug)]
pub struct Server {
    links: Links,
    drain: CancellationToken,
    give_up: CancellationToken,
    tasks: TaskTracker,
    loops: JoinSet<&'static str>,
}

/// What the loops get at least to unsubscribe and to hand out what had arrived.
const DRAIN: Duration = Duration::from_millis(400);

/// For the replies to what was given up.
const REPLIES: Duration = Duration::from_millis(300);

/// Calls of our own that need a place beside those of routers.
const PROBES: u32 = 16;

/// Opens all connections; returns before a server has answered.
pub async fn connect(
    settings: &NatsSettings,
    instance_id: &str,
    max_in_flight: usize,
    status: &Arc<Status>,
    observers: &Observers,
) -> Result<Links, LaneError> {
    let lane = |purpose| {
        let (settings, instance_id) = (settings.clone(), instance_id.to_owned());
        Lane::start(
            settings,
            instance_id,
            purpose,
            Arc::clone(status),
            observers.clone(),
        )
    };
    let lookup = lane::Lane::start(
        settings.clone(),
        instance_id,
        LOOKUP,
        Arc::clone(status),
        observers.clone(),
    );
    let lookup = lookup.map_err(|error| LaneError::Thread(LOOKUP, error))?;
    let (control, invoke) = tokio::try_join!(lane(CONTROL), lane(INVOKE))?;
    let pending = u32::try_from(max_in_flight).unwrap_or(u32::MAX);
    let mux = Mux::start(&invoke, pending.saturating_add(PROBES)).await?;
    Ok(Links {
        lookup,
        control,
        invoke,
        mux: Arc::new(mux),
    })
}

impl Links {
    /// What calls extensions.
    pub fn caller(&self) -> Arc<Mux> {
        Arc::clone(&self.mux)
    }

    /// Publishes events on the control connection, until `stop`.
    pub fn publish_events(
        &self,
        events: EventQueue,
        layout: Layout,
        observers: Observers,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let connection = Arc::clone(self.control.connection());
        let publisher = Publisher::new(connection, self.control.events(), layout, observers);
        let publishing = self.control.runtime().spawn(publisher.run(events, stop));
        async move { drop(publishing.await) }
    }

    /// Subscribes to everything and returns when the servers have confirmed it.
    pub async fn serve(self, parts: Parts) -> Result<Server, LaneError> {
        let (drain, give_up) = (CancellationToken::new(), CancellationToken::new());
        let (endpoints, tasks) = (Arc::new(Endpoints::default()), TaskTracker::new());
        let mut loops = JoinSet::new();
        let responder = |lane: &Lane| {
            let (rules, status) = (Arc::clone(&parts.reply_rules), Arc::clone(&parts.status));
            Responder::new(lane, rules, status)
        };

        parts.reply_rules.never(self.mux.inbox_prefix());
        let lookups = LookupServer {
            lookups: parts.lookups,
            progress: parts.progress,
            respond: Respond::new(Arc::clone(&parts.reply_rules), Arc::clone(&parts.status)),
            outbox: Arc::clone(self.lookup.outbox()),
            endpoints: Arc::clone(&endpoints),
            spans: parts.tools.spans.clone(),
            runtime: Handle::current(),
            observers: parts.observers.clone(),
            waiting: tasks.clone(),
            give_up: give_up.clone(),
        };
        let subscriptions = parts.layout.subscriptions(Verb::Lookup);
        self.lookup.serve(subscriptions, Box::new(lookups));

        let subscriptions = parts.layout.subscriptions(Verb::Invoke);
        let intake = Subscribed::new(&self.invoke, subscriptions, drain.clone()).await?;
        let invocations = InvokeServer {
            invoker: Invoker::new(parts.tools, Arc::clone(&self.mux)),
            reads: parts.reads,
            responder: responder(&self.invoke),
            endpoints: Arc::clone(&endpoints),
            tasks: tasks.clone(),
            places: Arc::new(Semaphore::new(parts.max_in_flight)),
            observers: parts.observers.clone(),
            give_up: give_up.clone(),
        };
        loops.spawn_on(
            named("invocations", invocations.run(intake)),
            self.invoke.runtime(),
        );

        let others = Verb::ALL.into_iter().filter(|verb| !verb.has_own_loop());
        let subscriptions = others.flat_map(|verb| parts.layout.subscriptions(verb));
        let intake = Subscribed::new(&self.control, subscriptions, drain.clone()).await?;
        let control = ControlServer::new(
            parts.verbs.clone(),
            responder(&self.control),
            Arc::clone(&endpoints),
            Handle::current(),
            tasks.clone(),
            give_up.clone(),
            parts.observers.clone(),
        );
        loops.spawn_on(
            named("control", control.run(intake)),
            self.control.runtime(),
        );

        let questions = Question::subjects(&parts.layout.instance_id).into_iter();
        let subscriptions = questions.map(|(subject, tag)| Subscription {
            subject,
            queue_group: None,
            tag,
        });
        let intake = Subscribed::new(&self.control, subscriptions, drain.clone()).await?;
        let discovery = Discovery {
            layout: parts.layout,
            endpoints,
            sidecar: Arc::clone(&parts.verbs.desk.stats),
            responder: responder(&self.control),
            observers: parts.observers,
        };
        loops.spawn_on(
            named("discovery", discovery.run(intake)),
            self.control.runtime(),
        );

        self.lookup.confirmed().await;
        self.control.round_trip().await?;
        self.invoke.round_trip().await?;
        Ok(Server {
            links: self,
            drain,
            give_up,
            tasks,
            loops,
        })
    }

    /// Closes all connections, until `end`.
    pub async fn close(self, end: Instant) {
        tokio::join!(
            self.lookup.close(end),
            self.control.close(end),
            self.invoke.close(end)
        );
    }
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

impl Server {
    /// Waits until one of the loops ends, which none does before the drain.
    pub async fn death(&mut self) -> &'static str {
        match self.loops.join_next().await {
            Some(Ok(name)) => name,
            _ => "NATS",
        }
    }

    /// Takes no more requests, finishes what was accepted until `deadline`, and answers
    /// `shutting_down` to what remains, until `end` at the latest. Returns the connections, and how
    /// many requests had to be given up.
    pub async fn finish(mut self, deadline: Instant, end: Instant) -> (Links, usize) {
        self.drain.cancel();
        // However short the grace: what the server has sent by now must at least be answered.
        let drained = deadline.max(Instant::now() + DRAIN).min(end);
        let lookups = self.links.lookup.drain(drained);
        let others =
            async { while let Ok(Some(_)) = timeout_at(drained, self.loops.join_next()).await {} };
        tokio::join!(lookups, others);
        self.tasks.close();
        let finished = timeout_at(deadline, self.tasks.wait()).await.is_ok();
        let given_up = if finished { 0 } else { self.tasks.len() };
        self.give_up.cancel();
        // Only the replies are missing now. A connection that takes none must not keep us.
        let replied = end.min(Instant::now() + REPLIES);
        let _ = timeout_at(replied, self.tasks.wait()).await;
        (self.links, given_up)
    }
}
