//! Connecting to NATS by the official client, for the command line: our login, and the timeouts.

use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use rand::RngExt;

use super::login::authenticated;
use crate::config::NatsSettings;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between attempts to connect, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Our login and how the link is protected.
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

/// The servers as the client library has them. It does not send a login from an address, so
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
