//! Logging in at a NATS server.
//!
//! Secrets are read again at every attempt, since files are renewed under a running process.

use std::path::Path;

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;
use secrecy::ExposeSecret;

use super::wire::info::Login;
use crate::config::text_file::{MAX_BYTES, read_text};
use crate::config::{NatsAddress, NatsAuth, NatsSettings, Secret};

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
    let jwt = section(&text, "NATS USER JWT").ok_or("the file holds no user JWT")?;
    let seed = section(&text, "USER NKEY SEED").ok_or("the file holds no user seed")?;
    Ok(Login {
        jwt: Some(jwt.to_owned()),
        signature: Some(signed(&key(seed)?, nonce)?),
        ..Login::default()
    })
}

fn key(seed: &str) -> Result<KeyPair, String> {
    KeyPair::from_seed(seed).map_err(|error| format!("the seed is not an nkey: {error}"))
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

#[cfg(test)]
mod tests {
    use super::*;

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
