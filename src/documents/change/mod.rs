//! A requested change: the body of a writing request, the same over NATS and HTTP.
//!
//! Writes refuse what they do not know, and name every fault at once: fixing one field at a time
//! against a production database is tiresome. [`verb`] has the fields of each change.

mod body;
mod bulk;
mod fields;
mod schema;
mod verb;

pub use self::body::Body;
pub use self::bulk::bulk;
use self::fields::Given;
pub use self::schema::{of_field, reload_schema, schema, schema_of};
use crate::documents::request::numbers::ANY;
use crate::documents::verb::Verb;
use crate::domain::actor::Actor;
use crate::domain::edit::{Command, Share};
use crate::domain::ids::{ExtensionId, InstanceId, VersionName};
use crate::domain::policy::Policy;
use crate::domain::record::{EXTENSION, INSTANCE, VERSION};
use crate::domain::rollout::Member;
use crate::domain::whole::whole;
use crate::service::administration::Values;
use crate::service::definitions::Write;
use crate::service::error::RegistryError;

/// The change that `body` asks for, and the values in it. The id may be elsewhere, as in the
/// subject: then it need not be here, but must not differ. `actor` decides who asks, given the actor
/// that the body names.
///
/// # Errors
/// All faults of the body.
pub fn read(
    verb: Verb,
    body: Body,
    id_elsewhere: Option<&str>,
    policy: &Policy,
    actor: impl Fn(Option<&str>) -> Result<Actor, RegistryError>,
) -> Result<(Write, Values), RegistryError> {
    let mut given = Given::new(body, verb.fields());
    given.id_stands_elsewhere(id_elsewhere);
    if verb == Verb::Update {
        let rule = "cannot change: delete the extension and create another one";
        given.refuse_change("type", rule);
        given.refuse_change("version", "changes by `promote`");
    }
    if verb == Verb::Create {
        given.refuse("if_revision", "is for a record that exists");
    }
    let id = given.name("id", ExtensionId::parse_new);
    let named = given.text("actor");
    let if_revision = given.read("if_revision", |json| whole(json, &ANY));
    let dry_run = given.switch("dry_run");
    let command = command(verb, &mut given);
    for fault in command.iter().flat_map(|command| command.faults(policy)) {
        given.fault(fault.field, &fault.rule);
    }
    let values = given.finish()?;
    let (Some(id), Some(command)) = (id, command) else {
        // A field that is missing is a fault, and faults have been answered above.
        return Err(RegistryError::Internal);
    };
    let write = Write {
        id,
        command,
        if_revision,
        actor: actor(named.as_deref())?,
        dry_run,
    };
    Ok((write, values))
}

/// What the fields ask for; `None` where a name that it needs is a fault.
fn command(verb: Verb, given: &mut Given) -> Option<Command> {
    Some(match verb {
        Verb::Create => Command::Create(given.fields(EXTENSION)),
        // The id names the extension, and is no part of the change.
        Verb::Update => Command::Update(given.fields(EXTENSION).without("id")),
        Verb::Delete => Command::Delete,
        Verb::Enable => Command::Enable,
        Verb::Disable => Command::Disable,
        Verb::PutVersion => Command::PutVersion(given.fields(VERSION)),
        Verb::UpdateVersion => Command::UpdateVersion(
            given.name("version", VersionName::parse)?,
            given.fields(VERSION).without("version"),
        ),
        Verb::Rollout => {
            let version = given.name("version", VersionName::parse);
            given.required("percent");
            let members = Member::ALL.into_iter();
            let said = members.filter_map(|member| Some((member, given.json(member.as_str())?)));
            Command::Share(version?, Share(said.collect()))
        }
        Verb::DeleteVersion => Command::DeleteVersion(given.name("version", VersionName::parse)?),
        Verb::Promote => Command::Promote(given.name("version", VersionName::parse)?),
        Verb::PutInstance => Command::PutInstance(given.fields(INSTANCE)),
        Verb::DeleteInstance => {
            Command::DeleteInstance(given.name("instance_id", InstanceId::parse)?)
        }
        // It is no change.
        _ => return None,
    })
}
