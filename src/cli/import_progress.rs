//! How far an import is, on standard error and only at a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::service::transfer::Step;

/// How often the time shown goes on.
const TICK: Duration = Duration::from_millis(200);

/// The step that an import is at, and for how long. Gone when it is dropped, so that nothing of it
/// mixes with what is printed.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// An import begins with reading files. Hidden unless standard error is a terminal.
    pub(super) fn new() -> Self {
        // The template is valid; with a bad one the line only looks plain.
        let style = ProgressStyle::with_template("{msg}, {elapsed}");
        let line = ProgressBar::new_spinner();
        line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        line.set_message("reading files");
        line.enable_steady_tick(TICK);
        Self(line)
    }

    /// The import reached this step.
    pub(super) fn show(&self, step: Step) {
        self.0.set_message(match step {
            Step::Comparing => "comparing with the database".to_owned(),
            Step::Writing { written, all } => format!("written {written} of {all} extensions"),
            Step::Verifying => "verifying".to_owned(),
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
