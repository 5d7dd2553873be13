//! What a router gets back.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::{ExtensionId, InstanceId, VersionName};

/// An answer of the extension, byte for byte.
#[derive(Debug)]
pub struct Answered {
    /// The body.
    pub body: Bytes,
    /// What it said about its own error, if it is one.
    pub error: Option<ErrorHeaders>,
    /// Who answered, and how it came to that.
    pub trail: Trail,
}

/// The headers of an error that the extension itself replied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorHeaders {
    /// `Nats-Service-Error-Code`.
    pub code: String,
    /// `Nats-Service-Error`.
    pub text: String,
}

/// Who answered, and how it came to that.
#[derive(Debug, Clone)]
pub struct Trail {
    /// The extension that answered.
    pub id: ExtensionId,
    /// Its version.
    pub version: VersionName,
    /// Its instance, if it has any.
    pub instance: Option<InstanceId>,
    /// Attempts, the last one included.
    pub attempts: u32,
    /// From the start of the last attempt to the answer, or to its beginning.
    pub latency: Duration,
    /// The extension that was asked for, where another stood in.
    pub fallback_from: Option<ExtensionId>,
}
