//! Headers to and from the client library's form.

use std::borrow::Cow;

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};

use crate::service::caller::{CallError, Headers};

/// Headers to send. The library sends names in any order; the values of one name keep theirs.
pub(super) fn to_wire(headers: Headers) -> Result<HeaderMap, CallError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.into_pairs() {
        // Parsed, not converted: the library's conversions panic on what they do not like.
        let name: HeaderName = match &name {
            name if name.is_empty() => return Err(CallError::InvalidHeader),
            Cow::Borrowed(name) if is_ours(name) => HeaderName::from_static(name),
            name => name.parse().map_err(|_| CallError::InvalidHeader)?,
        };
        let value: HeaderValue = value.parse().map_err(|_| CallError::InvalidHeader)?;
        map.append(name, value);
    }
    Ok(map)
}

/// Whether a name needs no check and no copy: a constant of letters, digits and dashes.
fn is_ours(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Headers received.
pub(super) fn from_wire(map: Option<HeaderMap>) -> Headers {
    let mut headers = Headers::new();
    for (name, values) in map.iter().flat_map(HeaderMap::iter) {
        for value in values {
            headers.push(name.to_string(), value.as_str());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_headers_survive_the_wire_form() {
        let mut headers = Headers::new();
        headers.push("A", "1");
        headers.push("A", "2");
        assert_eq!(from_wire(Some(to_wire(headers.clone()).unwrap())), headers);
        assert_eq!(from_wire(None), Headers::new());
    }

    #[test]
    fn what_would_break_the_protocol_is_an_error() {
        for (name, value) in [
            ("A", "1\r\nB: 2"),
            ("A", "\n"),
            ("A:B", "1"),
            ("", "1"),
            ("A\r", "1"),
        ] {
            let mut headers = Headers::new();
            headers.push(name, value);
            assert_eq!(
                to_wire(headers.clone()),
                Err(CallError::InvalidHeader),
                "{name:?} {value:?}"
            );
        }
    }
}
