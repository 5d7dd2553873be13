//! What `nsc` would make: an operator, an account, and a user's credentials file.

use nkeys::KeyPair;
use serde_json::{Value, json};

/// One operator with one account with one user.
pub(super) struct Operator {
    /// For nats-server.
    pub(super) config: String,
    /// The user's credentials file.
    pub(super) creds: String,
    /// The seed in it.
    pub(super) seed: String,
}

impl Operator {
    pub(super) fn new() -> Self {
        let (operator, account, user) = (
            KeyPair::new_operator(),
            KeyPair::new_account(),
            KeyPair::new_user(),
        );
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1
        });
        let operator_jwt = token(&operator, &operator, json!({"type": "operator"}));
        let account_jwt = token(
            &operator,
            &account,
            json!({"type": "account", "limits": limits}),
        );
        let user_jwt = token(
            &account,
            &user,
            json!({"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}),
        );
        let seed = user.seed().unwrap();
        let config = format!(
            "operator: \"{operator_jwt}\"\nresolver: MEMORY\n\
             resolver_preload: {{ {}: \"{account_jwt}\" }}\n",
            account.public_key()
        );
        let creds = format!(
            "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        Self {
            config,
            creds,
            seed,
        }
    }
}

/// What `issuer` says of `subject`, signed.
fn token(issuer: &KeyPair, subject: &KeyPair, mut nats: Value) -> String {
    nats["version"] = 2.into();
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let claims = json!({
        "jti": "test", "iat": 1_700_000_000, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": nats
    });
    let text = [header, claims].map(|part| base64url(part.to_string().as_bytes()));
    let text = text.join(".");
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", base64url(&signature))
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let index = bits >> (18 - 6 * place) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}
