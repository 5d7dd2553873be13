//! What the status page of this sidecar shows beside its rows: [`history`] has the last minutes of
//! each extension that is called, [`note`] what happened lately.

mod history;
mod note;

pub use history::{History, INTERVAL, Point};
pub use note::{Note, NoteObserver, Notes, Tone, notes, per_10k};
