//! The telemetry adapter.
