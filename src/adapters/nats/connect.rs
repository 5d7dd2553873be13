//! Connecting to NATS by the official client, for the command line: our login, and the timeouts.

use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};

use super::link::tls;
use super::login::{authenticated, login};
use super::wire::info::Login;
use crate::config::{NatsAddress, NatsAuth, NatsSettings};

/// The longest that one attempt to connect may take: then a silent server is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a server that says nothing is asked for a sign of life. The third time that the answer
/// to two others is missing, the client gives up: within 3 s.
const PING_INTERVAL: Duration = Duration::from_millis(750);

/// Login, TLS, and each server's share of `patience`. Reads certificates here, once: the client's
/// own reader knows no byte order mark.
///
/// # Errors
/// In words: files that cannot be read or do not fit.
pub(super) fn options(
    settings: &NatsSettings,
    patience: Duration,
) -> Result<ConnectOptions, String> {
    let options = authenticated(settings)
        .require_tls(settings.demands_tls())
        .connection_timeout(share(patience, settings.servers.len()))
        .ping_interval(PING_INTERVAL)
        .custom_inbox_prefix(&settings.inbox_prefix);
    if settings.tls_ca.is_none() && settings.client_certificate.is_none() {
        return Ok(options);
    }
    let config = tls::config(settings).map_err(|why| format!("TLS: {why}"))?;
    Ok(options.tls_client_config(config))
}

/// What each server has of `patience`: one that is silent leaves the others theirs.
fn share(patience: Duration, servers: usize) -> Duration {
    let servers = u32::try_from(servers).unwrap_or(u32::MAX).max(1);
    (patience / servers).min(CONNECT_TIMEOUT)
}

/// `settings` for each login there is: the client has one for all its servers, and no server is to be
/// shown the login of another.
pub(super) fn by_login(settings: &NatsSettings) -> Vec<NatsSettings> {
    let mut groups: Vec<(Option<Login>, NatsSettings)> = Vec::new();
    for server in &settings.servers {
        let shown = match &settings.auth {
            NatsAuth::None => login(&settings.auth, server.login.as_ref(), b"").ok(),
            // One for all.
            _ => None,
        };
        let own = alone(settings, server);
        match groups.iter_mut().find(|(login, _)| *login == shown) {
            Some((_, group)) => group.servers.extend(own.servers),
            None => groups.push((shown, own)),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// `settings` with `server` alone.
pub(super) fn alone(settings: &NatsSettings, server: &NatsAddress) -> NatsSettings {
    let server = NatsAddress {
        // One address demands it of all of them.
        tls: settings.demands_tls(),
        ..server.clone()
    };
    NatsSettings {
        servers: vec![server],
        ..settings.clone()
    }
}

/// The servers of `settings`, without credentials.
pub(super) fn urls(settings: &NatsSettings) -> impl Iterator<Item = String> {
    settings.servers.iter().map(|server| {
        let scheme = if server.tls { "tls" } else { "nats" };
        format!("{scheme}://{server}")
    })
}

/// The servers of `settings` as the client library has them. It does not send a login from an
/// address, so [`authenticated`] does.
pub(super) fn addresses(settings: &NatsSettings) -> Vec<ServerAddr> {
    urls(settings).filter_map(|url| url.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::subject::Subject;

    fn settings(urls: &[&str]) -> NatsSettings {
        let servers = urls.iter().map(|url| NatsAddress::parse(url).unwrap());
        NatsSettings {
            servers: servers.collect(),
            auth: NatsAuth::None,
            tls_ca: None,
            client_certificate: None,
            inbox_prefix: Subject::parse("_INBOX").unwrap(),
        }
    }

    /// CASES.md B8.
    #[test]
    fn one_address_or_file_demands_tls_of_all() {
        assert!(!settings(&["nats://a", "nats://b"]).demands_tls());
        assert!(settings(&["nats://a", "tls://b"]).demands_tls());
        let with_file = NatsSettings {
            tls_ca: Some("ca.pem".into()),
            ..settings(&["nats://a"])
        };
        assert!(with_file.demands_tls());
    }

    #[test]
    fn servers_with_the_same_login_stay_together_and_no_others() {
        let by_login = |urls: &[&str]| by_login(&settings(urls));
        let urls = [
            "nats://a",
            "nats://u:p@b",
            "nats://u:p@c",
            "nats://u:q@d",
            "nats://t@e",
            "nats://f",
        ];
        let names = by_login(&urls).into_iter().map(|group| {
            let hosts = group.servers.into_iter().map(|server| server.host);
            hosts.collect::<String>()
        });
        assert_eq!(names.collect::<Vec<_>>(), ["af", "bc", "d", "e"]);
        let groups = by_login(&["nats://a", "tls://u:p@b"]);
        assert_eq!(groups.len(), 2);
        assert!(groups.iter().all(NatsSettings::demands_tls));
    }

    #[test]
    fn a_silent_server_leaves_the_others_their_share() {
        for (patience, servers, of_each) in
            [(5, 2, 2500), (3, 1, 3000), (60, 1, 3000), (6, 0, 3000)]
        {
            let patience = Duration::from_secs(patience);
            let of_each = Duration::from_millis(of_each);
            assert_eq!(share(patience, servers), of_each, "{servers}");
        }
    }
}
