//! A change as it is asked for: the body of a writing request, the same over NATS and HTTP.
//!
//! Writes refuse what they do not know, and name every fault at once: whoever mends one field at a
//! time against a production database is tired of it.

mod body;
mod fields;
mod schema;
mod verb;

pub use self::body::Body;
use self::fields::Given;
pub use self::schema::{reload_schema, schema, schema_of};
pub use self::verb::WriteVerb;
use crate::documents::request::numbers::ANY;
use crate::domain::draft::{PRIORITIES, WEIGHTS};
use crate::domain::edit::{
    Command, ExtensionFields, ExtensionPatch, InstanceFields, VersionFields,
};
use crate::domain::ids::{ExtensionId, InstanceId, VersionName};
use crate::domain::policy::Policy;
use crate::service::administration::ChangeRequest;
use crate::service::error::RegistryError;

/// The change that `body` asks for, and the actor that it names. The id may stand elsewhere, as in
/// the subject: then it need not stand here, but must not differ.
///
/// # Errors
/// All faults of the body.
pub fn read(
    verb: WriteVerb,
    body: Body,
    id_elsewhere: Option<&str>,
    policy: &Policy,
) -> Result<(ChangeRequest, Option<String>), RegistryError> {
    let mut given = Given::new(body, verb.fields());
    given.id_stands_elsewhere(id_elsewhere);
    if verb == WriteVerb::Update {
        given.refuse(
            "type",
            "cannot change: delete the extension and create another one",
        );
        given.refuse("version", "changes by `promote`");
    }
    if verb == WriteVerb::Create {
        given.refuse("if_revision", "is for a record that exists");
    }
    let id = given.name("id", ExtensionId::parse_new);
    let actor = given.text("actor");
    let if_revision = given.whole("if_revision", &ANY);
    let command = command(verb, &mut given, policy);
    let values = given.finish()?;
    let (Some(id), Some(command)) = (id, command) else {
        // A field that is missing is a fault, and faults have been answered above.
        return Err(RegistryError::Internal);
    };
    Ok((
        ChangeRequest {
            id,
            command,
            if_revision,
            values,
        },
        actor,
    ))
}

/// What the fields ask for; `None` where one of them is a fault.
fn command(verb: WriteVerb, given: &mut Given, policy: &Policy) -> Option<Command> {
    Some(match verb {
        WriteVerb::Create => Command::Create(Box::new(extension(given, policy))),
        WriteVerb::Update => Command::Update(Box::new(patch(given, policy))),
        WriteVerb::Delete => Command::Delete,
        WriteVerb::Enable => Command::Enable,
        WriteVerb::Disable => Command::Disable,
        WriteVerb::PutVersion => Command::PutVersion(Box::new(version(given, policy))),
        WriteVerb::DeleteVersion => {
            Command::DeleteVersion(given.name("version", VersionName::parse)?)
        }
        WriteVerb::Promote => Command::Promote(given.name("version", VersionName::parse)?),
        WriteVerb::PutInstance => Command::PutInstance(instance(given)),
        WriteVerb::DeleteInstance => {
            Command::DeleteInstance(given.name("instance_id", InstanceId::parse)?)
        }
    })
}

fn extension(given: &mut Given, policy: &Policy) -> ExtensionFields {
    ExtensionFields {
        id: given.required_text("id"),
        kind: given.required_text("type"),
        subject: given.required_text("subject"),
        timeout_ms: given.integer("timeout_ms", &policy.timeouts_ms()),
        retry: given.integer("retry", &policy.retries()),
        enabled: given.boolean("enabled"),
        auto_disabled: false,
        version: given.text("version"),
        config: given.json("config"),
        metadata: given.json("metadata"),
        fallback: given.json("fallback"),
        routing_rules: given.json("routing_rules"),
        rollout: given.json("rollout"),
        circuit_breaker: given.json("circuit_breaker"),
    }
}

fn patch(given: &mut Given, policy: &Policy) -> ExtensionPatch {
    ExtensionPatch {
        subject: given.patch("subject", Given::text),
        timeout_ms: given.patch("timeout_ms", |given, field| {
            given.integer(field, &policy.timeouts_ms())
        }),
        retry: given.patch("retry", |given, field| {
            given.integer(field, &policy.retries())
        }),
        enabled: given.patch("enabled", Given::boolean),
        config: given.patch("config", Given::json),
        metadata: given.patch("metadata", Given::json),
        fallback: given.patch("fallback", Given::json),
        routing_rules: given.patch("routing_rules", Given::json),
        rollout: given.patch("rollout", Given::json),
        circuit_breaker: given.patch("circuit_breaker", Given::json),
    }
}

fn version(given: &mut Given, policy: &Policy) -> VersionFields {
    VersionFields {
        version: given.required_text("version"),
        subject: given.required_text("subject"),
        timeout_ms: given.integer("timeout_ms", &policy.timeouts_ms()),
        retry: given.integer("retry", &policy.retries()),
        config: given.json("config"),
        metadata: given.json("metadata"),
        routing_rules: given.json("routing_rules"),
        rollout: given.json("rollout"),
        priority: given.integer("priority", &PRIORITIES),
        enabled: given.boolean("enabled"),
    }
}

fn instance(given: &mut Given) -> InstanceFields {
    InstanceFields {
        instance_id: given.required_text("instance_id"),
        version: given.text("version"),
        subject: given.required_text("subject"),
        weight: given.integer("weight", &WEIGHTS),
        enabled: given.boolean("enabled"),
    }
}
