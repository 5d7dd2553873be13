//! Rows become extensions; what breaks a rule is quarantined and named.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::sync::{Arc, LazyLock};

use tokio_postgres::types::WrongType;
use tokio_postgres::{Error, Row};

use super::columns::{Columns, count};
use super::tables;
use crate::domain::edit::Stored;
use crate::domain::extension::{Extension, Incarnation, Provenance, Version};
use crate::domain::ids::ExtensionId;
use crate::domain::policy::Policy;
use crate::domain::quarantine::{Fault, FaultyExtension};
use crate::domain::quote::quoted;
use crate::domain::record::{Checked, Fields, Gate, Record, describe};

/// Columns in the order in which [`Assembly::extension`] takes them.
pub(super) static EXTENSIONS: LazyLock<String> = LazyLock::new(|| {
    let columns = tables::EXTENSIONS.columns();
    format!(
        "SELECT id, digest, revision, incarnation::text, created_at, updated_at, created_by, \
         updated_by, {columns} FROM extensions"
    )
});

/// Columns in the order in which [`Assembly::version`] takes them.
pub(super) static VERSIONS: LazyLock<String> = LazyLock::new(|| {
    let columns = tables::VERSIONS.columns();
    format!("SELECT id, digest, created_at, created_by, {columns} FROM extension_versions")
});

/// Columns in the order in which [`Assembly::instance`] takes them.
pub(super) static INSTANCES: LazyLock<String> = LazyLock::new(|| {
    let columns = tables::INSTANCES.columns();
    format!("SELECT extension_id, digest, {columns} FROM extension_instances")
});

/// Joins the rows of the three tables: extensions first, then their parts in any order.
pub(super) struct Assembly<'p> {
    gate: Gate<'p>,
    extensions: Vec<Extension>,
    places: HashMap<ExtensionId, usize, foldhash::fast::RandomState>,
    unserved: HashMap<String, Unserved>,
    /// Faults of single versions and instances.
    faults: Vec<Fault>,
    actors: Actors,
}

/// The names of actors: each is kept once, for all records that it made or changed.
#[derive(Default)]
struct Actors(HashSet<Arc<str>>);

impl Actors {
    fn shared(&mut self, name: Option<&str>) -> Option<Arc<str>> {
        let name = name?;
        if let Some(known) = self.0.get(name) {
            return Some(Arc::clone(known));
        }
        let name = Arc::<str>::from(name);
        self.0.insert(Arc::clone(&name));
        Some(name)
    }
}

/// An extension of which nothing is served.
struct Unserved {
    reason: String,
    digest: u64,
}

impl<'p> Assembly<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        Self {
            gate: Gate::of(policy),
            extensions: Vec::new(),
            places: HashMap::default(),
            unserved: HashMap::new(),
            faults: Vec::new(),
            actors: Actors::default(),
        }
    }

    /// Takes a row of [`EXTENSIONS`]. An error means that not even its id can be read, or none of a
    /// column.
    pub(super) fn extension(&mut self, row: &Row) -> Result<(), Error> {
        let mut columns = Columns::of(row);
        let id: &str = columns.take()?;
        let digest = columns.take::<i64>()?.cast_unsigned();
        if self.places.contains_key(id) {
            // A table that inherits has it, or an index is damaged. Not one now and one then.
            self.part_of(id, digest);
            let reason = "another row has this id: the first one is served".to_owned();
            self.set_aside("extensions", id, "again", reason);
            return Ok(());
        }
        match readable(extension(digest, columns, self.gate, &mut self.actors))? {
            Ok(extension) => {
                self.places
                    .insert(extension.id.clone(), self.extensions.len());
                self.extensions.push(extension);
            }
            Err(reason) => self.condemn(id, reason, digest),
        }
        Ok(())
    }

    /// Takes a row of [`VERSIONS`]. A faulty one is left out alone, unless it names the current
    /// version: without its rules, what is meant for a few would be served to everyone.
    pub(super) fn version(&mut self, row: &Row) -> Result<(), Error> {
        let mut columns = Columns::of(row);
        let id: &str = columns.take()?;
        let digest = columns.take::<i64>()?.cast_unsigned();
        let provenance = Provenance {
            created_at: columns.time()?,
            created_by: self.actors.shared(columns.take()?),
            ..Provenance::default()
        };
        let name: &str = columns.peek()?;
        let gate = self.gate;
        let Some(extension) = self.part_of(id, digest) else {
            return Ok(());
        };
        let fields = tables::VERSIONS.fields(&mut columns);
        let current = extension.version.as_str();
        match readable(fields.map(|fields| gate.version(&fields, current)))? {
            Ok(version) => extension.versions.push(Version {
                provenance,
                ..version
            }),
            Err(reason) if extension.version.as_str() == name => {
                let reason = format!("its current version, {}: {reason}", quoted(name));
                self.condemn(id, reason, 0);
            }
            Err(reason) => self.set_aside("extension_versions", id, name, reason),
        }
        Ok(())
    }

    /// Takes a row of [`INSTANCES`]. A faulty one is left out alone.
    pub(super) fn instance(&mut self, row: &Row) -> Result<(), Error> {
        let mut columns = Columns::of(row);
        let id: &str = columns.take()?;
        let digest = columns.take::<i64>()?.cast_unsigned();
        let name: &str = columns.peek()?;
        let gate = self.gate;
        let Some(extension) = self.part_of(id, digest) else {
            return Ok(());
        };
        let current = extension.version.as_str();
        let fields = tables::INSTANCES.fields(&mut columns);
        match readable(fields.map(|fields| gate.instance(&fields, current)))? {
            Ok(instance) => extension.instances.push(instance),
            Err(reason) => self.set_aside("extension_instances", id, name, reason),
        }
        Ok(())
    }

    /// The valid extensions, with their parts in the order of their names, and all faults.
    pub(super) fn finish(mut self) -> (Vec<Extension>, Vec<Fault>) {
        for extension in &mut self.extensions {
            let (versions, instances) = (&mut extension.versions, &mut extension.instances);
            versions.sort_unstable_by(|a, b| a.version.cmp(&b.version));
            instances.sort_unstable_by(|a, b| a.instance_id.cmp(&b.instance_id));
            // Each has grown to four at its first row, and most have one.
            versions.shrink_to_fit();
            instances.shrink_to_fit();
        }
        if !self.unserved.is_empty() {
            let unserved = &mut self.unserved;
            self.extensions.retain(|extension| {
                let condemned = unserved.get_mut(extension.id.as_str());
                condemned
                    .map(|it| it.digest = it.digest.wrapping_add(extension.digest))
                    .is_none()
            });
        }
        let unserved = self.unserved.into_iter().map(|(id, unserved)| Fault {
            origin: format!("extensions/{}", quoted(&id)),
            reason: unserved.reason,
            extension: Some(FaultyExtension {
                id,
                unserved_digest: Some(unserved.digest),
            }),
        });
        self.faults.extend(unserved);
        (self.extensions, self.faults)
    }

    /// The extension that a part belongs to, to which its digest counts whatever becomes of the
    /// part; `None` for an extension that is not served.
    fn part_of(&mut self, id: &str, digest: u64) -> Option<&mut Extension> {
        if let Some(place) = self.places.get(id) {
            let extension = self.extensions.get_mut(*place)?;
            extension.digest = extension.digest.wrapping_add(digest);
            return Some(extension);
        }
        // What a deletion behind the triggers' back has left over counts too: nothing else
        // distinguishes it from rows of a hidden extension.
        let reason = "it has versions or instances, but no row of its own";
        self.condemn(id, reason.to_owned(), digest);
        None
    }

    /// Serves nothing of the extension, for the first reason that there is. The digests of all its
    /// rows count, of a second one with its id too.
    fn condemn(&mut self, id: &str, reason: String, digest: u64) {
        let condemned = self.unserved.entry(id.to_owned());
        let condemned = condemned.or_insert(Unserved { reason, digest: 0 });
        condemned.digest = condemned.digest.wrapping_add(digest);
    }

    fn set_aside(&mut self, table: &str, id: &str, part: &str, reason: String) {
        self.faults.push(Fault {
            origin: format!("{table}/{}/{}", quoted(id), quoted(part)),
            reason,
            extension: Some(FaultyExtension {
                id: id.to_owned(),
                unserved_digest: None,
            }),
        });
    }
}

fn extension(
    digest: u64,
    mut columns: Columns<'_>,
    gate: Gate<'_>,
    actors: &mut Actors,
) -> Result<Checked<Extension>, Error> {
    let revision = columns.take::<i64>()?;
    let incarnation = incarnation(columns.take()?);
    let provenance = Provenance {
        created_at: columns.time()?,
        updated_at: columns.time()?,
        created_by: actors.shared(columns.take()?),
        updated_by: actors.shared(columns.take()?),
    };
    let fields = tables::EXTENSIONS.fields(&mut columns)?;
    Ok(gate.extension(&fields).map(|extension| Extension {
        revision: count(revision),
        incarnation,
        digest,
        provenance,
        ..extension
    }))
}

/// The same rows as they are stored, unchecked: what precedes the fields of each is left out.
pub(super) fn as_stored(own: &Row, versions: &[Row], instances: &[Row]) -> Result<Stored, Error> {
    let fields = |table: &tables::Table, others, row| -> Result<Fields<'static>, Error> {
        let mut columns = Columns::of(row).skip(others);
        Ok(table.fields(&mut columns)?.into_owned())
    };
    let versions = versions.iter();
    let versions = versions.map(|row| fields(&tables::VERSIONS, 4, row));
    let instances = instances.iter();
    let instances = instances.map(|row| fields(&tables::INSTANCES, 2, row));
    Ok(Stored {
        record: Record {
            own: fields(&tables::EXTENSIONS, 8, own)?,
            versions: versions.collect::<Result<_, _>>()?,
            instances: instances.collect::<Result<_, _>>()?,
        },
        revision: count(own.try_get(2)?),
    })
}

/// A uuid in text is 32 hexadecimal digits and some hyphens.
pub(super) fn incarnation(uuid: &str) -> Option<Incarnation> {
    let digits = uuid.replace('-', "");
    u128::from_str_radix(&digits, 16).ok().map(Incarnation)
}

/// A row that cannot be decoded, or breaks rules, in one line. A column of another type is no fault of
/// each row: without an error of the whole nothing would be served.
fn readable<T>(row: Result<Checked<T>, Error>) -> Result<Result<T, String>, Error> {
    match row {
        Ok(checked) => Ok(checked.map_err(|faults| describe(&faults))),
        Err(error) if error.source().is_some_and(|cause| cause.is::<WrongType>()) => Err(error),
        Err(error) => Ok(Err(quoted(&error.to_string()))),
    }
}
