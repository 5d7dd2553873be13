//! The HTTP server of probes, metrics and administration.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::parse::Rule;
use super::reader::Reader;
use super::tokens::TokenTable;
use super::variables::HTTP_TOKENS_FILE;

/// The file of tokens, which is read again when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it at the start.
    pub table: TokenTable,
}

/// What is in the file at `path`; without one nothing can be changed over HTTP.
pub(super) fn tokens(path: Option<PathBuf>, reader: &mut Reader<'_>) -> Option<TokensFile> {
    let path = path?;
    let text = reader.surroundings.text(&path);
    let text = text.map_err(|rule| reader.fault(&HTTP_TOKENS_FILE, rule));
    let shown = path.display();
    match TokenTable::parse(&text.ok()?) {
        Ok(table) => {
            if !table.short.is_empty() {
                let rule = "has tokens under 16 characters, which can be guessed";
                let lines = table.short.join(", ");
                reader.warn(format!("{shown} {rule}: lines {lines}"));
            }
            Some(TokensFile { path, table })
        }
        Err(faults) => {
            for fault in faults {
                reader.fault(&HTTP_TOKENS_FILE, format!("names {shown}, where {fault}"));
            }
            None
        }
    }
}

/// An IP address and a port.
pub(super) fn addr(text: &str) -> Result<SocketAddr, Rule> {
    let rule = "must be an IP address and a port, like 127.0.0.1:9640";
    text.trim().parse().map_err(|_| rule.to_owned())
}

/// A host's name, without the dot that may end it.
pub(super) fn host(text: &str) -> Result<String, Rule> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let known = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    match !name.is_empty() && name.chars().all(known) {
        true => Ok(name.to_owned()),
        false => Err("must be names of hosts without a port, like registry.example".to_owned()),
    }
}
