//! How far an import is, on standard error and only where somebody sees it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::service::transfer::Step;

/// How often the time shown goes on.
const TICK: Duration = Duration::from_millis(200);

/// The step that an import is at, with a bar while it writes. Gone when it is dropped, so that
/// nothing of it mixes with what is printed.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// An import begins with reading files. Hidden unless standard error is a terminal.
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0).with_style(style("{msg}, {elapsed}"));
        bar.set_message("reading files");
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// The import came to this step.
    pub(super) fn show(&self, step: Step) {
        let Self(bar) = self;
        match step {
            Step::Comparing => bar.set_message("comparing with the database"),
            Step::Writing { written, all } => {
                bar.set_style(style("{msg} {bar:40} {pos}/{len} extensions, {elapsed}"));
                bar.set_message("writing");
                bar.set_length(all as u64);
                bar.set_position(written as u64);
            }
            Step::Verifying => {
                bar.set_style(style("{msg}, {elapsed}"));
                bar.set_message("verifying");
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are valid; with a bad one the bar only looks plain.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
