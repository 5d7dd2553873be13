//! The HTTP server of probes, metrics and administration.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::fault::Warning;
use super::parse;
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
    let addr = reader.value(&HTTP_ADDR, |text| {
        parse::unless_off(text, |text| {
            let rule = "must be an IP address and a port, like 127.0.0.1:9640";
            text.trim().parse().map_err(|_| rule.to_owned())
        })
    });
    let tokens = tokens(reader);
    Some(HttpSettings {
        addr: addr?,
        tokens: tokens?,
    })
}

fn tokens(reader: &mut Reader<'_>) -> Option<Option<TokensFile>> {
    let Some((path, text)) = reader.text_of_file(&HTTP_TOKENS_FILE)? else {
        return Some(None);
    };
    match TokenTable::parse(&text) {
        Ok(table) => {
            if !table.short.is_empty() {
                reader.warn(Warning::ShortTokens {
                    path: path.clone(),
                    lines: table.short.clone(),
                });
            }
            Some(Some(TokensFile { path, table }))
        }
        Err(faults) => {
            for fault in faults {
                let rule = format!("names {}, where {fault}", path.display());
                reader.fault(&HTTP_TOKENS_FILE, rule);
            }
            None
        }
    }
}
