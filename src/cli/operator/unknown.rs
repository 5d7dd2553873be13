//! The id that was probably meant where one is unknown.

use serde_json::value::RawValue;

use super::failure::{Failure, Outcome};
use super::session::Session;
use super::text::clean;
use super::{json, raw};
use crate::adapters::nats::verb::Verb;
use crate::cli::document::{list, string};

/// More letters than this apart, and another one was meant.
const FAR: usize = 3;
/// Ids that are looked through.
const MAX: usize = 1000;

/// `failure`, with the id that may have been meant if there is none of that name.
pub(super) async fn explained(session: &Session<'_>, failure: Failure) -> Failure {
    let unknown = failure.answered("error.details.reason").as_deref() == Some("unknown");
    let wanted = failure.answered("error.details.id");
    let Some(wanted) = wanted.filter(|_| unknown) else {
        return failure;
    };
    let ids = ids(session).await.unwrap_or_default();
    match nearest(&wanted, &ids) {
        Some(near) => failure.with(&format!("did you mean `{}`?", clean(near))),
        None => failure.with("all there are: beamline-registry list --enabled all"),
    }
}

/// A request for all extensions, as far as they are looked through.
pub(super) fn all() -> Box<RawValue> {
    json::object([
        ("limit".to_owned(), json::value(&MAX)),
        ("enabled".to_owned(), json::value(&"all")),
    ])
}

async fn ids(session: &Session<'_>) -> Outcome<Vec<String>> {
    let reply = session.ask(session.to, Verb::List, &all()).await?;
    let extensions = list(raw(&reply.body)?, "extensions");
    Ok(extensions.iter().map(|it| string(it, "id")).collect())
}

/// The name most like `wanted`, if one is like it.
fn nearest<'a>(wanted: &str, names: &'a [String]) -> Option<&'a str> {
    let distance = |name: &&String| strsim::damerau_levenshtein(name, wanted);
    let near = names.iter().min_by_key(distance)?;
    (distance(&near) <= FAR.min(wanted.len() / 2)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_offered_only_where_it_is_like_the_one_given() {
        let names = ["normalize_text", "mask_pii", "a"].map(str::to_owned);
        for (wanted, near) in [
            ("normalise_text", Some("normalize_text")),
            ("maskpii", Some("mask_pii")),
            ("mask_ip", Some("mask_pii")),
            ("translate", None),
            ("b", None),
        ] {
            assert_eq!(nearest(wanted, &names), near, "{wanted}");
        }
    }
}
