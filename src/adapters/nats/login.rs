//! Logging in at a NATS server.
//!
//! Secrets are read again at every attempt, since files are renewed under a running process.

use std::path::Path;

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;
use secrecy::ExposeSecret;

use super::wire::info::Login;
use crate::config::text_file::{MAX_BYTES, read_text};
use crate::config::{self, NatsAddress, NatsAuth, NatsSettings, Secret};

/// Options that log in by `settings`, in whose addresses there is one login at most.
pub(super) fn authenticated(settings: &NatsSettings) -> ConnectOptions {
    let login_of = |server: &NatsAddress| server.login.clone();
    let in_address = settings.servers.iter().find_map(login_of);
    if matches!(settings.auth, NatsAuth::None) && in_address.is_none() {
        return ConnectOptions::new();
    }
    let auth = settings.auth.clone();
    ConnectOptions::with_auth_callback(move |nonce| {
        let login = login(&auth, in_address.as_ref(), &nonce);
        async move { login.map(Auth::from).map_err(AuthError::new) }
    })
}

impl From<Login> for Auth {
    fn from(login: Login) -> Self {
        let mut auth = Self::new();
        auth.username = login.user;
        auth.password = login.password;
        auth.token = login.token;
        auth.jwt = login.jwt;
        auth.nkey = login.nkey;
        auth.signature = login.signature;
        auth
    }
}

/// What to show a server that sent `nonce`: the login from the settings, else from its address.
/// Reads small files on the connection's thread, which has nothing else to do while there is no
/// connection.
pub(super) fn login(
    auth: &NatsAuth,
    in_address: Option<&NatsAuth>,
    nonce: &[u8],
) -> Result<Login, String> {
    let now = |secret: &Secret| {
        let text = secret.current()?;
        Ok::<_, String>(text.expose_secret().to_owned())
    };
    let mut login = Login::default();
    let auth = match auth {
        NatsAuth::None => in_address.unwrap_or(auth),
        auth => auth,
    };
    match auth {
        NatsAuth::None => {}
        NatsAuth::Creds(path) => return credentials(path, nonce),
        NatsAuth::Nkey(seed) => {
            let key = key(now(seed)?.trim())?;
            login.nkey = Some(key.public_key());
            login.signature = Some(signed(&key, nonce)?);
        }
        NatsAuth::User { name, password } => {
            login.user = Some(name.clone());
            login.password = Some(now(password)?);
        }
        NatsAuth::Token(token) => login.token = Some(now(token)?),
    }
    Ok(login)
}

/// Signs the server's nonce with the seed of a credentials file.
fn credentials(path: &Path, nonce: &[u8]) -> Result<Login, String> {
    let text = read_text(path, MAX_BYTES);
    let text = text.map_err(|error| format!("{} {error}", path.display()))?;
    let held = config::credentials::credentials(&text);
    let (jwt, key) = held.map_err(|why| format!("{} {why}", path.display()))?;
    Ok(Login {
        jwt: Some(jwt.to_owned()),
        signature: Some(signed(&key, nonce)?),
        ..Login::default()
    })
}

fn key(seed: &str) -> Result<KeyPair, String> {
    KeyPair::from_seed(seed).map_err(|error| format!("the seed is not an nkey: {error}"))
}

fn signed(key: &KeyPair, nonce: &[u8]) -> Result<Vec<u8>, String> {
    key.sign(nonce).map_err(|error| error.to_string())
}
