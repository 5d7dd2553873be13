//! The nats adapter.
