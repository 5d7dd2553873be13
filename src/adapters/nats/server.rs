//! The NATS side as a whole: connect, serve, drain, close.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::Calls;
use super::control::{self, Asked, Budgets, ControlServer};
use super::discovery::{Discovery, Question};
use super::events::{EventQueue, Losses, Publisher};
use super::invoke::{InvokeServer, Messenger};
use super::link::lane::{Companion, Lane, Start, Subscription, ThreadError};
use super::link::outbox::Outbox;
use super::lookups::LookupServer;
use super::replies::ReplyRules;
use super::respond::Respond;
use super::subjects::{Layout, Route};
use super::verb::Verb;
use super::verbs::Verbs;
use crate::config::LimitSettings;
use crate::service::budget::Budget;
use crate::service::clock::standstill::overslept;
use crate::service::invoke::{Cancellable, Invoker};
use crate::service::lookup::Lookups;
use crate::service::observe::Observers;
use crate::service::status::{INVOCATIONS, Status};

/// The lane that lookups are answered on.
const LOOKUP: &str = "lookup";
/// The lane of all other verbs, of discovery and of events.
const CONTROL: &str = "control";
/// For the replies to what was given up.
const REPLIES: Duration = Duration::from_millis(300);
/// What the drain gets at least, to unsubscribe and to answer what had arrived.
const DRAIN: Duration = Duration::from_millis(400);
/// Our own calls, which need places besides those for routers.
const PROBES: u32 = 16;

/// Everything the NATS side needs from the rest.
#[derive(Debug)]
#[expect(missing_docs, reason = "named after what they are")]
pub struct Parts {
    pub layout: Layout,
    pub reply_prefixes: Vec<String>,
    pub lookups: Arc<Lookups>,
    pub verbs: Arc<Verbs>,
    pub max_in_flight: usize,
    pub status: Arc<Status>,
    pub observers: Observers,
}

/// All connections, before or after requests are served on them.
#[derive(Debug)]
pub struct Links {
    lookup: Lane<Route>,
    control: Lane<Asked>,
    invoke: Lane<Route>,
    /// What calls extensions.
    pub calls: Arc<Calls>,
}

/// A NATS side that serves.
#[derive(Debug)]
pub struct Server {
    links: Links,
    give_up: CancellationToken,
    tasks: TaskTracker,
}

/// Opens all connections; returns before a server has answered. `losses` hears of events that the
/// server does not publish.
///
/// # Errors
/// No threads can be had.
pub fn connect(
    start: Start<'_>,
    limits: &LimitSettings,
    losses: Arc<Losses>,
) -> Result<Links, ThreadError> {
    let outbox = Arc::<Outbox>::default();
    let max_pending = u32::try_from(limits.max_in_flight).unwrap_or(u32::MAX);
    let calls = Arc::new(Calls::new(
        Arc::clone(&outbox),
        start.settings.inbox_prefix.as_str(),
        max_pending.saturating_add(PROBES),
        Budget::new(limits.max_in_flight_bytes),
        Handle::current(),
        start.observers.clone(),
        limits.max_payload_bytes,
    ));
    let companion = Arc::clone(&calls) as Arc<dyn Companion>;
    Ok(Links {
        lookup: start.lane(LOOKUP, Arc::default(), Arc::new(()))?,
        control: start.lane(CONTROL, Arc::default(), losses)?,
        invoke: start.lane(INVOCATIONS, outbox, companion)?,
        calls,
    })
}

impl Links {
    /// Publishes events on the control connection, until `stop`.
    pub fn publish_events(
        &self,
        events: EventQueue,
        losses: Arc<Losses>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let publisher = Publisher {
            outbox: Arc::clone(self.control.outbox()),
            up: self.control.up(),
            losses,
        };
        publisher.run(events, stop)
    }

    /// Subscribes to everything, now or with the first connection.
    pub fn serve(self, parts: Parts) -> Server {
        let (give_up, tasks) = (CancellationToken::new(), TaskTracker::new());
        let budgets = Budgets::default();
        let (desk, tools) = (Arc::clone(&parts.verbs.desk), parts.verbs.tools.clone());
        let rules = ReplyRules {
            prefixes: parts.reply_prefixes,
            own: self.calls.inbox_prefix.clone(),
            observers: parts.observers,
        };
        let respond = Respond::new(rules, parts.status);

        let lookups = LookupServer {
            lookups: parts.lookups,
            progress: desk.progress.clone(),
            respond: respond.over(self.lookup.outbox()),
            spans: tools.spans.clone(),
            runtime: Handle::current(),
            waiting: tasks.clone(),
            budgets: budgets.clone(),
            give_up: give_up.clone(),
        };
        let subscriptions = parts.layout.subscriptions(Verb::Lookup);
        self.lookup.serve(subscriptions, Box::new(lookups));

        let cancellable = Cancellable::new(Arc::new(Messenger {
            outbox: Arc::clone(self.invoke.outbox()),
            layout: parts.layout.clone(),
        }));
        let calls = Arc::clone(&self.calls);
        let invocations = Arc::new(InvokeServer {
            invoker: Invoker::new(tools, calls, Arc::clone(&cancellable)),
            calls: Arc::clone(&self.calls),
            desk,
            respond: respond.over(self.invoke.outbox()),
            tasks: tasks.clone(),
            max_in_flight: parts.max_in_flight,
            in_flight: AtomicUsize::new(0),
            instance_id: parts.layout.instance_id.clone(),
        });
        let subscriptions = parts.layout.subscriptions(Verb::Invoke);
        self.invoke.serve(subscriptions, Box::new(invocations));

        let subscriptions = control_subscriptions(&parts.layout);
        let control = Arc::new(ControlServer {
            discovery: Discovery {
                layout: parts.layout,
                endpoints: Arc::clone(&respond.endpoints),
                sidecar: Arc::clone(&parts.verbs.desk.stats),
            },
            verbs: parts.verbs,
            cancellable,
            respond: respond.over(self.control.outbox()),
            workers: Handle::current(),
            tasks: tasks.clone(),
            places: control::places(),
            budgets,
            give_up: give_up.clone(),
        });
        self.control.serve(subscriptions, Box::new(control));

        Server {
            links: self,
            give_up,
            tasks,
        }
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

/// Every subject that a daemon serves, with its queue group if it has one.
pub fn subscriptions(layout: &Layout) -> Vec<(String, Option<String>)> {
    let own = Verb::ALL.into_iter().filter(|verb| verb.has_own_lane());
    let own = own.flat_map(|verb| layout.subscriptions(verb));
    let own = own.map(|subscription| (subscription.subject, subscription.queue_group));
    let control = control_subscriptions(layout).into_iter();
    let control = control.map(|subscription| (subscription.subject, subscription.queue_group));
    own.chain(control).collect()
}

/// The most subscriptions that one of a daemon's connections has, its inbox included.
pub fn most_subscriptions(layout: &Layout) -> usize {
    let invoke = layout.subscriptions(Verb::Invoke).len() + 1;
    let lookup = layout.subscriptions(Verb::Lookup).len();
    control_subscriptions(layout).len().max(invoke).max(lookup)
}

fn control_subscriptions(layout: &Layout) -> Vec<Subscription<Asked>> {
    let verbs = Verb::ALL.into_iter().filter(|verb| !verb.has_own_lane());
    let requests = verbs.flat_map(|verb| layout.subscriptions(verb));
    let requests = requests.map(|subscription| Subscription {
        subject: subscription.subject,
        queue_group: subscription.queue_group,
        tag: Asked::Verb(subscription.tag),
    });
    let questions = Question::subjects(&layout.instance_id).into_iter();
    let questions = questions.map(|(subject, question)| Subscription {
        subject,
        queue_group: None,
        tag: Asked::Discovery(question),
    });
    requests.chain(questions).collect()
}

impl Server {
    /// Waits until the servers have confirmed that they have seen every subscription, and refuse none
    /// for lookups and calls. Without another verb a sidecar still does what routers need.
    pub async fn confirmed(&self) {
        let links = &self.links;
        tokio::join!(
            links.lookup.subscribed(),
            links.control.confirmed(),
            links.invoke.subscribed()
        );
    }

    /// Takes no more requests, finishes what was accepted until `deadline`, and answers
    /// `shutting_down` to what remains, until `end` at the latest; later only by what was slept
    /// through. Returns the connections, and how many requests had to be given up.
    pub async fn finish(self, deadline: Instant, end: Instant) -> (Links, usize) {
        let links = self.links;
        // However short the grace: what the server has sent by now must at least be answered.
        let drained = deadline.max(Instant::now() + DRAIN).min(end);
        tokio::join!(
            links.lookup.drain(drained),
            links.control.drain(drained),
            links.invoke.drain(drained)
        );
        self.tasks.close();
        let mut finished = timeout_at(deadline, self.tasks.wait()).await.is_ok();
        let slept = overslept(deadline.into_std());
        if !finished && !slept.is_zero() {
            // Their answers may have come meanwhile.
            let read = Instant::now() + slept.min(REPLIES);
            finished = timeout_at(read, self.tasks.wait()).await.is_ok();
        }
        let given_up = if finished { 0 } else { self.tasks.len() };
        self.give_up.cancel();
        links.calls.give_up();
        // Only the replies are missing now. A connection that takes none must not keep us.
        let replied = (end + slept).min(Instant::now() + REPLIES);
        let _ = timeout_at(replied, self.tasks.wait()).await;
        (links, given_up)
    }
}
