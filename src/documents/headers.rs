//! Names of headers that replies have over NATS and HTTP.

/// The catalog's revision.
pub const REVISION: &str = "Beamline-Revision";
/// For how long the database has been unreachable, in milliseconds.
pub const STALE_MS: &str = "Beamline-Stale-Ms";
/// That `auto` serves fixtures.
pub const SOURCE: &str = "Beamline-Source";
/// The actor of a change, if nothing more trustworthy names one.
pub const ACTOR: &str = "Beamline-Actor";
