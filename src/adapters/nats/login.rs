//! Logging in at a NATS server.
//!
//! Secrets are read again at every attempt, since files are renewed under a running process. So are
//! the files of certificates, which the library does.

use std::path::Path;

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;
use secrecy::ExposeSecret;

use crate::config::text_file::{MAX_BYTES, read_text};
use crate::config::{NatsAuth, Secret};

/// Options that log in by `auth`.
pub(super) fn authenticated(auth: &NatsAuth) -> ConnectOptions {
    if let NatsAuth::None = auth {
        return ConnectOptions::new();
    }
    let auth = auth.clone();
    ConnectOptions::with_auth_callback(move |nonce| {
        let auth = auth.clone();
        async move { login(&auth, &nonce).map_err(AuthError::new) }
    })
}

/// What to show a server that sent `nonce`. Reads small files on the connection's thread, which has
/// nothing else to do while there is no connection.
fn login(auth: &NatsAuth, nonce: &[u8]) -> Result<Auth, String> {
    let now = |secret: &Secret| match secret.current() {
        Ok(text) => Ok(text.expose_secret().to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let mut login = Auth::new();
    match auth {
        NatsAuth::None => {}
        NatsAuth::Creds(path) => return credentials(path, nonce),
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
fn credentials(path: &Path, nonce: &[u8]) -> Result<Auth, String> {
    let text = read_text(path, MAX_BYTES);
    let text = text.map_err(|error| format!("{} {error}", path.display()))?;
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
