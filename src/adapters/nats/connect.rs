//! Connecting to NATS: who we are, how long we wait, what we notice.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use rand::RngExt;
use tokio::sync::broadcast;

use super::login::authenticated;
use crate::config::NatsSettings;
use crate::domain::quote::quoted;
use crate::service::observe::{Observation, Observers};
use crate::service::status::Status;

/// A black-holed server is noticed after two unanswered pings.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between attempts to connect, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose {
    /// Its name in logs and metrics, and in the server's connection list.
    pub name: &'static str,
    /// Requests that may wait in one subscription before they are dropped and counted.
    pub subscription_capacity: usize,
    /// Tasks that may run before the socket is looked at again; see
    /// [`Subscribed::drain`](super::intake::Subscribed) for why that must be 1 where other threads
    /// publish. Looking costs a system call.
    pub event_interval: u32,
}

/// Connects once, to see whether it works; says to which server.
///
/// # Errors
/// No server answers, or none takes us.
pub async fn try_once(
    settings: &NatsSettings,
    instance_id: &str,
) -> Result<String, async_nats::ConnectError> {
    let options = options(settings).name(format!("beamline-registry/{instance_id}/check"));
    let client = options.connect(addresses(settings)).await?;
    let server = client.server_info();
    Ok(format!("{} version {}", server.server_name, server.version))
}

/// Begins to connect, on the current runtime, and goes on in the background until it succeeds.
/// What happens to the connection is sent to `events`.
///
/// # Errors
/// Settings that no server could ever accept, such as an unreadable certificate.
pub async fn connect(
    settings: &NatsSettings,
    instance_id: &str,
    purpose: Purpose,
    status: Arc<Status>,
    observers: Observers,
    events: broadcast::Sender<Event>,
) -> Result<Client, async_nats::ConnectError> {
    status.nats_link(purpose.name, false);
    options(settings)
        .name(format!("beamline-registry/{instance_id}/{}", purpose.name))
        .subscription_capacity(purpose.subscription_capacity)
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(pause)
        .retry_on_initial_connect()
        .skip_subject_validation(true)
        .event_callback(move |event| {
            // An error means that nobody listens.
            let _ = events.send(event.clone());
            notice(purpose.name, event, &status, &observers)
        })
        .connect(addresses(settings))
        .await
}

/// Who we are and how the link is protected.
pub(super) fn options(settings: &NatsSettings) -> ConnectOptions {
    let mut options = authenticated(settings)
        .require_tls(settings.demands_tls())
        .connection_timeout(CONNECT_TIMEOUT)
        .custom_inbox_prefix(&settings.inbox_prefix);
    if let Some(ca) = &settings.tls_ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let Some(client) = &settings.client_certificate {
        options = options.add_client_certificate(client.cert.clone(), client.key.clone());
    }
    options
}

/// The servers as the client library has them. It sends no login that stands in an address, so
/// [`authenticated`] does.
pub(super) fn addresses(settings: &NatsSettings) -> Vec<ServerAddr> {
    let scheme = if settings.demands_tls() {
        "tls"
    } else {
        "nats"
    };
    let servers = settings.servers.iter();
    let servers = servers.filter_map(|server| format!("{scheme}://{server}").parse().ok());
    servers.collect()
}

/// Doubles from 50 ms and takes a random half to whole of it: a fleet does not return as one.
pub(super) fn pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(6);
    let pause = (Duration::from_millis(50) * 2u32.pow(doublings)).min(LONGEST_PAUSE);
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Tells that a connection is there, or not.
pub(super) fn notice_state(
    connection: &'static str,
    up: bool,
    status: &Status,
    observers: &Observers,
) {
    status.nats_link(connection, up);
    observers.observe(&Observation::NatsUp { connection, up });
}

fn notice(
    connection: &'static str,
    event: Event,
    status: &Arc<Status>,
    observers: &Observers,
) -> impl Future<Output = ()> + Send + Sync + 'static + use<> {
    let (status, observers) = (Arc::clone(status), observers.clone());
    async move {
        match event {
            Event::Connected => notice_state(connection, true, &status, &observers),
            Event::Disconnected | Event::Closed => {
                notice_state(connection, false, &status, &observers)
            }
            Event::SlowConsumer(_) => {
                observers.observe(&Observation::SlowConsumer { connection });
            }
            // Our own doing: the drain says so itself.
            Event::Draining => {}
            Event::LameDuckMode | Event::ServerError(_) | Event::ClientError(_) => {
                // A server's words are foreign text.
                let notice = quoted(&event.to_string());
                observers.observe(&Observation::NatsNotice { connection, notice });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_below_the_longest() {
        for attempts in [0, 1, 2, 10, usize::MAX] {
            assert!(pause(attempts) <= LONGEST_PAUSE, "{attempts}");
            assert!(pause(attempts) >= Duration::from_millis(25), "{attempts}");
        }
        assert!(pause(10) >= LONGEST_PAUSE / 2);
    }
}
