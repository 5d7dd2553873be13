//! The HTTP server of probes, metrics and administration.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::parse::{Rule, unless_off};
use super::reader::Reader;
use super::tokens::TokenTable;
use super::variables::{HTTP_ADDR, HTTP_TOKENS_FILE};

/// Settings of the HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where it listens; `None` when it is off.
    pub addr: Option<SocketAddr>,
    /// The file of tokens and roles; without it nothing can be changed over HTTP.
    pub tokens: Option<TokensFile>,
}

/// The file of tokens, which is read again when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it at the start.
    pub table: TokenTable,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<HttpSettings> {
    let surroundings = reader.surroundings;
    let tokens = reader.optional(&HTTP_TOKENS_FILE, |text| {
        let path = PathBuf::from(text);
        let table = TokenTable::parse(&surroundings.text(&path)?);
        let table = table.map_err(|faults| format!("names {text}, where {faults}"))?;
        Ok(TokensFile { path, table })
    });
    if let Some(TokensFile { path, table }) = &tokens
        && !table.short.is_empty()
    {
        let rule = "has tokens under 16 characters, which can be guessed";
        reader.warn(format!(
            "{} {rule}: lines {}",
            path.display(),
            table.short.join(", ")
        ));
    }
    let addr = reader.value(&HTTP_ADDR, unless_off(addr))?;
    Some(HttpSettings { addr, tokens })
}

fn addr(text: &str) -> Result<SocketAddr, Rule> {
    let rule = "must be an IP address and a port, like 127.0.0.1:9640";
    text.trim().parse().map_err(|_| rule.to_owned())
}
