//! The log: one line per observation, JSON for collectors or text for terminals, to stderr.

use std::fs::File;
use std::io::{self, IsTerminal, Write, stderr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tracing::{Dispatch, debug, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::panics::log_panics;
use super::repeats::Repeats;
pub use super::writer::LogWriter as Log;
use crate::config::LogFormat;
use crate::domain::breaker::CircuitState;
use crate::domain::health::Crossing;
use crate::domain::ids::ExtensionId;
use crate::domain::moment::rfc3339;
use crate::domain::overload::Overload;
use crate::service::circuits::Moved;
use crate::service::clock::{Clock, millis};
use crate::service::observe::{Failing, ListenerState, Observation, Observer};

/// The target of the number of lines that are missing.
const LOST: &str = "beamline_registry::lost_lines";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("the log filter is invalid")]
    Filter(#[from] ParseError),
    /// A log was set up before.
    #[error("the log is set up already")]
    Taken(#[from] TryInitError),
    /// There is no thread for it.
    #[error("the log's thread cannot be started")]
    Thread(#[from] io::Error),
}

/// Sets up the log of the whole process, panics included; `filter` as in
/// `info,beamline_registry=debug`. It never blocks.
pub fn init(filter: &str, format: LogFormat) -> Result<Log, LogError> {
    let writer = Log::start(standard_error(), report_lost)?;
    let made = writer.clone();
    let ansi = stderr().is_terminal();
    dispatch(filter, format, ansi, move || made.clone())?.try_init()?;
    log_panics();
    Ok(writer)
}

fn report_lost(lines: u64) {
    warn!(target: LOST, lines, "{lines} log lines dropped: the reader was too slow");
}

/// Standard error without the lock of the standard library, which a reader that takes nothing would
/// keep for ever.
fn standard_error() -> Box<dyn Write + Send> {
    match stderr().as_fd().try_clone_to_owned() {
        Ok(own) => Box::new(File::from(own)),
        Err(_) => Box::new(stderr()),
    }
}

fn dispatch<W>(filter: &str, format: LogFormat, ansi: bool, writer: W) -> Result<Dispatch, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // The client logs for each connection what our own lines log in our terms; name it in the
    // filter to see its view. Lines that are missing are reported whatever the filter takes.
    let filter = EnvFilter::try_new(format!("async_nats=warn,{LOST}=warn,{filter}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would print to standard error itself.
        .log_internal_errors(false)
        .with_writer(writer);
    // By default as `NO_COLOR` says; switched on, in spite of it.
    let builder = match ansi {
        true => builder,
        false => builder.with_ansi(false),
    };
    Ok(match format {
        LogFormat::Json => Dispatch::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish(),
        ),
        LogFormat::Pretty => Dispatch::new(builder.finish()),
    })
}

/// Writes observations to the log; what repeats is logged seldom.
#[derive(Debug, Default)]
pub struct LogObserver {
    /// Whether there is any data to serve.
    loaded: AtomicBool,
    failures: Repeats<String>,
    notices: Repeats<(&'static str, String)>,
    slow: Repeats<&'static str>,
    flushes: Repeats<String>,
    overload: Repeats<Overload>,
    events: Repeats<Option<&'static str>>,
    store: Repeats<(&'static str, String)>,
    requests: Repeats<(&'static str, String)>,
    alive: Repeats<ExtensionId>,
    acknowledged: Repeats<String>,
    drops: Repeats<&'static str>,
    /// Of their own: callers choose them, and too many must not hide another reason.
    reply_prefixes: Repeats<String>,
}

impl LogObserver {
    /// What a failed read leaves.
    fn left(&self) -> &'static str {
        match self.loaded.load(Ordering::Relaxed) {
            true => "the data is kept",
            false => "there is no data yet",
        }
    }

    /// How often it happened unlogged before, if `observation` is to be logged now.
    fn say(&self, observation: &Observation) -> Option<u64> {
        let now = Instant::now();
        match observation {
            Observation::LoadFailed { error, .. } => self.failures.say(error.to_string(), now),
            Observation::RequestFailed { what, error } => {
                self.requests.say((*what, error.to_string()), now)
            }
            Observation::NatsNotice { connection, notice } => {
                self.notices.say((*connection, notice.clone()), now)
            }
            Observation::SlowConsumer(connection) => self.slow.say(connection, now),
            Observation::FlushFailed(error) => {
                // One outage has many words, from a connection that is cut to one that is refused.
                let trouble = match error.database().is_unreachable() {
                    true => String::new(),
                    false => error.to_string(),
                };
                self.flushes.say(trouble, now)
            }
            Observation::ProbeAnswered(id) => self.alive.say(id.clone(), now),
            Observation::StoreFailed { what, error } => {
                self.store.say((*what, error.to_string()), now)
            }
            Observation::EventDropped { kind, .. } => self.events.say(*kind, now),
            Observation::Overloaded(why) => self.overload.say(*why, now),
            Observation::Acknowledged { stream, .. } => {
                self.acknowledged.first(stream.clone(), now).then_some(0)
            }
            Observation::Dropped {
                reason,
                reply_prefix,
            } => {
                let first = match reply_prefix {
                    Some(prefix) => self.reply_prefixes.first(prefix.clone(), now),
                    None => self.drops.first(reason.as_str(), now),
                };
                first.then_some(0)
            }
            _ => Some(0),
        }
    }
}

impl Observer for LogObserver {
    fn observe(&self, observation: &Observation) {
        let Some(repeated) = self.say(observation) else {
            return;
        };
        match observation {
            Observation::Loaded(load) => {
                self.failures.clear();
                self.loaded.store(true, Ordering::Relaxed);
                let ids = load.changed.named();
                info!(
                    trigger = load.trigger.as_str(),
                    source = load.source.as_str(),
                    added = load.counts.added,
                    updated = load.counts.updated,
                    removed = load.counts.removed,
                    ids = ids.as_deref(),
                    changed_by = load.changed.by.as_deref(),
                    revision = load.revision,
                    total = load.total,
                    enabled = load.enabled,
                    quarantined = load.quarantined,
                    duration_ms = millis(load.duration),
                    "data loaded"
                );
            }
            Observation::Unchanged(duration) => {
                self.failures.clear();
                debug!(duration_ms = millis(*duration), "no changes");
            }
            Observation::LoadFailed { trigger, error } => {
                let (trigger, left) = (trigger.as_str(), self.left());
                warn!(trigger, repeated, %error, "load failed; {left}");
            }
            Observation::Quarantined { origin, reason } => warn!(%origin, %reason, "quarantined"),
            Observation::Cut { id, what } => {
                warn!(extension_id = %id, %what, "exceeds this deployment's limits; reduced to them");
            }
            Observation::Ignored { id, what } => {
                warn!(extension_id = %id, %what, "part of the record is ignored");
            }
            Observation::MoreNotServed(count) => {
                warn!(
                    count,
                    "more values were reduced or are ignored; `get` has all warnings of a record"
                );
            }
            Observation::SourceChanged { from, to } => {
                info!(from = from.as_str(), to = to.as_str(), "source changed");
            }
            Observation::DigestDiffers(revision) => {
                warn!(
                    revision,
                    "rows may have changed without a revision; reading everything. If this is \
                     repeated, run `beamline-registry migrate`"
                );
            }
            Observation::DatabaseUp => info!("database answers"),
            Observation::DatabaseDown(error) => {
                let (reason, left) = (error.trouble.as_str(), self.left());
                if error.is_unreachable() {
                    warn!(reason, %error, "database is unreachable; {left}");
                } else {
                    warn!(reason, %error, "database cannot be read; {left}");
                }
            }
            Observation::RequestFailed { what, error } => {
                let reason = error.trouble.as_str();
                warn!(reason, repeated, error = %format_args!("{what}: {error}"), "request failed");
            }
            Observation::Listener { state, cause } => listener(*state, cause),
            Observation::NatsUp { connection, up } => match up {
                true => info!(connection, "nats connected"),
                false => warn!(connection, "nats disconnected"),
            },
            Observation::NatsNotice { connection, notice } => {
                warn!(connection, repeated, %notice, "nats notice");
            }
            Observation::SlowConsumer(connection) => {
                warn!(
                    connection,
                    repeated, "a reply was dropped: earlier ones were not read in time"
                );
            }
            Observation::Circuit { moved, failing, .. } => circuit(moved, failing),
            Observation::Ordered(new) => {
                let (id, version, action) = (&new.extension, &new.version, new.action.as_str());
                let ttl_seconds = new.ttl.map(|ttl| ttl.as_secs());
                let (reason, changed_by) = (new.reason.as_deref(), new.actor.name());
                info!(extension_id = %id, %version, action, ttl_seconds, reason, changed_by, "circuit override");
            }
            Observation::Health(crossed) => {
                let (id, version) = (&crossed.id, &crossed.version);
                let success_rate = crossed.success_rate;
                let min_success_rate = crossed.min_success_rate;
                match crossed.crossing {
                    Crossing::Degraded => {
                        warn!(extension_id = %id, %version, success_rate, min_success_rate, "health degraded");
                    }
                    Crossing::Recovered => {
                        info!(extension_id = %id, %version, success_rate, min_success_rate, "health recovered");
                    }
                }
            }
            Observation::HealthSummary(summary) => debug!(
                total = summary.total,
                healthy = summary.healthy,
                unhealthy = summary.unhealthy,
                half_open = summary.half_open,
                "health summary"
            ),
            Observation::FlushFailed(error) => {
                warn!(repeated, %error, "health not saved; it is kept for the next attempt");
            }
            Observation::AutoSwitched {
                id,
                disabled,
                revision,
            } => match disabled {
                true => warn!(extension_id = %id, revision, "disabled automatically"),
                false => info!(extension_id = %id, revision, "enabled automatically"),
            },
            Observation::RolloutHalted { share, revision } => {
                let (id, version, figures) = (&share.id, &share.version, &share.figures);
                let (requests, failures) = (figures.version.total(), figures.version.failures);
                let (current_requests, current_failures) =
                    (figures.current.total(), figures.current.failures);
                warn!(extension_id = %id, %version, requests, failures, current_requests, current_failures, revision, "rollout halted");
            }
            Observation::KeptInService { id, why } => {
                info!(extension_id = %id, why, "not disabled automatically");
            }
            Observation::ProbeAnswered(id) => {
                info!(extension_id = %id, "extension responds again; an operator must enable it");
            }
            Observation::StoreFailed { what, error } => {
                warn!(what, repeated, %error, "the database failed; trying again");
            }
            Observation::EventDropped { kind, why } => {
                warn!(kind, repeated, %why, "an event was dropped");
            }
            Observation::NatsRestarted(connection) => {
                warn!(connection, "nats connection thread panicked; reconnecting");
            }
            // The panic hook has logged where, which is known only there.
            Observation::Panicked => {}
            Observation::StoodStill { length, times } => {
                let seconds = length.as_secs_f64();
                warn!(
                    stood_still_ms = millis(*length),
                    times,
                    "process stood still for {seconds:.1} s (stopped, frozen or short of CPU); \
                     timeouts in that time count against no extension"
                );
            }
            Observation::Acknowledged { id, stream } => {
                warn!(
                    extension_id = %id,
                    stream,
                    "a JetStream stream acknowledges calls to extensions; its \
                     acknowledgements are ignored: remove the extensions' subjects from the \
                     stream (logged once per stream)"
                );
            }
            Observation::Overloaded(why) => {
                let reason = why.as_str();
                warn!(reason, repeated, "request refused: too much at once");
            }
            Observation::Dropped {
                reason,
                reply_prefix,
            } => {
                let (reason, reply_prefix) = (reason.as_str(), reply_prefix.as_deref());
                warn!(
                    reason,
                    reply_prefix, "requests cannot be answered (logged once)"
                );
            }
        }
    }
}

/// A circuit that opens is a warning for the operator on call, one that closes is information.
fn circuit(moved: &Moved, failing: &Failing) {
    let (id, version, transition) = (&moved.id, &moved.version, &moved.transition);
    let (from, to) = (transition.from.as_str(), transition.to.as_str());
    let (reason, failures) = (transition.reason.as_str(), transition.failures);
    let last_error = transition.last_failure.map(|last| last.kind.as_str());
    let since = failing.since.map(|since| Clock::default().wall(since));
    let since = since.and_then(rfc3339);
    if transition.to == CircuitState::Open {
        let error = failing.error.as_deref();
        warn!(extension_id = %id, %version, from, to, reason, failures, last_error, failing_since = since, error, "circuit opened");
    } else {
        info!(extension_id = %id, %version, from, to, reason, failures, last_error, failing_since = since, "circuit changed");
    }
}

fn listener(state: ListenerState, cause: &str) {
    let name = state.as_str();
    match state {
        ListenerState::Polling => warn!(state = name, cause, "no notifications; polling"),
        ListenerState::Listening | ListenerState::Off => info!(state = name, cause, "listener"),
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
