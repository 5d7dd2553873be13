//! Addresses of NATS servers, with the logins that may stand in them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use secrecy::SecretString;
use thiserror::Error;

/// The port of a server whose address has none.
const PORT: u16 = 4222;

/// Why a text is no address of a server. The text may hold a password, so it is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Another scheme.
    #[error("must begin with nats:// or tls://")]
    Scheme,
    /// No host, or one that cannot be.
    #[error("must name a host")]
    Host,
    /// No port number.
    #[error("must have a port from 1 to 65535, if any")]
    Port,
    /// A path, a query or a fragment, which mean nothing here.
    #[error("must end after host and port")]
    Trailing,
    /// A percent sign without two hexadecimal digits, or bytes that are no text.
    #[error("has a login that is not percent-encoded UTF-8")]
    Encoding,
}

/// A login that an address carries.
#[derive(Debug, Clone)]
pub enum UrlLogin {
    /// `user:password@`
    User(String, SecretString),
    /// `token@`
    Token(SecretString),
}

/// Where a server is.
#[derive(Debug, Clone)]
pub struct NatsAddress {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the address itself demands TLS.
    pub tls: bool,
    /// The login that stands in it.
    pub login: Option<UrlLogin>,
    /// The name that its certificate must have: its host's; of a server that was learned by its IP
    /// address, that of the server that the cluster was entered by.
    pub certificate_name: String,
}

impl NatsAddress {
    /// Reads `nats://user:password@host:port`; without a scheme it is `nats`.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (tls, rest) = match text.split_once("://") {
            None => (false, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("nats") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tls") => (true, rest),
            Some(_) => return Err(AddressError::Scheme),
        };
        // The last one: a password that is not encoded may hold others.
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let login = login.map(url_login).transpose()?.flatten();
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains(['/', '?', '#']) {
            return Err(AddressError::Trailing);
        }
        let (host, port) = host_and_port(place)?;
        Ok(Self {
            certificate_name: host.clone(),
            host,
            port,
            tls,
            login,
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

fn url_login(text: &str) -> Result<Option<UrlLogin>, AddressError> {
    let decoded = |text: &str| decode(text).ok_or(AddressError::Encoding);
    Ok(match text.split_once(':') {
        None if text.is_empty() => None,
        None => Some(UrlLogin::Token(decoded(text)?.into())),
        Some((user, password)) => Some(UrlLogin::User(decoded(user)?, decoded(password)?.into())),
    })
}

fn decode(text: &str) -> Option<String> {
    let mut escapes = text.split('%').skip(1);
    let whole = |escape: &str| {
        let digits = escape.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(whole) {
        return None;
    }
    let decoded = percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .ok()?;
    Some(decoded.into_owned())
}

fn host_and_port(place: &str) -> Result<(String, u16), AddressError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(AddressError::Host)?;
            host.parse::<Ipv6Addr>().map_err(|_| AddressError::Host)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(AddressError::Port),
            }
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let odd = |char: char| char.is_whitespace() || char.is_control();
    if host.is_empty() || host.contains(odd) {
        return Err(AddressError::Host);
    }
    let port = match port {
        None => PORT,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => port,
            _ => return Err(AddressError::Port),
        },
    };
    Ok((host.to_owned(), port))
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
        for (text, error) in [
            ("http://a", AddressError::Scheme),
            ("nats://", AddressError::Host),
            ("nats://a b", AddressError::Host),
            ("nats://[::1", AddressError::Host),
            ("nats://a:0", AddressError::Port),
            ("nats://a:65536", AddressError::Port),
            ("nats://[::1]4", AddressError::Port),
            ("nats://a/b", AddressError::Trailing),
            ("nats://a?x=1", AddressError::Trailing),
            ("nats://100%@a", AddressError::Encoding),
            ("nats://%ff@a", AddressError::Encoding),
        ] {
            assert_eq!(NatsAddress::parse(text).err(), Some(error), "{text}");
        }
    }

    /// User and password, or a token alone.
    fn login(text: &str) -> Option<(Option<String>, String)> {
        Some(match address(text).login? {
            UrlLogin::User(user, password) => (Some(user), password.expose_secret().to_owned()),
            UrlLogin::Token(token) => (None, token.expose_secret().to_owned()),
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
        assert_eq!(login("nats://@host"), None);
        let address = address("nats://a:hunter2@h");
        let shown = format!("{address:?} {address}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
