//! The subjects that are served, answered and called, kept apart from each other.
//!
//! Reply subjects are chosen by callers: without a list of allowed prefixes the daemon would
//! publish anywhere, to an extension or to itself.

use super::parse::Rule;
use super::reader::Reader;
use super::variables::{ALLOWED_SUBJECTS, REPLY_PREFIXES, SUBJECT_PREFIX, SubjectSettings};
use crate::domain::subject::{Subject, SubjectPattern};

/// A subject of our own.
pub(super) fn own(text: &str) -> Result<Subject, Rule> {
    let subject = Subject::parse(text.trim());
    let subject = subject.map_err(|error| format!("must be a subject, but {error}"))?;
    match subject.as_str().starts_with('$') {
        true => Err("must not begin with `$`, which is the server's".to_owned()),
        false => Ok(subject),
    }
}

/// The name of a queue group.
pub(super) fn group(text: &str) -> Result<String, Rule> {
    let group = Subject::parse(text.trim()).map(|group| group.as_str().to_owned());
    group.map_err(|error| format!("must be a queue group name, but {error}"))
}

/// Subjects of extensions.
pub(super) fn pattern(item: &str) -> Result<SubjectPattern, Rule> {
    match SubjectPattern::parse(item) {
        Ok(_) if item.starts_with('$') => Err(format!(
            "has `{item}`, but subjects under `$` are the server's"
        )),
        pattern => pattern
            .map_err(|error| format!("must be a list of subject patterns, but `{item}` {error}")),
    }
}

/// Notes patterns that allow no subject, and every reply prefix that overlaps subjects of other
/// users.
pub(super) fn check(values: &SubjectSettings, reader: &mut Reader<'_>) {
    let own = format!("{}.", values.prefix);
    let allowed = values.allowed.iter().map(SubjectPattern::as_str);
    let taken: Vec<_> = allowed
        .filter(|pattern| pattern.starts_with(&own))
        .collect();
    if !taken.is_empty() {
        let taken = taken.join(", ");
        let rule = format!("has {taken}, where SUBJECT_PREFIX keeps all subjects to the registry");
        reader.conflict(&ALLOWED_SUBJECTS, &SUBJECT_PREFIX, rule);
    }
    for item in &values.reply_prefixes {
        if let Some(why) = clash(item, &values.prefix, &values.allowed) {
            reader.fault(&REPLY_PREFIXES, format!("has `{item}`, {why}"));
        }
    }
}

/// Why `item` cannot be the beginning of reply subjects. Texts, not whole tokens.
fn clash(item: &str, own: &Subject, allowed: &[SubjectPattern]) -> Option<String> {
    let mut allowed = allowed.iter();
    if item.starts_with('$') {
        Some("but subjects under `$` are the server's".to_owned())
    } else if item.contains(['*', '>']) || !item.bytes().all(|byte| byte.is_ascii_graphic()) {
        let rule = "no wildcards, printable ASCII only";
        Some(format!("which is not a subject prefix: {rule}"))
    } else if overlap(item, &format!("{own}.")) {
        Some(format!(
            "which overlaps the registry's own subjects under {own}"
        ))
    } else {
        let met = allowed.find(|pattern| overlap(item, literal_head(pattern)))?;
        let met = met.as_str();
        Some(format!("which overlaps the extension subjects {met}"))
    }
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
            let why = clash(item, &own, &allowed);
            assert_eq!(why.is_none(), accepted, "{item}: {why:?}");
        }
        assert_eq!(clash("_INBOX.", &own, &[pattern(">").unwrap()]), None);
        assert!(pattern("$SYS.>").is_err());
    }
}
