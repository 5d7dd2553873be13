//! Settings: flags, environment, file and defaults become validated values; all faults at once.
