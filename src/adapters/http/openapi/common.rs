//! What operations have in common: the token they need, the errors they answer, what is in paths
//! and headers.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Ref, RefOr, Required, ResponseBuilder};

use crate::adapters::http::access::Need;
use crate::documents::change::schema_of;
use crate::documents::headers::ACTOR;

/// The name of the one security scheme.
pub(super) const BEARER: &str = "token";

/// Errors of every operation that needs data: a status and what it means in each line.
const ALWAYS: &str = "\
400 `invalid_request`: a parameter, a header or the body is wrong; `details.field` names it, of a body `details.faults` all fields
401 `unauthorized`: the server has a tokens file, and the request has no token from it
403 `forbidden`: the token's role is too low. For changes also: the server has no tokens file, administration is disabled, or the token is bound to no name
404 `extension_not_found`: `details.reason` says why. `not_found`: no such path
413 `payload_too_large`: the body, or a record, is over its limit
421 `misdirected_request`: `Host` is none of this server's names
500 `internal`: a bug, or the database refused: see the log
503 `starting`: no data yet. `database_unavailable`: the database is needed and cannot be used; `details.reason` says why, `locked` if another transaction holds a lock; `details.outcome` is `unknown` if it is not known whether a change was committed. `overloaded`, `shutting_down`: try another sidecar
504 `deadline_exceeded`: the answer took too long; a change may still be applied";
const OF_READS: &str = "\
409 `read_only`: there is no audit without a database
412 `revision_timeout`: `min_revision` was not reached in time";
const OF_CHANGES: &str = "\
408 `request_timeout`: the request body took too long
409 `conflict`: the record is not at the expected revision (`details.revision` is the current one), or the change contradicts it. `already_exists`: the id or the subject is taken. `read_only`: there is no database
415 `unsupported_media_type`: a body needs `Content-Type: application/json`";

/// Completes the description of an operation with the rights it needs.
pub(super) fn complete(operation: &mut Operation, need: Need, path: &str) {
    let own = match need {
        Need::Nothing => return,
        Need::Reader | Need::Viewer | Need::Audit => OF_READS,
        Need::Write(_) | Need::Reload => OF_CHANGES,
    };
    let lines = ALWAYS.lines().chain(own.lines());
    for (status, meaning) in lines.filter_map(|line| line.split_once(' ')) {
        let content = Content::new(Some(Ref::from_schema_name("Error")));
        let response = ResponseBuilder::new().description(meaning);
        let response = response.content("application/json", content).build();
        let responses = &mut operation.responses.responses;
        let entry = responses.entry(status.to_owned());
        entry.or_insert(RefOr::T(response));
    }
    let otherwise = match need {
        Need::Write(_) | Need::Reload => "and is forbidden without a tokens file",
        Need::Audit => "or, without a tokens file, `HTTP_ADDR` on loopback",
        _ => "if there is a tokens file",
    };
    let token = SecurityRequirement::new(BEARER, [] as [&str; 0]);
    let open = SecurityRequirement::default();
    let requirements = [token].into_iter().chain((!need.writes()).then_some(open));
    operation.security = Some(requirements.collect());
    let role = need.role().as_str();
    let role = format!("Needs a token with the role {role} or a higher one, {otherwise}.");
    let description = operation.description.take();
    let description = description.into_iter().chain([role]);
    operation.description = Some(description.collect::<Vec<_>>().join("\n\n"));
    let parameters = operation.parameters.get_or_insert_default();
    parameters.iter_mut().for_each(as_json);
    let mut add = |name: &str, place, schema: Schema, meaning: &str| {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            // What is in the path is, whatever this says.
            .required(Required::False)
            .description(Some(meaning))
            .schema(Some(schema))
            .build();
        parameters.push(RefOr::T(parameter));
    };
    if path.contains("{id}") {
        add("id", ParameterIn::Path, schema_of("id"), "The extension");
    }
    if need.writes() {
        let meaning = "The actor, unless the token is bound to a name";
        add(ACTOR, ParameterIn::Header, schema_of("actor"), meaning);
    }
    if need.writes() && path.contains("/extensions") {
        let meaning = "Check the change without committing it; the answer shows what would change";
        add("dry_run", ParameterIn::Query, schema_of("dry_run"), meaning);
    }
    if need.writes() && path.contains("{id}") {
        let tag = ObjectBuilder::new().schema_type(Type::String);
        let tag = tag.pattern(Some(r#"^(\*|"?[0-9]{1,18}"?)$"#)).into();
        let meaning = "The revision that the record must have, as in `ETag`";
        add("If-Match", ParameterIn::Header, tag, meaning);
        let revision = schema_of("if_revision");
        add("if_revision", ParameterIn::Query, revision, "The same");
    }
}

/// An object is JSON in a query, too. Described by its schema alone, each of its members would be a
/// parameter.
fn as_json(parameter: &mut RefOr<Parameter>) {
    if let RefOr::T(parameter) = parameter
        && let Some(RefOr::T(Schema::Object(object))) = &parameter.schema
        && object.schema_type == SchemaType::Type(Type::Object)
    {
        let content = Content::new(parameter.schema.take());
        let json = "application/json".to_owned();
        parameter.content.insert(json, RefOr::T(content));
    }
}
