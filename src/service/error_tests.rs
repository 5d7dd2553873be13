//! Codes, numbers, titles and details are the contract's.

use super::*;

fn number(value: u64) -> Value {
    Value::from(value)
}

fn text(value: &str) -> Value {
    Value::from(value)
}

/// The contract's table of codes, numbers and details.
#[test]
fn codes_numbers_and_details_are_the_contracts() {
    use RegistryError as E;
    let (id, version) = ("x".to_owned(), "v9".to_owned());
    let reason = NotFoundReason::NotTargeted;
    for (error, code, expected_number, details) in [
        (
            E::field("id", "is bad"),
            "invalid_request",
            400,
            vec![("field", text("id"))],
        ),
        (
            E::InvalidRequest {
                field: None,
                message: "?".into(),
            },
            "invalid_request",
            400,
            vec![],
        ),
        (E::Forbidden("no"), "forbidden", 403, vec![]),
        (
            E::ExtensionNotFound {
                id: id.clone(),
                reason,
            },
            "extension_not_found",
            404,
            vec![("id", text("x")), ("reason", text("not_targeted"))],
        ),
        (
            E::VersionNotFound {
                id,
                version,
                serving: true,
            },
            "version_not_found",
            404,
            vec![("id", text("x")), ("version", text("v9"))],
        ),
        (
            E::RevisionTimeout {
                wanted: 2,
                current: 1,
            },
            "revision_timeout",
            412,
            vec![("min_revision", number(2)), ("revision", number(1))],
        ),
        (
            E::PayloadTooLarge {
                what: "the reply",
                limit_bytes: 9,
            },
            "payload_too_large",
            413,
            vec![("limit_bytes", number(9))],
        ),
        (E::Internal, "internal", 500, vec![]),
        (E::SourceUnreadable("?".into()), "internal", 500, vec![]),
        (
            E::DatabaseUnavailable {
                reason: Trouble::ReadOnly,
                message: "?".into(),
            },
            "database_unavailable",
            503,
            vec![("reason", text("read_only"))],
        ),
        (
            E::DatabaseLocked {
                blocked_by: Some("psql".into()),
            },
            "database_unavailable",
            503,
            vec![("reason", text("locked")), ("blocked_by", text("psql"))],
        ),
        (
            E::OutcomeUnknown("?".into()),
            "database_unavailable",
            503,
            vec![("outcome", text("unknown"))],
        ),
        (
            E::Overloaded(Overload::Requests),
            "overloaded",
            503,
            vec![("reason", text("requests"))],
        ),
        (
            E::Overloaded(Overload::TenantShare),
            "overloaded",
            503,
            vec![("reason", text("tenant_share"))],
        ),
        (E::Cancelled, "cancelled", 499, vec![]),
        (E::ShuttingDown, "shutting_down", 503, vec![]),
        (
            E::GivenUp,
            "shutting_down",
            503,
            vec![("outcome", text("unknown"))],
        ),
        (
            E::Overloaded(Overload::Requests).perhaps(),
            "overloaded",
            503,
            vec![("reason", text("requests")), ("outcome", text("unknown"))],
        ),
        (
            E::Forbidden("why").perhaps(),
            "forbidden",
            403,
            vec![("outcome", text("unknown"))],
        ),
        (E::Cancelled.perhaps(), "cancelled", 499, vec![]),
    ] {
        assert_eq!((error.code(), error.number()), (code, expected_number));
        assert_eq!(error.details(), details, "{code}");
    }
}

/// A disabled version can be promoted: an operator must not be led to enable one that is missing.
#[test]
fn a_version_that_is_not_there_is_not_called_disabled() {
    let message = |serving| {
        let (id, version) = ("x".to_owned(), "v9".to_owned());
        let error = RegistryError::VersionNotFound {
            id,
            version,
            serving,
        };
        error.to_string()
    };
    assert_eq!(message(false), "extension `x` has no version `v9`");
    assert_eq!(message(true), "extension `x` has no enabled version `v9`");
}

#[test]
fn a_title_never_holds_request_data() {
    let hostile = "evil\r\nHeader: 1";
    for error in [
        RegistryError::field(hostile, hostile),
        RegistryError::ExtensionNotFound {
            id: hostile.into(),
            reason: NotFoundReason::Unknown,
        },
        RegistryError::VersionNotFound {
            id: hostile.into(),
            version: hostile.into(),
            serving: false,
        },
        RegistryError::DatabaseUnavailable {
            reason: Trouble::Unreachable,
            message: hostile.into(),
        },
        RegistryError::SourceUnreadable(hostile.into()),
    ] {
        assert!(
            error
                .title()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b' ')
        );
    }
}

#[test]
fn reasons_have_the_names_of_the_contract() {
    use NotFoundReason::{AutoDisabled, Disabled, NotTargeted, Quarantined, Unknown};
    let names =
        [Unknown, Disabled, AutoDisabled, NotTargeted, Quarantined].map(NotFoundReason::as_str);
    assert_eq!(
        names,
        [
            "unknown",
            "disabled",
            "auto_disabled",
            "not_targeted",
            "quarantined"
        ]
    );
}

/// What an operator must set right is a fault of ours to the caller, what cannot be stored is the
/// caller's, and a database that has answered is never reported as unreachable.
#[test]
fn each_trouble_of_the_database_has_its_code() {
    for (trouble, code, number) in [
        (Trouble::Refused, "invalid_request", 400),
        (Trouble::NotAllowed, "internal", 500),
        (Trouble::Hidden, "internal", 500),
        (Trouble::Unexpected, "internal", 500),
        (Trouble::Locked, "database_unavailable", 503),
        (Trouble::Unreachable, "database_unavailable", 503),
        (Trouble::Schema, "database_unavailable", 503),
        (Trouble::Encoding, "database_unavailable", 503),
        (Trouble::TooOld, "database_unavailable", 503),
        (Trouble::ReadOnly, "database_unavailable", 503),
        (Trouble::Full, "database_unavailable", 503),
        (Trouble::Slow, "database_unavailable", 503),
    ] {
        let error = RegistryError::from(DatabaseError::new(trouble, "what it says"));
        assert_eq!(
            (error.code(), error.number()),
            (code, number),
            "{trouble:?}"
        );
    }
}
