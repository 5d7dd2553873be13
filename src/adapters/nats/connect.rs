//! Connecting to NATS by the official client, for the command line: our login, and the timeouts.

use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use rand::RngExt;

use super::link::tls;
use super::login::authenticated;
use crate::config::NatsSettings;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between attempts to connect, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Our login and how the link is protected. Certificates are read here, once: the client's own
/// reader knows no byte order mark.
///
/// # Errors
/// In words: files that cannot be read or do not fit.
pub(super) fn options(settings: &NatsSettings) -> Result<ConnectOptions, String> {
    let options = authenticated(settings)
        .require_tls(settings.demands_tls())
        .connection_timeout(CONNECT_TIMEOUT)
        .custom_inbox_prefix(&settings.inbox_prefix);
    if settings.tls_ca.is_none() && settings.client_certificate.is_none() {
        return Ok(options);
    }
    let config = tls::config(settings).map_err(|why| format!("TLS: {why}"))?;
    Ok(options.tls_client_config(config))
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
