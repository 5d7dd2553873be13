//! What this deployment allows an extension to be: subjects and limits.

use std::ops::RangeInclusive;

use super::subject::{Subject, SubjectPattern};

/// Limits that rows, files and operators' changes are held against.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Subjects an extension may have.
    pub allowed_subjects: Vec<SubjectPattern>,
    /// Beginnings no subject may have: the registry's own tree, reply subjects, `$`.
    pub forbidden_prefixes: Vec<String>,
    /// The longest timeout, in milliseconds.
    pub max_timeout_ms: u32,
    /// The most retries.
    pub max_retries: u32,
}

impl Policy {
    /// The timeouts that may be written, in milliseconds.
    pub fn timeouts_ms(&self) -> RangeInclusive<i64> {
        1..=self.max_timeout_ms.into()
    }

    /// The numbers of retries that may be written.
    pub fn retries(&self) -> RangeInclusive<i64> {
        0..=self.max_retries.into()
    }

    /// Checks `text`; the error is the rule it breaks.
    pub fn subject(&self, text: &str) -> Result<Subject, String> {
        let subject = Subject::parse(text)?;
        let mut forbidden = self.forbidden_prefixes.iter();
        if forbidden.any(|prefix| text.starts_with(prefix.as_str())) {
            return Err("is in a reserved part of the subject space".into());
        }
        let allowed = &self.allowed_subjects;
        if !allowed.iter().any(|pattern| pattern.matches(text)) {
            let allowed: Vec<_> = allowed.iter().map(SubjectPattern::as_str).collect();
            let allowed = allowed.join(", ");
            return Err(format!("is not within the allowed subjects ({allowed})"));
        }
        Ok(subject)
    }
}
