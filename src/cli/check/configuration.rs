//! The settings, and whether this host allows them.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::json;
use tokio::net::TcpListener;

use super::line::{Advice, Line};
use crate::adapters::http::client;
use crate::cli::Invocation;
use crate::cli::operator::clean;
use crate::cli::table::{Column, NONE, draw};

const NAMES: Advice = ("correct the name, or remove it", "docs/configuration.md");
const ADDRESS: Advice = (
    "stop what listens there, or set EXTENSION_REGISTRY_HTTP_ADDR",
    "docs/configuration.md#http",
);

pub(super) async fn lines(invocation: &Invocation) -> Vec<Line> {
    let settings = &invocation.settings;
    let changed = settings.distinct.changed.len();
    let fingerprint = &settings.distinct.fingerprint;
    let sound = format!(
        "is sound; {changed} settings differ from the defaults (--settings shows all), fingerprint \
         {fingerprint}"
    );
    let mut lines = vec![Line::good(sound)];
    let warnings = invocation.warnings.iter();
    let warning = |text: &String| Line::doubtful("has no doubtful settings", text.clone(), NAMES);
    lines.extend(warnings.map(warning));
    if let Some(addr) = settings.http.addr {
        lines.push(http(addr).await);
    }
    lines
}

/// Whether the daemon can listen there, or is the one that does.
async fn http(addr: SocketAddr) -> Line {
    let what = format!("can listen on {addr} for HTTP");
    match TcpListener::bind(addr).await {
        Ok(_) => Line::good(what),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            match client::ask(addr, "/livez").await {
                Ok((200, _)) => {
                    Line::good(format!("listens on {addr} for HTTP: a daemon is running"))
                }
                _ => Line::bad(what, "something else listens there".to_owned(), ADDRESS),
            }
        }
        Err(error) => Line::bad(what, error.to_string(), ADDRESS),
    }
}

/// One line per variable: name, value (secrets hidden) and where it was set.
pub(super) fn effective(invocation: &Invocation, as_json: bool) -> String {
    let entries = &invocation.effective;
    if as_json {
        let entries = entries.iter().map(|entry| {
            json!({"name": entry.name, "value": entry.value, "from": entry.origin.to_string()})
        });
        let document = json!({"settings": entries.collect::<Vec<_>>()});
        return format!("{document:#}");
    }
    let values = entries.iter().map(|entry| entry.value.as_deref());
    let values = values.map(|value| clean(value.unwrap_or(NONE)));
    let origins = entries.iter().map(|entry| entry.origin.to_string());
    let columns = vec![
        Column::new("variable", entries.iter().map(|entry| entry.name.as_str())),
        Column::new("value", values),
        Column::new("from", origins.map(|origin| clean(&origin))),
    ];
    draw(columns, &invocation.screen)
}
