//! Composition root: the one place that names every adapter.
