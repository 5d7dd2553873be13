//! Hints about an id: the one that was probably meant if it is unknown, and what is deleted with
//! it.

use super::failure::{Failure, Outcome};
use super::field::Given;
use super::session::Session;
use super::text::clean;
use super::{json, raw};
use crate::adapters::nats::verb::Verb;
use crate::cli::document::{list, string};

/// More letters than this apart, and another one was meant.
const FAR: usize = 3;
/// Ids that are looked through.
const MAX: usize = 1000;

fn id(given: &[Given]) -> Option<String> {
    let (_, id) = given.iter().find(|(name, _)| name == "id")?;
    serde_json::from_str(id.get()).ok()
}

/// `failure`, with the id that may have been meant if there is none of that name.
pub(super) async fn explained(
    session: &Session<'_>,
    verb: Verb,
    given: &[Given],
    failure: Failure,
) -> Failure {
    let unknown = failure.answered("error.details.reason").as_deref() == Some("unknown");
    // Of several, the answer names the one.
    let wanted = failure
        .answered("error.details.id")
        .or_else(|| id(given))
        .filter(|_| unknown && verb != Verb::List);
    let Some(wanted) = wanted else {
        return failure;
    };
    let ids = ids(session).await.unwrap_or_default();
    match nearest(&wanted, &ids) {
        Some(near) => failure.with(&format!("did you mean `{}`?", clean(near))),
        None => failure.with("all there are: beamline-registry list --enabled all"),
    }
}

async fn ids(session: &Session<'_>) -> Outcome<Vec<String>> {
    let body = json::object([
        ("limit".to_owned(), json::value(&MAX)),
        ("enabled".to_owned(), json::value(&"all")),
    ]);
    let reply = session.ask(session.to, Verb::List, &body).await?;
    let extensions = list(raw(&reply.body)?, "extensions");
    Ok(extensions.iter().map(|it| string(it, "id")).collect())
}

/// The name most like `wanted`, if one is like it.
fn nearest<'a>(wanted: &str, names: &'a [String]) -> Option<&'a str> {
    let distance = |name: &&String| strsim::damerau_levenshtein(name, wanted);
    let near = names.iter().min_by_key(distance)?;
    (distance(&near) <= FAR.min(wanted.len() / 2)).then_some(near)
}

/// What a deletion takes with it, in words; nothing where there is nothing.
pub(super) async fn taken(session: &Session<'_>, given: &[Given]) -> Option<String> {
    let body = json::object([("id".to_owned(), json::value(&id(given)?))]);
    let reply = session.ask(session.to, Verb::Get, &body).await.ok()?;
    let record = raw(&reply.body).ok()?;
    let named = |name: &str, key: &str| {
        let members = list(record, name);
        let names: Vec<_> = members.iter().map(|it| clean(&string(it, key))).collect();
        (!names.is_empty()).then(|| format!("{name} {}", names.join(", ")))
    };
    let parts = [
        named("versions", "version"),
        named("instances", "instance_id"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("with it: {}", parts.join("; ")))
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
