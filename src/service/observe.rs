//! Everything worth reporting, in one place: log, metrics and NATS events are readers of it.
//!
//! Business code reports what happened, and does not know its readers. Two things are not
//! observations because they happen thousands of times a second: lookups and requests are counted
//! by [`super::meter`], and read on demand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::breaker::{Tick, Transition};
use crate::domain::catalog::{ActiveSource, Counts};
use crate::domain::health::Crossing;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::overload::Overload;
use crate::domain::words::words;
use crate::service::circuits::Moved;
use crate::service::fleet::halt::Share;
use crate::service::health::Summary;
use crate::service::health_store::{NewOverride, StoreError};
use crate::service::source::SourceError;
use crate::service::trouble::DatabaseError;

words! {
    /// Why data was read.
    pub enum Trigger {
        /// The daemon starts.
        Start = "start",
        /// A notification, or the listener's connection came (back) up.
        Notification = "notification",
        /// The safety sync's timer, or a retry.
        Timer = "timer",
        /// A file changed.
        Files = "files",
        /// A request asked for it.
        Request = "request",
    }
}

words! {
    /// How the daemon learns of changes in the database.
    #[derive(Default)]
    pub enum ListenerState {
        /// There is no database to listen to.
        #[default]
        Off = "off",
        /// Notifications arrive, shown by a heartbeat.
        Listening = "listening",
        /// They do not; the periodic sync finds changes meanwhile.
        Polling = "polling",
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Observation {
    /// Data was read.
    Loaded(Load),
    /// A read found nothing new; it took this long, from the decision to read until the answer.
    Unchanged(Duration),
    /// A read failed; what was served before is still served.
    LoadFailed {
        /// Why it was tried.
        trigger: Trigger,
        /// What went wrong.
        error: SourceError,
    },
    /// A fault was found that was not known before.
    Quarantined {
        /// Its place.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A value of a record beyond this deployment's limits was cut to them.
    Cut {
        /// The extension.
        id: ExtensionId,
        /// What was cut, in words.
        what: String,
    },
    /// A part of a record counts for nothing: fields of a row that names the current version, settings
    /// that cannot be read, limits of a version.
    Ignored {
        /// The extension.
        id: ExtensionId,
        /// What is ignored, in words.
        what: String,
    },
    /// How many more values of one load were cut or are ignored: too many to name each.
    MoreNotServed(usize),
    /// Data comes from another source now.
    SourceChanged {
        /// The source before.
        from: ActiveSource,
        /// The source now.
        to: ActiveSource,
    },
    /// The digest of the database differs although its revision, this one, does not: rows were
    /// changed behind the triggers' back.
    DigestDiffers(u64),
    /// The data of the database can be read again.
    DatabaseUp,
    /// It can no longer be read, or for another reason than before.
    DatabaseDown(DatabaseError),
    /// The way changes are learnt of is another.
    Listener {
        /// The state now.
        state: ListenerState,
        /// What happened, in words.
        cause: String,
    },
    /// A connection to NATS came or went.
    NatsUp {
        /// Which connection.
        connection: &'static str,
        /// Whether it is there.
        up: bool,
    },
    /// The NATS server sent a notice, or could not be reached.
    NatsNotice {
        /// Which connection.
        connection: &'static str,
        /// What was reported.
        notice: String,
    },
    /// A reply of an extension was dropped on this connection, and its call ended: too many before
    /// it were not read.
    SlowConsumer(&'static str),
    /// A circuit went from one state to another.
    Circuit {
        /// Which, what changed, and why.
        moved: Moved,
        /// Whether it is the current version's, whose circuit is the extension's.
        current: bool,
        /// What is known of its failures.
        failing: Failing,
    },
    /// An operator's order for a circuit was carried out here alone: no audit has it.
    Ordered(NewOverride),
    /// The rolling success rate of an extension crossed the minimum.
    Health(Crossed),
    /// The health of all extensions, periodically.
    HealthSummary(Summary),
    /// Health could not be exchanged with the database; the next exchange makes up for it.
    FlushFailed(StoreError),
    /// This sidecar took an extension out of service for the whole fleet, or back into it.
    AutoSwitched {
        /// The extension.
        id: ExtensionId,
        /// Whether it is out of service now.
        disabled: bool,
        /// The revision of that change.
        revision: u64,
    },
    /// This sidecar took its share from a version that fails, for the whole fleet.
    RolloutHalted {
        /// Which, with the figures that it was taken for.
        share: Share,
        /// The revision of that change.
        revision: u64,
    },
    /// A circuit opened, but its extension stays in service.
    KeptInService {
        /// The extension.
        id: ExtensionId,
        /// Why, in words.
        why: &'static str,
    },
    /// An extension that is out of service answered a probe, and waits for an operator.
    ProbeAnswered(ExtensionId),
    /// The database did not do what the fleet was to agree on; it is tried again.
    StoreFailed {
        /// What was tried.
        what: &'static str,
        /// What went wrong.
        error: StoreError,
    },
    /// The database did not carry out a request.
    RequestFailed {
        /// What cannot be done, in words.
        what: &'static str,
        /// What went wrong.
        error: DatabaseError,
    },
    /// An event could not be published; it is lost.
    EventDropped {
        /// Its kind; absent where only the server knows.
        kind: Option<&'static str>,
        /// Why, in words.
        why: String,
    },
    /// The thread of this connection to NATS panicked, which is a bug; the connection is made anew.
    NatsRestarted(&'static str),
    /// A piece of work panicked, which is a bug; the panic hook has logged where.
    Panicked,
    /// This process stood still: timers that ran out meanwhile count against no extension.
    StoodStill {
        /// For how long.
        length: Duration,
        /// In how many pieces, shortly after each other.
        times: u32,
    },
    /// A stream of JetStream answered a call as if it were the extension; it was passed over.
    Acknowledged {
        /// The extension.
        id: ExtensionId,
        /// The stream, fit to be quoted.
        stream: String,
    },
    /// A request was refused because of too much at once.
    Overloaded(Overload),
    /// A request cannot be answered; logged once per cause.
    Dropped {
        /// Why.
        reason: DropReason,
        /// The first token of the reply subject, where that was the cause.
        reply_prefix: Option<String>,
    },
}

/// What was read, and what it changed.
#[derive(Debug)]
pub struct Load {
    /// Why it was read.
    pub trigger: Trigger,
    /// Where it came from.
    pub source: ActiveSource,
    /// What changed.
    pub counts: Counts,
    /// Which, and by which actor.
    pub changed: Changed,
    /// The catalog's revision now.
    pub revision: u64,
    /// Entries in the catalog now.
    pub total: usize,
    /// Enabled entries.
    pub enabled: usize,
    /// Faults in quarantine now.
    pub quarantined: usize,
    /// From the decision to read until everything was applied.
    pub duration: Duration,
}

/// A success rate that crossed the minimum.
#[derive(Debug)]
pub struct Crossed {
    /// The extension.
    pub id: ExtensionId,
    /// Its version.
    pub version: VersionName,
    /// Whether that is the current version, whose success rate is the extension's.
    pub current: bool,
    /// Which way.
    pub crossing: Crossing,
    /// The rate now, 0 to 1.
    pub success_rate: f64,
    /// The minimum.
    pub min_success_rate: f64,
}

/// Which extensions changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// The first of them.
    pub ids: Vec<ExtensionId>,
    /// Their actor, if it is known, and only one.
    pub by: Option<Box<str>>,
}

/// Extensions named in one line.
const NAMED: usize = 5;

impl Changed {
    /// The first of them, separated by commas; `None` where there are none.
    pub fn named(&self) -> Option<String> {
        let named = self.ids.iter().take(NAMED);
        let named: Vec<_> = named.map(ExtensionId::as_str).collect();
        let more = match self.ids.len() > NAMED {
            true => ", ...",
            false => "",
        };
        (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
    }
}

/// What is known of a version's failures besides their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failing {
    /// Since when it fails; `None` while it does not.
    pub since: Option<Tick>,
    /// The extension's last error text, fit to be quoted.
    pub error: Option<Box<str>>,
}

impl Failing {
    /// The same, reported with `transition`: without an error text that is older than the circuit's last
    /// closing, which explains nothing.
    #[must_use]
    pub fn with(self, transition: &Transition) -> Self {
        Self {
            error: self.error.filter(|_| transition.last_failure.is_some()),
            ..self
        }
    }
}

words! {
    /// Why a request got no answer.
    pub enum DropReason {
        /// It had no reply subject.
        NoReply = "no_reply",
        /// Its reply subject is not one that may be answered.
        ReplyNotAllowed = "reply_not_allowed",
        /// The answer could not be handed to the connection.
        PublishFailed = "publish_failed",
    }
}

/// A reader of observations. Must not block and must not fail; a panic costs itself only.
pub trait Observer: Send + Sync {
    /// Takes notice of one observation.
    fn observe(&self, observation: &Observation);
}

impl<O: Observer> Observer for Arc<O> {
    fn observe(&self, observation: &Observation) {
        O::observe(self, observation);
    }
}

/// All observers of the process.
#[derive(Clone)]
pub struct Observers(Arc<[Box<dyn Observer>]>);

impl Observers {
    /// Joins several observers; each sees every observation, in this order.
    pub fn new(observers: Vec<Box<dyn Observer>>) -> Self {
        Self(observers.into())
    }

    /// Passes it to all observers; one that panics misses this observation, and no other does.
    pub fn observe(&self, observation: &Observation) {
        if !self.tell(observation) {
            // An observer that panics at this too has been reported already.
            self.tell(&Observation::Panicked);
        }
    }

    /// Reports that the database did not do `what`, and that it is tried again.
    pub fn store_failed(&self, what: &'static str, error: StoreError) {
        self.observe(&Observation::StoreFailed { what, error });
    }

    /// Whether everyone took it well.
    fn tell(&self, observation: &Observation) -> bool {
        let mut well = true;
        for observer in &*self.0 {
            let told = catch_unwind(AssertUnwindSafe(|| observer.observe(observation)));
            well &= told.is_ok();
        }
        well
    }
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}
