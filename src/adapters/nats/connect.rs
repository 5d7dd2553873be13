//! Connecting to NATS: who we are, how long we wait, what we notice.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Auth, AuthError, Client, ConnectOptions, Event};
use nkeys::KeyPair;
use rand::RngExt;
use secrecy::ExposeSecret;
use tokio::sync::broadcast;

use crate::config::{NatsAuth, NatsSettings, Secret};
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
    let client = options.connect(&settings.servers.0).await?;
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
        .connect(&settings.servers.0)
        .await
}

/// Who we are and how the link is protected.
pub(super) fn options(settings: &NatsSettings) -> ConnectOptions {
    let mut options = authenticated(&settings.auth)
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

/// Doubles from 50 ms and takes a random half to whole of it: a fleet does not return as one.
pub(super) fn pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(6);
    let pause = (Duration::from_millis(50) * 2u32.pow(doublings)).min(LONGEST_PAUSE);
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Secrets are read again at every attempt: files are renewed under a running process. So are the
/// files of certificates, which the library does.
fn authenticated(auth: &NatsAuth) -> ConnectOptions {
    if let NatsAuth::None = auth {
        return ConnectOptions::new();
    }
    let auth = auth.clone();
    ConnectOptions::with_auth_callback(move |nonce| {
        let auth = auth.clone();
        async move { login(&auth, &nonce).await.map_err(AuthError::new) }
    })
}

/// What to show a server that sent `nonce`.
async fn login(auth: &NatsAuth, nonce: &[u8]) -> Result<Auth, String> {
    let now = |secret: &Secret| match secret.current() {
        Ok(text) => Ok(text.expose_secret().to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let mut login = Auth::new();
    match auth {
        NatsAuth::None => {}
        NatsAuth::Creds(path) => return credentials(path, nonce).await,
        NatsAuth::Nkey(seed) => {
            let key = key(now(seed)?.trim())?;
            login.nkey = Some(key.public_key());
            login.signature = Some(signed(&key, nonce)?);
        }
        NatsAuth::User { name, password } => {
            login.username = Some(name.clone());
            login.password = Some(now(password)?);
        }
        NatsAuth::Token(token) => login.token = Some(now(token)?),
    }
    Ok(login)
}

/// Signs the server's nonce with the seed of a credentials file.
async fn credentials(path: &Path, nonce: &[u8]) -> Result<Auth, String> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let jwt = section(&text, "NATS USER JWT").ok_or("the file holds no user JWT")?;
    let seed = section(&text, "USER NKEY SEED").ok_or("the file holds no user seed")?;
    let mut auth = Auth::new();
    auth.jwt = Some(jwt.to_owned());
    auth.signature = Some(signed(&key(seed)?, nonce)?);
    Ok(auth)
}

fn key(seed: &str) -> Result<KeyPair, String> {
    KeyPair::from_seed(seed).map_err(|error| format!("the seed is no nkey: {error}"))
}

fn signed(key: &KeyPair, nonce: &[u8]) -> Result<Vec<u8>, String> {
    key.sign(nonce).map_err(|error| error.to_string())
}

/// The line between `-----BEGIN <name>-----` and the dashes that end it.
fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with("---") && line.contains(&format!("BEGIN {name}")))?;
    lines
        .find(|line| !line.is_empty())
        .filter(|line| !line.starts_with("---"))
}

fn notice_state(connection: &'static str, up: bool, status: &Status, observers: &Observers) {
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
                let notice = event.to_string();
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

    #[test]
    fn credentials_files_are_taken_apart() {
        let text = "-----BEGIN NATS USER JWT-----\neyJ0.x.y\n------END NATS USER JWT------\n\n\
                    *** IMPORTANT ***\n-----BEGIN USER NKEY SEED-----\nSUAX\n------END USER NKEY SEED------\n";
        assert_eq!(section(text, "NATS USER JWT"), Some("eyJ0.x.y"));
        assert_eq!(section(text, "USER NKEY SEED"), Some("SUAX"));
        assert_eq!(
            section("-----BEGIN NATS USER JWT-----\n------END", "NATS USER JWT"),
            None
        );
    }
}
