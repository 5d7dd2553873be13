//! A change as HTTP asks for it: a path, a body, and what may be in headers and query as well.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::{HeaderMap, header};
use serde_json::value::RawValue;

use crate::adapters::http::State;
use crate::adapters::http::access::Caller;
use crate::adapters::http::answer::HttpError;
use crate::adapters::http::body::Body;
use crate::adapters::http::query::Query;
use crate::documents::change;
use crate::documents::desk::Answer;
use crate::documents::request::numbers::ANY;
use crate::documents::request::optional_object;
use crate::documents::verb::Verb;
use crate::domain::decimal::Decimal;
use crate::domain::whole::whole;
use crate::service::error::RegistryError;

/// Fields of the body that a query may have instead.
const IN_QUERY: [&str; 3] = ["if_revision", "actor", "dry_run"];

/// Everything that a change is made of.
pub(in crate::adapters::http) struct Change {
    state: State,
    caller: Caller,
    id: Option<String>,
    fields: change::Body,
}

impl FromRequest<State> for Change {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &State) -> Result<Self, HttpError> {
        let (mut parts, body) = request.into_parts();
        // The guard has put it there.
        let caller = parts.extensions.remove().ok_or(RegistryError::Internal)?;
        let id = Option::<Path<String>>::from_request_parts(&mut parts, state).await;
        let id = id.map_err(|_| RegistryError::field("id", "is not UTF-8"))?;
        let query = Query::from_request_parts(&mut parts, state).await?;
        let headers = parts.headers.clone();
        let body = Body::from_request(Request::from_parts(parts, body), state).await?;
        let mut fields = optional_object(&body.0)?;
        lay_query(&mut fields, &query)?;
        lay_condition(&mut fields, &headers)?;
        Ok(Self {
            state: state.clone(),
            caller,
            id: id.map(|Path(id)| id),
            fields,
        })
    }
}

impl Change {
    /// The id that is to be created, where it is one.
    pub(super) fn new_id(&self) -> Option<String> {
        serde_json::from_str(self.fields.fields.get("id")?.get()).ok()
    }

    /// Whether nothing is to be written.
    pub(super) fn is_dry_run(&self) -> bool {
        self.fields.is_dry_run()
    }

    /// Commits it; returns the record, or what is left to report.
    pub(super) async fn carry_out(self, verb: Verb) -> Result<Answer, HttpError> {
        let is_dry_run = self.is_dry_run();
        let actor = |field: Option<&str>| self.caller.actor(field);
        let (desk, id) = (&self.state.desk, self.id.as_deref());
        // Nothing bounds a reply but the record's own limit.
        let answer = desk.change(verb, self.fields, id, actor, usize::MAX);
        tokio::select! {
            biased;
            answer = answer => Ok(answer?),
            // What gives up requests does not know their bodies, and takes each for a change.
            () = self.state.give_up.cancelled(), if is_dry_run => {
                Err(RegistryError::ShuttingDown.into())
            }
        }
    }
}

/// Lays the parameters of a URL over the fields; an unknown parameter is a fault.
fn lay_query(fields: &mut change::Body, query: &Query) -> Result<(), RegistryError> {
    query.only(&IN_QUERY)?;
    for name in IN_QUERY {
        if let Some(text) = query.text(name)? {
            let json = match (name, text.as_str()) {
                ("if_revision", number) => whole(number.trim(), &ANY).ok().map(Into::into),
                ("dry_run", "true") => Some(true.into()),
                ("dry_run", "false") => Some(false.into()),
                _ => None,
            };
            let json = json.unwrap_or_else(|| serde_json::Value::from(text));
            lay(fields, name, json, "query")?;
        }
    }
    Ok(())
}

/// Lays `If-Match` over the fields: the revision that `ETag` has, or `*` for any.
fn lay_condition(fields: &mut change::Body, headers: &HeaderMap) -> Result<(), RegistryError> {
    let fault = || RegistryError::field("If-Match", "must be an `ETag` of the record, or *");
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(());
    };
    let text = value.to_str().map_err(|_| fault())?.trim();
    if values.next().is_some() {
        return Err(fault());
    }
    if text == "*" {
        return Ok(());
    }
    let quoted = text.strip_prefix('"');
    let quoted = quoted.and_then(|rest| rest.strip_suffix('"'));
    let revision: u64 = quoted.unwrap_or(text).parse().map_err(|_| fault())?;
    lay(fields, "if_revision", revision.into(), "If-Match")
}

/// Lays one value over the fields; one that differs must not be there. Null is none.
fn lay(
    fields: &mut change::Body,
    name: &str,
    value: serde_json::Value,
    place: &str,
) -> Result<(), RegistryError> {
    let json = RawValue::from_string(value.to_string());
    let json = json.map_err(|_| RegistryError::Internal)?;
    match fields.fields.get(name) {
        Some(own) if !same(own.get(), json.get()) && own.get() != "null" => {
            let rule = format!("differs from the one in {place}");
            Err(RegistryError::field(name, rule))
        }
        _ => {
            fields.fields.insert(name.to_owned(), json);
            Ok(())
        }
    }
}

/// Whether two texts are the same JSON; numbers and strings may be written in several ways.
fn same(a: &str, b: &str) -> bool {
    let numbers = Decimal::parse(a).zip(Decimal::parse(b));
    let string = |json: &str| serde_json::from_str::<String>(json).ok();
    let strings = string(a).zip(string(b));
    a == b || numbers.is_some_and(|(a, b)| a == b) || strings.is_some_and(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(body: &str, query: &[(&str, &str)], if_match: &[&str]) -> Result<String, String> {
        let told = |error: RegistryError| error.to_string();
        let mut fields: change::Body = optional_object(body.as_bytes()).map_err(told)?;
        let pairs = query.iter();
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        lay_query(&mut fields, &Query(pairs.collect())).map_err(told)?;
        let mut headers = HeaderMap::new();
        for value in if_match {
            headers.append(header::IF_MATCH, value.parse().unwrap());
        }
        lay_condition(&mut fields, &headers).map_err(told)?;
        Ok(serde_json::to_string(&fields.fields).unwrap())
    }

    #[test]
    fn a_condition_may_stand_in_three_places() {
        let seven = r#"{"if_revision":7}"#;
        for (body, query, if_match) in [
            (seven, &[][..], &[][..]),
            ("", &[("if_revision", "7")], &[]),
            ("", &[("if_revision", "7.0")], &[]),
            (r#"{"if_revision":70e-1}"#, &[], &["\"7\""]),
            ("", &[], &["\"7\""]),
            ("{}", &[], &["7"]),
            (seven, &[("if_revision", "7")], &["\"7\""]),
            (seven, &[], &["*"]),
            (r#"{"if_revision":null}"#, &[], &["\"7\""]),
        ] {
            assert_eq!(laid(body, query, if_match).as_deref(), Ok(seven));
        }
        let actor = laid("", &[("actor", "12")], &[]);
        assert_eq!(actor.as_deref(), Ok(r#"{"actor":"12"}"#));
        let escaped = laid(r#"{"actor":"ops\u0040a"}"#, &[("actor", "ops@a")], &[]);
        assert_eq!(escaped.as_deref(), Ok(r#"{"actor":"ops@a"}"#));
        for (body, query, if_match, told) in [
            (seven, &[][..], &["\"8\""][..], "differs"),
            (seven, &[("if_revision", "8")], &[], "differs"),
            (r#"{"actor":"ann"}"#, &[("actor", "bob")], &[], "differs"),
            (
                "",
                &[("if_revision", "7"), ("if_revision", "7")],
                &[],
                "twice",
            ),
            ("", &[("revision", "7")], &[], "unknown"),
            ("", &[], &["\"7\"", "\"7\""], "If-Match"),
            ("", &[], &["W/\"7\""], "If-Match"),
            ("", &[], &["\"7\", \"8\""], "If-Match"),
            ("", &[], &[""], "If-Match"),
        ] {
            let error = laid(body, query, if_match).unwrap_err();
            assert!(
                error.contains(told),
                "{body} {query:?} {if_match:?}: {error}"
            );
        }
    }
}
