//! What goes over NATS, as AsyncAPI 3.0 describes it: made from the verbs, the kinds of events and the
//! types that documents are written with, so that none of them can be left out.

mod kinds;
mod schemas;
mod verbs;

use beamline_registry::adapters::nats::verb::Verb;
use beamline_registry::documents::schemas::messages;
use serde_json::{Map, Value, json};

pub(crate) use self::kinds::{KINDS, Kind};
pub(super) use self::schemas::schemas;
use self::verbs::{Description, describe};

/// The default of `SUBJECT_PREFIX`.
const PREFIX: &str = "beamline.registry";

/// Schemas of what does not go over NATS.
const HTTP_ONLY: [&str; 5] = [
    "Alive",
    "Ready",
    "Condition",
    "ExtensionChange",
    "NewExtension",
];

const ABOUT: &str = "The extension registry of a message router: requests from routers and operators, \
    events, and what extensions get.\n\n\
    Subjects are shown under the default prefix. A request without its id in the subject has it in the \
    payload; a payload may also be the bare id, or empty where nothing is missing. `x-also-at` lists the \
    other subjects of an operation: `local.<instance_id>` is one sidecar, `as.<actor>` says who asks, and \
    `all` is every sidecar. A reply with header `Nats-Service-Error-Code` is an error.";

/// The document.
pub(super) fn document() -> Value {
    let mut made = Made::default();
    for verb in Verb::ALL {
        made.verb(verb);
    }
    for kind in &KINDS {
        made.event(kind);
    }
    made.extensions();
    made.finish()
}

/// The document in the making.
#[derive(Default)]
struct Made {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
    /// Names of all messages that are replies.
    replies: Vec<String>,
}

impl Made {
    fn verb(&mut self, verb: Verb) {
        let Description {
            summary,
            request,
            replies,
        } = describe(verb);
        let name = verb.as_str();
        let schema = format!("{}Request", camel(name));
        self.schemas.insert(schema.clone(), request);
        self.message(&schema, &schema, headers(REQUEST));
        let mut answers = Vec::new();
        for reply in replies.iter().copied().chain(["Error"]) {
            let message = format!("{reply}Reply");
            let fields = if reply == "Error" { ERROR } else { REPLY };
            self.message(&message, reply, headers(fields));
            if !self.replies.contains(&message) {
                self.replies.push(message.clone());
            }
            answers.push(json!({"$ref": format!("#/channels/replies/messages/{message}")}));
        }
        let mut forms = vec![format!("{PREFIX}.local.{{instance_id}}.{name}")];
        if verb.answers_any() {
            forms.insert(0, format!("{PREFIX}.{name}"));
            forms.push(format!("{PREFIX}.as.{{actor}}.{name}"));
        }
        let with_id = forms.iter().map(|form| format!("{form}.{{id}}"));
        let with_id: Vec<_> = with_id.filter(|_| verb.takes_id()).collect();
        forms.extend(with_id);
        if verb.answers_all() {
            forms.push(format!("{PREFIX}.all.{name}"));
        }
        let address = forms.remove(0);
        self.channel(name, &address, &schema);
        let operation = json!({
            "action": "receive",
            "channel": {"$ref": format!("#/channels/{name}")},
            "summary": summary,
            "messages": [{"$ref": format!("#/channels/{name}/messages/{schema}")}],
            "reply": {"channel": {"$ref": "#/channels/replies"}, "messages": answers},
            "x-also-at": forms
        });
        self.operations.insert(name.to_owned(), operation);
    }

    fn event(&mut self, kind: &Kind) {
        let name = format!("events.{}", kind.name);
        let address = match kind.has_id {
            true => format!("{PREFIX}.{name}.{{id}}"),
            false => format!("{PREFIX}.{name}"),
        };
        let schema = format!("{}Event", camel(kind.name));
        self.schemas.insert(schema.clone(), cloud_event(kind));
        self.message(&schema, &schema, headers(EVENT));
        self.sends(&name, &address, &schema, kind.when);
    }

    /// What extensions get.
    fn extensions(&mut self) {
        // As the caller wrote it.
        let who = json!({"type": ["string", "number", "boolean", "null"]});
        let object = json!({"type": "object"});
        let request = json!({
            "type": "object",
            "description": "Of a provider the fields of `payload` stand beside the others, with `provider_id`",
            "properties": {
                "trace_id": who, "tenant_id": who, "provider_id": {"type": "string"},
                "payload": true, "metadata": object, "config": object
            },
            "required": ["trace_id", "tenant_id", "metadata", "config"]
        });
        self.schemas.insert("ExtensionRequest".to_owned(), request);
        self.message("ExtensionRequest", "ExtensionRequest", headers(CALL));
        let summary =
            "A call of an extension, at its subject; it answers any JSON, an error, or a stream";
        self.sends("extension", "{subject}", "ExtensionRequest", summary);
        self.message("ExtensionAnswer", "ExtensionReply", headers(ANSWER));
        let answers = json!({
            "address": null,
            "description": "The reply subject of a call",
            "messages": references(&["ExtensionAnswer"])
        });
        self.channels.insert("answers".to_owned(), answers);
        self.operations["extension"]["reply"] = json!({
            "channel": {"$ref": "#/channels/answers"},
            "messages": [{"$ref": "#/channels/answers/messages/ExtensionAnswer"}]
        });
        let nothing = json!({"const": ""});
        self.schemas.insert("Nothing".to_owned(), nothing);
        self.message("CallCancelled", "Nothing", headers(CANCELLED));
        let address = format!("{PREFIX}.cancelled.{{id}}");
        let summary = "Nobody waits for a call, or for one attempt of it, any more";
        self.sends("cancelled", &address, "CallCancelled", summary);
    }

    fn sends(&mut self, name: &str, address: &str, message: &str, summary: &str) {
        self.channel(name, address, message);
        let operation = json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{name}")},
            "summary": summary,
            "messages": [{"$ref": format!("#/channels/{name}/messages/{message}")}]
        });
        self.operations.insert(name.to_owned(), operation);
    }

    fn channel(&mut self, name: &str, address: &str, message: &str) {
        let named = ["id", "instance_id", "subject"].into_iter();
        let parameters: Map<_, _> = named
            .filter(|name| address.contains(&format!("{{{name}}}")))
            .map(|name| {
                let parameter = json!({"$ref": format!("#/components/parameters/{name}")});
                (name.to_owned(), parameter)
            })
            .collect();
        let channel = json!({
            "address": address,
            "parameters": parameters,
            "messages": references(&[message])
        });
        self.channels.insert(name.to_owned(), channel);
    }

    fn message(&mut self, name: &str, schema: &str, headers: Value) {
        let payload = schema_reference(schema);
        let message = json!({"name": name, "headers": headers, "payload": payload});
        self.messages.insert(name.to_owned(), message);
    }

    fn finish(mut self) -> Value {
        let replies: Vec<_> = self.replies.iter().map(String::as_str).collect();
        let replies = json!({
            "address": null,
            "description": "The reply subject of a request",
            "messages": references(&replies)
        });
        self.channels.insert("replies".to_owned(), replies);
        if let Ok(Value::Object(schemas)) = serde_json::to_value(messages().schemas) {
            self.schemas.extend(schemas);
        }
        let any = json!({"description": "Any JSON that is no error"});
        self.schemas.insert("ExtensionReply".to_owned(), any);
        for name in HTTP_ONLY {
            self.schemas.remove(name);
        }
        json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": "beamline-registry",
                "version": env!("CARGO_PKG_VERSION"),
                "description": ABOUT,
                "license": {"name": env!("CARGO_PKG_LICENSE")}
            },
            "defaultContentType": "application/json",
            "channels": self.channels,
            "operations": self.operations,
            "components": {
                "schemas": self.schemas,
                "messages": self.messages,
                "parameters": {
                    "id": {"description": "An extension's id"},
                    "instance_id": {"description": "INSTANCE_ID of one sidecar"},
                    "subject": {"description": "The subject of the chosen version or instance"}
                }
            }
        })
    }
}

fn schema_reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn references(messages: &[&str]) -> Map<String, Value> {
    let entry = |name: &&str| {
        let reference = json!({"$ref": format!("#/components/messages/{name}")});
        ((*name).to_owned(), reference)
    };
    messages.iter().map(entry).collect()
}

/// The CloudEvent around the data of a kind.
fn cloud_event(kind: &Kind) -> Value {
    let data = kind.data.iter().map(|name| schema_reference(name));
    let mut data: Vec<_> = data.collect();
    let data = match data.len() {
        1 => data.pop(),
        _ => Some(json!({"oneOf": data})),
    };
    let text = json!({"type": "string"});
    let mut required = vec![
        "specversion",
        "id",
        "source",
        "type",
        "datacontenttype",
        "data",
    ];
    required.extend(kind.has_id.then_some("subject"));
    json!({
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text,
            "source": text,
            "type": {"const": format!("beamline.registry.{}", kind.name)},
            "subject": text,
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "data": data
        },
        "required": required
    })
}

/// A header and what it says.
type Header = (&'static str, &'static str);

const REQUEST: &[Header] = &[
    (
        "Beamline-Actor",
        "Who asks for a change, where the subject does not say so",
    ),
    (
        "Beamline-Deadline-Ms",
        "Of a call: milliseconds that its caller still waits",
    ),
    (
        "Beamline-Accept",
        "Of a call: `stream`, if the answer may come in pieces",
    ),
    ("Beamline-Call-Id", "Of a call: what it can be cancelled by"),
    ("traceparent", "Of a call: its parent in the caller's trace"),
    ("tracestate", "Beside it, of the same trace"),
];
const REPLY: &[Header] = &[
    ("Beamline-Revision", "The catalog's revision"),
    (
        "Beamline-Stale-Ms",
        "How long the database has been unreachable",
    ),
    (
        "Beamline-Source",
        "`fixtures`, while files stand in for the database",
    ),
    ("Beamline-Extension-Id", "Of a call: who answered"),
    ("Beamline-Version", "Of a call: which version"),
    ("Beamline-Instance", "Of a call: which instance"),
    (
        "Beamline-Attempts",
        "Of a call: how many attempts there were",
    ),
    (
        "Beamline-Latency-Us",
        "Of a call: how long the last one took",
    ),
    (
        "Beamline-Fallback-From",
        "Of a call: the extension that a fallback replaced",
    ),
    (
        "Beamline-Call-Id",
        "Of a call that can be cancelled: by what",
    ),
    ("Beamline-Served-By", "The same: which sidecar has it"),
    (
        "Beamline-Stream",
        "`chunk` or `end`, of a message of a stream",
    ),
    ("Beamline-Seq", "The number of a chunk, from 1"),
];
const ERROR: &[Header] = &[
    ("Nats-Service-Error-Code", "The number of the error"),
    (
        "Nats-Service-Error",
        "Its text; of the registry's own, the same for all errors of a code",
    ),
    (
        "Beamline-Extension-Error",
        "`1`, if the extension itself replied it: the body is its own",
    ),
    (
        "Beamline-Retry-After-Ms",
        "When a busy extension takes calls again",
    ),
];
const EVENT: &[Header] = &[(
    "Nats-Msg-Id",
    "The event's id, by which JetStream stores it once",
)];
const CALL: &[Header] = &[
    ("traceparent", "The span of the attempt"),
    ("tracestate", "The caller's, where it has sent one"),
    (
        "Beamline-Deadline-Ms",
        "For how many milliseconds the answer is waited for",
    ),
    ("Beamline-Extension-Id", "The extension that is called"),
    ("Beamline-Version", "The version that is called"),
    (
        "Beamline-Attempt",
        "Which attempt of its call it is, from 1",
    ),
    (
        "Beamline-Accept",
        "`stream`, if the answer may come in pieces",
    ),
    ("Beamline-Call-Id", "What a cancellation names"),
    ("Beamline-Probe", "`1`: a probe, and no call"),
];
const ANSWER: &[Header] = &[
    (
        "Nats-Service-Error-Code",
        "Of an error: its number, 400 or above",
    ),
    ("Nats-Service-Error", "Of an error: its text"),
    (
        "Retry-After",
        "Of an error 429 or 503: in how many seconds to call again",
    ),
    ("Beamline-Retry-After-Ms", "The same, in milliseconds"),
    ("Beamline-Load", "How busy the instance is, from 0"),
    (
        "Beamline-Stream",
        "`chunk` or `end`, of a message of a stream",
    ),
];
const CANCELLED: &[Header] = &[
    ("Beamline-Call-Id", "The call"),
    (
        "Beamline-Attempt",
        "The attempt, where only that one is over",
    ),
];

fn headers(fields: &[Header]) -> Value {
    let header = |(name, meaning): &Header| {
        (
            (*name).to_owned(),
            json!({"type": "string", "description": meaning}),
        )
    };
    let properties: Map<_, _> = fields.iter().map(header).collect();
    json!({"type": "object", "properties": properties})
}

/// `put_version` as `PutVersion`.
fn camel(name: &str) -> String {
    let words = name.split('_').filter_map(|word| word.split_at_checked(1));
    words
        .map(|(first, rest)| first.to_ascii_uppercase() + rest)
        .collect()
}
