//! The HTTP server of probes, metrics and administration.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::parse;
use super::reader::Reader;
use super::variables::{HTTP_ADDR, HTTP_TOKENS_FILE};

/// Settings of the HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where it listens; `None` when it is off.
    pub addr: Option<SocketAddr>,
    /// The file of tokens and roles; without it nothing can be changed over HTTP.
    pub tokens_file: Option<PathBuf>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<HttpSettings> {
    let addr = reader.value(&HTTP_ADDR, |text| {
        parse::unless_off(text, |text| {
            let rule = "must be an IP address and a port, like 127.0.0.1:9640";
            text.trim().parse().map_err(|_| rule.to_owned())
        })
    });
    let tokens_file = reader.readable_file(&HTTP_TOKENS_FILE);
    Some(HttpSettings {
        addr: addr?,
        tokens_file: tokens_file?,
    })
}
