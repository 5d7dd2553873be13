//! Cross-site requests: sent by a browser for a page of another site.
//!
//! A page on the internet can have a name of its own lead here (DNS rebinding), and could then read
//! whatever is open to clients that reach the port. The browser still sends the name it asks for.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::header::HOST;

use super::Access;
use crate::adapters::http::answer::HttpError;
use crate::service::error::RegistryError;

/// Answered under any name.
const PROBES: [&str; 3] = ["/livez", "/startupz", "/readyz"];

impl Access {
    /// Refuses a request for a name that is not ours, or that another site's page has made. A link to
    /// the status page may be anywhere.
    pub(in crate::adapters::http) fn of_ours(&self, request: &Request) -> Result<(), HttpError> {
        let (headers, uri) = (request.headers(), request.uri());
        let says = |name, word| headers.get_all(name).iter().any(|value| value == word);
        let visits = uri.path() == "/" && says("sec-fetch-mode", "navigate");
        if says("sec-fetch-site", "cross-site") && !visits {
            return Err(RegistryError::Forbidden("cross-site requests are refused").into());
        }
        if PROBES.contains(&uri.path()) {
            return Ok(());
        }
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().map(|host| host.to_str().unwrap_or("?"));
        if hosts.next().is_some() {
            return Err(RegistryError::field("Host", "is given twice").into());
        }
        // An absolute target counts before the header; here both must be ours.
        let target = uri.authority().map(|authority| authority.as_str());
        let mut names = host.into_iter().chain(target);
        match names.all(|name| self.answers(name)) {
            true => Ok(()),
            false => Err(HttpError::NotOurName),
        }
    }

    fn answers(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        if let Some(address) = name.strip_prefix('[') {
            let address = address.strip_suffix(']').map(str::parse::<Ipv6Addr>);
            return address.is_some_and(|address| address.is_ok());
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        let ours = self.hosts.iter().map(String::as_str);
        let mut ours = ours.chain(["localhost"]);
        // One that names no host is as good as none.
        host.is_empty()
            || name.parse::<Ipv4Addr>().is_ok()
            || ours.any(|known| known.eq_ignore_ascii_case(name))
    }
}
