//! Addresses of NATS servers, with the logins that they may hold.

use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::nats::NatsAuth;
use super::secret::Secret;

/// The port of a server whose address has none.
const PORT: u16 = 4222;

/// Where a server is.
#[derive(Debug, Clone)]
pub struct NatsAddress {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the address itself demands TLS.
    pub tls: bool,
    /// The login in it: a user or a token.
    pub login: Option<NatsAuth>,
    /// The name that its certificate must have: its host's. For a server learned by its IP address,
    /// the name of the server through which the cluster was entered, if that has one.
    pub certificate_name: String,
}

impl NatsAddress {
    /// Reads `nats://user:password@host:port`; without a scheme it is `nats`.
    ///
    /// # Errors
    /// The rule that the text breaks. The text may hold a password, so it is not quoted.
    pub fn parse(text: &str) -> Result<Self, String> {
        // The parser leaves out line breaks: two lines would become one host.
        if text.contains(|char: char| char.is_ascii_control()) {
            return Err("is not an address: it has a line break or control character".to_owned());
        }
        let url = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("nats://{text}")),
        };
        let url = url.map_err(|error| format!("is not an address: {error}"))?;
        if !["nats", "tls"].contains(&url.scheme()) {
            return Err("must begin with nats:// or tls://".to_owned());
        }
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            host => host.map(|host| host.to_string()).unwrap_or_default(),
        };
        let ends = matches!(url.path(), "" | "/") && url.query().or(url.fragment()).is_none();
        if host.is_empty() || !ends {
            return Err("must name a host, and must end after host and port".to_owned());
        }
        let port = url.port().unwrap_or(PORT);
        if port == 0 {
            return Err("must have a port from 1 to 65535, if any".to_owned());
        }
        Ok(Self {
            certificate_name: host.clone(),
            host,
            port,
            tls: url.scheme() == "tls",
            login: login(&url, text)?,
        })
    }

    /// Host and port: what makes it another server.
    pub fn place(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Whether the host is an IP address and no name.
    pub fn is_ip(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

/// `host:port` for a log line; never the login.
impl fmt::Display for NatsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The login in `url`, whose `text` shows what the parser leaves out: that a password is empty.
fn login(url: &Url, text: &str) -> Result<Option<NatsAuth>, String> {
    let decoded = |text: &str| match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err("has a login that is not percent-encoded UTF-8".to_owned()),
    };
    let name = decoded(url.username())?;
    let empty = (!name.is_empty() && text.contains(":@")).then_some("");
    Ok(match url.password().or(empty) {
        Some(password) => Some(NatsAuth::User {
            name,
            password: Secret::new(decoded(password)?.into(), None),
        }),
        None if name.is_empty() => None,
        None => Some(NatsAuth::Token(Secret::new(name.into(), None))),
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn address(text: &str) -> NatsAddress {
        NatsAddress::parse(text).unwrap()
    }

    #[test]
    fn addresses_have_host_port_and_scheme() {
        for (text, place, tls) in [
            ("nats://a:1", "a:1", false),
            ("a", "a:4222", false),
            ("TLS://a.b", "a.b:4222", true),
            ("nats://[::1]:5/", "[::1]:5", false),
            ("[fe80::1]", "[fe80::1]:4222", false),
            ("10.0.0.1:6", "10.0.0.1:6", false),
        ] {
            let address = address(text);
            assert_eq!((address.to_string().as_str(), address.tls), (place, tls));
            assert_eq!(address.certificate_name, address.host);
        }
        for (text, rule) in [
            ("http://a", "must begin with nats:// or tls://"),
            ("nats://", "must name a host"),
            ("nats://a b", "is not an address"),
            ("a\nb", "is not an address: it has a line break"),
            ("nats://[::1", "is not an address: invalid IPv6 address"),
            ("nats://a:0", "must have a port"),
            ("nats://a:65536", "is not an address: invalid port number"),
            ("nats://[::1]4", "is not an address"),
            ("nats://a/b", "end after host and port"),
            ("nats://a?x=1", "end after host and port"),
            (
                "nats://hunter2:pass/word@a",
                "is not an address: invalid port number",
            ),
            ("nats://%ff@a", "percent-encoded UTF-8"),
        ] {
            let error = NatsAddress::parse(text).unwrap_err();
            assert!(error.contains(rule), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    /// User and password, or a token alone.
    fn login(text: &str) -> Option<(Option<String>, String)> {
        Some(match address(text).login? {
            NatsAuth::User { name, password } => {
                (Some(name), password.first().expose_secret().to_owned())
            }
            NatsAuth::Token(token) => (None, token.first().expose_secret().to_owned()),
            other => panic!("{other:?}"),
        })
    }

    /// CASES.md B7.
    #[test]
    fn logins_are_decoded_and_never_shown() {
        let user = |user: &str, password: &str| Some((Some(user.to_owned()), password.to_owned()));
        assert_eq!(login("nats://a:b@host"), user("a", "b"));
        assert_eq!(
            login("nats://a%40x:p%3Aq%2F%C3%A9@host"),
            user("a@x", "p:q/\u{e9}")
        );
        assert_eq!(login("nats://a:p@ss@host"), user("a", "p@ss"));
        assert_eq!(
            login("nats://s3cret@host"),
            Some((None, "s3cret".to_owned()))
        );
        assert_eq!(login("nats://100%:50%25@host"), user("100%", "50%"));
        assert_eq!(login("nats://@host"), None);
        assert_eq!(login("nats://a:@host"), user("a", ""));
        let address = address("nats://a:hunter2@h");
        let shown = format!("{address:?} {address}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
