//! The configuration as it was understood, fit to be shown: `check` prints it.

use super::fault::Origin;
use super::reader::Reader;
use super::variables::{self, Kind};

/// Shown instead of a secret.
const HIDDEN: &str = "***";

/// The parameters of URLs that are known to hold no secret.
const SHOWN: &str = "application_name connect_timeout dbname host port sslmode sslrootcert \
    target_session_attrs";

/// One variable as it is in force.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The environment name.
    pub name: String,
    /// The value, secrets hidden; `None` when there is none.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// Every variable, with what was given or else the default.
pub(super) fn effective(reader: &Reader<'_>) -> Vec<Entry> {
    let entries = variables::ALL.iter().map(|variable| {
        let text = match reader.layers.given.get(variable.name) {
            Some(given) => given.text.as_deref().ok(),
            None => reader.default(variable),
        };
        Entry {
            name: variable.env_name(),
            value: text.map(|text| redacted(variable.kind, text)),
            origin: reader.origin(variable),
        }
    });
    entries.collect()
}

fn redacted(kind: Kind, text: &str) -> String {
    match kind {
        Kind::SECRET => HIDDEN.to_owned(),
        Kind::URL => redacted_url(text),
        Kind::URLS => {
            let urls: Vec<_> = text.split(',').map(redacted_url).collect();
            urls.join(",")
        }
        _ => text.to_owned(),
    }
}

/// Shows scheme, host and path. Everything up to the last `@` may be a credential, for passwords
/// are not always escaped as they should be; so may every parameter but those known to be harmless.
fn redacted_url(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |colon| colon + 3));
    let (login, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{HIDDEN}@"), rest),
        None => (String::new(), rest),
    };
    let (place, parameters) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let harmless = |key: &str| {
        let key = key.trim_start_matches('?');
        SHOWN.split(' ').any(|shown| shown == key)
    };
    let shown = |parameter: &str| match parameter.split_once('=') {
        Some((key, _)) if !harmless(key) => format!("{key}={HIDDEN}"),
        _ => parameter.to_owned(),
    };
    let parameters: Vec<_> = parameters.split('&').map(shown).collect();
    format!("{scheme}{login}{place}{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_and_hosts_shown() {
        for (kind, text, shown) in [
            (Kind::TEXT, "plain", "plain"),
            (Kind::SECRET, "hunter2", "***"),
            (
                Kind::URL,
                "postgres://u:p@a:1,b:2/db",
                "postgres://***@a:1,b:2/db",
            ),
            (Kind::URL, "postgres://u:p,q@a/db", "postgres://***@a/db"),
            (Kind::URL, "postgres://u:p@ss@a/db", "postgres://***@a/db"),
            (
                Kind::URL,
                "postgres://a/db?sslmode=require&password=p",
                "postgres://a/db?sslmode=require&password=***",
            ),
            (
                Kind::URLS,
                "nats://u:p@a:4222,tls://b",
                "nats://***@a:4222,tls://b",
            ),
            (Kind::URLS, "token@a", "***@a"),
        ] {
            assert_eq!(redacted(kind, text), shown);
        }
    }
}
