//! Contexts of the `nats` command line: servers, login and TLS in a JSON file that has a name.
//!
//! The settings of a context rank below all other layers. Nothing in it is executed: where it asks
//! for a program, a vault or another kind of connection, that is a fault which names it. Format:
//! the package `natscontext` of `nats-io/jsm.go`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Surroundings;
use super::parse::Rule;

/// The settings that are a login: one of them replaces the whole login of a context.
pub(super) const LOGIN: [&str; 6] = [
    "NATS_CREDS",
    "NATS_NKEY",
    "NATS_NKEY_FILE",
    "NATS_USER",
    "NATS_PASSWORD",
    "NATS_TOKEN",
];

/// The fields of the file that matter here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    url: String,
    socks_proxy: String,
    token: String,
    user: String,
    password: String,
    creds: String,
    nkey: String,
    cert: String,
    key: String,
    ca: String,
    nsc: String,
    inbox_prefix: String,
    user_jwt: String,
    tls_first: bool,
    windows_cert_store: String,
}

/// A name of a context: one file name.
pub(super) fn name(text: &str) -> Result<String, Rule> {
    let part = Path::new(text).file_name();
    match part == Some(OsStr::new(text)) && !text.starts_with('.') {
        true => Ok(text.to_owned()),
        false => Err("must be the name of a context, which is one file name".to_owned()),
    }
}

/// The settings of the context, by the key of the setting. Whatever is empty is absent, and so is
/// its whole login where another one `replaces` it.
pub(super) fn read(
    context: &str,
    replaces: bool,
    surroundings: &Surroundings<'_>,
) -> Result<BTreeMap<&'static str, String>, Rule> {
    let folder = folder(surroundings).ok_or("needs HOME or XDG_CONFIG_HOME to be set")?;
    let path = folder.join(format!("{context}.json"));
    let text = surroundings.text(&path)?;
    let mut context: Context = serde_json::from_str(&text).map_err(|error| {
        // The parser's own words may quote a secret.
        let (path, line) = (path.display(), error.line());
        format!("names {path}, which is not a context: line {line}")
    })?;
    if replaces {
        context = Context {
            url: without_logins(&context.url),
            token: String::new(),
            user: String::new(),
            password: String::new(),
            creds: String::new(),
            nkey: String::new(),
            user_jwt: String::new(),
            ..context
        };
    }
    let refused = [
        ("nsc", !context.nsc.is_empty()),
        ("socks_proxy", !context.socks_proxy.is_empty()),
        ("user_jwt", !context.user_jwt.is_empty()),
        ("tls_first", context.tls_first),
        ("windows_cert_store", !context.windows_cert_store.is_empty()),
    ];
    if let Some((field, _)) = refused.into_iter().find(|(_, used)| *used) {
        let path = path.display();
        return Err(format!(
            "names {path}, whose `{field}` is not supported here"
        ));
    }
    let home = surroundings.variable("HOME");
    let file = |field: &str, path: String| match path.strip_prefix("~/") {
        _ if path.contains(['$', ':']) => Err(format!(
            "names a context whose `{field}` is not a plain path: write it out"
        )),
        Some(rest) => {
            let home = home.ok_or("needs HOME to be set, for `~`")?;
            Ok(format!("{}/{rest}", home.trim_end_matches('/')))
        }
        None => Ok(path),
    };
    // The first login counts, in the order of the `nats` command line.
    let login = match &context {
        context if !context.user.is_empty() => ["NATS_USER", "NATS_PASSWORD"].as_slice(),
        context if !context.creds.is_empty() => &["NATS_CREDS"],
        context if !context.nkey.is_empty() => &["NATS_NKEY_FILE"],
        _ => &["NATS_TOKEN"],
    };
    let said = [
        ("NATS_URL", context.url),
        ("NATS_USER", context.user),
        ("NATS_PASSWORD", context.password),
        ("NATS_CREDS", file("creds", context.creds)?),
        ("NATS_NKEY_FILE", file("nkey", context.nkey)?),
        ("NATS_TOKEN", context.token),
        ("NATS_TLS_CA", file("ca", context.ca)?),
        ("NATS_TLS_CERT", file("cert", context.cert)?),
        ("NATS_TLS_KEY", file("key", context.key)?),
        ("NATS_INBOX_PREFIX", context.inbox_prefix),
    ];
    let said = said
        .into_iter()
        .filter(|(key, text)| !text.is_empty() && (!LOGIN.contains(key) || login.contains(key)));
    Ok(said.collect())
}

/// `urls` without the logins in them.
fn without_logins(urls: &str) -> String {
    let bare = urls.split(',').map(|url| {
        let (scheme, rest) = url.split_at(url.find("://").map_or(0, |colon| colon + 3));
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        format!("{scheme}{place}")
    });
    bare.collect::<Vec<_>>().join(",")
}

fn folder(surroundings: &Surroundings<'_>) -> Option<PathBuf> {
    let base = match surroundings.variable("XDG_CONFIG_HOME") {
        Some(base) => PathBuf::from(base),
        None => Path::new(surroundings.variable("HOME")?).join(".config"),
    };
    Some(base.join("nats/context"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_file_name() {
        for good in ["prod", "prod.eu", "a-b_c"] {
            assert_eq!(name(good).unwrap(), good);
        }
        for bad in ["", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a/"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn logins_are_taken_out_of_addresses() {
        let urls = "nats://u:p@a:1, tls://b,t@c";
        assert_eq!(without_logins(urls), "nats://a:1, tls://b,c");
    }
}
