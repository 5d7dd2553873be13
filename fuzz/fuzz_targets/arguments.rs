//! A request's body through every reader of requests there is: arguments or an error, which is
//! bounded, plain and the caller's fault.
//!
//! The input is a body as it comes with its message: a header block where it begins with one, and a
//! payload.
#![no_main]

use std::sync::LazyLock;
use std::time::Instant;

use beamline_registry::adapters::nats::verb::Verb;
use beamline_registry::adapters::nats::wire::headers::RawHeaders;
use beamline_registry::documents::audit::AuditArguments;
use beamline_registry::documents::cancel::CancelArguments;
use beamline_registry::documents::change;
use beamline_registry::documents::circuit::CircuitArguments;
use beamline_registry::documents::circuits::CircuitsArguments;
use beamline_registry::documents::error::{error, shorter};
use beamline_registry::documents::explain::ExplainArguments;
use beamline_registry::documents::health::HealthArguments;
use beamline_registry::documents::invoke::{InvokeArguments, InvokeHeaders};
use beamline_registry::documents::list::ListArguments;
use beamline_registry::documents::lookup::LookupArguments;
use beamline_registry::documents::reload::ReloadArguments;
use beamline_registry::documents::report::ReportArguments;
use beamline_registry::documents::request::{Freshness, Read, object_or_bare, optional_object};
use beamline_registry::domain::actor::Actor;
use beamline_registry::domain::context::{Context, Scalar};
use beamline_registry::domain::edit::{EditError, Stored, plan};
use beamline_registry::domain::record::{
    EXTENSION, Field, Fields, INSTANCE, Record, VERSION, describe,
};
use beamline_registry::service::error::RegistryError;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

mod policy;

use policy::POLICY;

/// The largest error reply: fifty faults of three quotations each, every byte of them escaped.
const MOST_OF_AN_ERROR: usize = 128 * 1024;
/// The largest that is sent instead where there is no room.
const MOST_OF_A_SHORT_ERROR: usize = 4096;
/// What is said of a change that breaks rules: one of each field.
const MOST_OF_A_RULE: usize = 16 * 1024;
/// An id as it stands in a subject.
const SUBJECT_ID: Option<&str> = Some("mask_pii");

fuzz_target!(|body: &[u8]| {
    let (headers, payload) = divided(body);
    for subject_id in [None, SUBJECT_ID] {
        if let Some(arguments) = fair(LookupArguments::read(payload, subject_id)) {
            let _ = fair(arguments.asked());
            if let Some(context) = fair(arguments.context()) {
                is_exact(context);
            }
        }
        invocation(headers, payload, subject_id);
        let _ = fair(Read::<ExplainArguments>::of_one(payload, subject_id));
        if let Some(read) = fair(Read::<HealthArguments>::of_one(payload, subject_id)) {
            let _ = fair(read.arguments.query());
        }
    }
    for verb in Verb::ALL {
        if verb.writes() {
            changed(verb, payload, None);
            if verb.takes_id() {
                changed(verb, payload, SUBJECT_ID);
            }
        }
    }
    if let Some(arguments) = fair(optional_object::<ReportArguments<'_>>(payload)) {
        let _ = fair(arguments.reported());
    }
    if let Some(arguments) = fair(object_or_bare::<AuditArguments>(payload, "id")) {
        let _ = fair(arguments.query());
    }
    let _ = fair(object_or_bare::<ReloadArguments>(payload, "id"));
    if let Some(arguments) = fair(object_or_bare::<CancelArguments>(payload, "call")) {
        let _ = fair(arguments.call());
    }
    let _ = fair(optional_object::<CircuitArguments>(payload));
    let _ = fair(optional_object::<Freshness>(payload));
    if let Some(arguments) = fair(optional_object::<ListArguments>(payload)) {
        let _ = fair(arguments.query());
    }
    if let Some(arguments) = fair(optional_object::<CircuitsArguments>(payload)) {
        let _ = fair(arguments.query());
    }
});

/// The header block and the payload, divided where `HMSG` would say.
fn divided(body: &[u8]) -> (&[u8], &[u8]) {
    let end = body.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    match end.filter(|_| body.starts_with(b"NATS/1.0")) {
        Some(end) => body.split_at(end + 4),
        None => (b"", body),
    }
}

/// What was read; an error is looked at as its caller would get it.
fn fair<T>(read: Result<T, RegistryError>) -> Option<T> {
    let fault = match read {
        Ok(read) => return Some(read),
        Err(fault) => fault,
    };
    assert_eq!(fault.code(), "invalid_request", "{fault:?}");
    is_plain(&fault.to_string());
    let whole = error(&fault);
    assert!(whole.len() <= MOST_OF_AN_ERROR, "{}", whole.len());
    serde_json::from_slice::<IgnoredAny>(&whole).unwrap();
    for reply in shorter(&fault) {
        assert!(reply.len() <= MOST_OF_A_SHORT_ERROR, "{}", reply.len());
    }
    None
}

/// Nothing in it moves a cursor.
fn is_plain(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// A number is compared and hashed by its text, which must be the same number.
fn is_exact(mut context: Context) {
    for key in ["tenant_id", "trace_id", "environment", "user_id", "n", ""] {
        if let Some(scalar @ Scalar::Number(number)) = context.get(key) {
            assert_eq!(Scalar::read(number.written()).as_ref(), Some(scalar));
            let shortest = scalar.to_string();
            let again = Scalar::read(&shortest);
            assert_eq!(again.as_ref(), Some(scalar), "{shortest}");
            assert_eq!(again.map(|again| again.to_string()), Some(shortest));
        }
        let before = context.get(key).cloned();
        context.set_default(key, "default");
        let default = Some(Scalar::Text("default".into()));
        assert_eq!(context.get(key), before.or(default).as_ref());
    }
}

fn invocation(headers: &[u8], payload: &[u8], subject_id: Option<&str>) {
    let Ok(headers) = RawHeaders(headers).read() else {
        return;
    };
    let headers = InvokeHeaders::read(|name| headers.get(name));
    let _ = headers.known_as();
    let Some(arguments) = fair(InvokeArguments::read(payload, subject_id)) else {
        return;
    };
    let received = Instant::now().into();
    let Some(invocation) = fair(arguments.invocation(&headers, received)) else {
        return;
    };
    assert!(subject_id.is_none_or(|id| id == invocation.id));
    assert_ne!(invocation.payload.get(), "null");
    for object in [invocation.metadata, invocation.config]
        .into_iter()
        .flatten()
    {
        assert!(object.get().starts_with('{'));
    }
    is_exact(invocation.context);
}

/// A change as far as it goes without a database: to its steps.
fn changed(verb: Verb, payload: &[u8], subject_id: Option<&str>) {
    let Some(body) = fair(change::Body::read(verb, payload)) else {
        return;
    };
    let read = change::read(verb, body, subject_id, &POLICY, |_| Ok(Actor::anonymous()));
    let Some((write, _)) = fair(read) else {
        return;
    };
    assert!(subject_id.is_none_or(|id| id == write.id.as_str()));
    let stored = (verb != Verb::Create).then_some(&*RECORD);
    let planned = plan(stored, &write.command, write.if_revision, &POLICY);
    if let Err(EditError::Invalid(faults)) = planned {
        assert!(describe(&faults).len() <= MOST_OF_A_RULE);
    }
}

/// What changes meet: a version and an instance besides the current ones.
static RECORD: LazyLock<Stored> = LazyLock::new(|| Stored {
    record: Record {
        own: said(
            EXTENSION,
            &[
                ("id", r#""mask_pii""#),
                ("type", r#""pre""#),
                ("subject", r#""beamline.ext.a""#),
                ("version", r#""v1""#),
            ],
        ),
        versions: vec![said(
            VERSION,
            &[
                ("version", r#""v2""#),
                ("subject", r#""beamline.ext.a""#),
                ("rollout", r#"{"by":"tenant_id","percent":10}"#),
            ],
        )],
        instances: vec![said(
            INSTANCE,
            &[
                ("instance_id", r#""blue""#),
                ("subject", r#""beamline.ext.a""#),
            ],
        )],
    },
    revision: 1,
});

fn said(table: &'static [Field], fields: &[(&str, &'static str)]) -> Fields<'static> {
    Fields::read(table, fields.iter().copied())
}
