//! The subjects that are served, answered and called, kept apart from each other.
//!
//! Reply subjects are chosen by callers: without a list of allowed beginnings the daemon would
//! publish wherever it is told, to an extension or to itself.

use super::parse::{Rule, list};
use super::reader::Reader;
use super::variables::{ALLOWED_SUBJECTS, QUEUE_GROUP, REPLY_PREFIXES, SUBJECT_PREFIX};
use crate::domain::subject::{Subject, SubjectPattern};

/// Settings of subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectSettings {
    /// What all requests stand under.
    pub prefix: Subject,
    /// The queue group that the sidecars share.
    pub queue_group: String,
    /// Beginnings of the reply subjects that are answered; texts, not whole tokens.
    pub reply_prefixes: Vec<String>,
    /// Patterns of the subjects an extension may have.
    pub allowed: Vec<SubjectPattern>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<SubjectSettings> {
    let group = |text: &str| match Subject::parse(text.trim()) {
        Ok(group) => Ok(group.as_str().to_owned()),
        Err(error) => Err(format!("must be a queue group name, but {error}")),
    };
    let prefix = reader.value(&SUBJECT_PREFIX, subject)?;
    let allowed = reader.value(&ALLOWED_SUBJECTS, list(pattern))?;
    let reply = |item: &str| reply_prefix(item, &prefix, &allowed);
    Some(SubjectSettings {
        queue_group: reader.value(&QUEUE_GROUP, group)?,
        reply_prefixes: reader.value(&REPLY_PREFIXES, list(reply))?,
        prefix,
        allowed,
    })
}

/// A subject of our own.
pub(super) fn subject(text: &str) -> Result<Subject, Rule> {
    let subject = Subject::parse(text.trim());
    let subject = subject.map_err(|error| format!("must be a subject, but {error}"))?;
    match subject.as_str().starts_with('$') {
        true => Err("must not begin with `$`, which is the server's".to_owned()),
        false => Ok(subject),
    }
}

fn pattern(item: &str) -> Result<SubjectPattern, Rule> {
    if item.starts_with('$') {
        return Err(format!(
            "has `{item}`, but subjects under `$` are the server's"
        ));
    }
    SubjectPattern::parse(item)
        .map_err(|error| format!("must be a list of subject patterns, but `{item}` {error}"))
}

fn reply_prefix(item: &str, own: &Subject, allowed: &[SubjectPattern]) -> Result<String, Rule> {
    let mut allowed = allowed.iter();
    let why = if item.starts_with('$') {
        "but subjects under `$` are the server's".to_owned()
    } else if item.contains(['*', '>']) || !item.bytes().all(|byte| byte.is_ascii_graphic()) {
        "which is no beginning of a subject: no wildcards, printable ASCII only".to_owned()
    } else if overlap(item, &format!("{own}.")) {
        format!("which meets the registry's own subjects under {own}")
    } else if let Some(met) = allowed.find(|pattern| overlap(item, literal_head(pattern))) {
        format!("which meets the extension subjects {}", met.as_str())
    } else {
        return Ok(item.to_owned());
    };
    Err(format!("has `{item}`, {why}"))
}

/// Whether some subject can begin with both. A pattern without a literal head allows everything
/// that is not otherwise taken, reply subjects being taken, so it overlaps with nothing.
fn overlap(item: &str, head: &str) -> bool {
    !head.is_empty() && (item.starts_with(head) || head.starts_with(item))
}

/// What every subject under `pattern` begins with.
fn literal_head(pattern: &SubjectPattern) -> &str {
    let mut parts = pattern.as_str().split(['*', '>']);
    parts.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_prefixes_keep_away_from_everything_else() {
        let own = Subject::parse("beamline.registry").unwrap();
        let allowed = [
            pattern("beamline.ext.>").unwrap(),
            pattern("crm.*.v1").unwrap(),
        ];
        for (item, accepted) in [
            ("_INBOX.", true),
            ("_INBOX_", true),
            ("_R_.", true),
            ("beamline.replies.", true),
            ("$JS.", false),
            ("_INBOX.>", false),
            ("a*", false),
            ("b\u{e9}", false),
            ("beamline.registry.x", false),
            ("beam", false),
            ("beamline.ext.", false),
            ("beamline.ext.pre.", false),
            ("crm.a", false),
        ] {
            let result = reply_prefix(item, &own, &allowed);
            assert_eq!(result.is_ok(), accepted, "{item}: {result:?}");
        }
        assert!(reply_prefix("_INBOX.", &own, &[pattern(">").unwrap()]).is_ok());
        assert!(pattern("$SYS.>").is_err());
    }
}
