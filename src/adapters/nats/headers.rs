//! The one look-up of headers, of requests and of replies.

use async_nats::{HeaderMap, HeaderValue};

/// The first value of the header `name`: of its exact name, else of one that differs in ASCII case
/// alone. Of several of those, the first by name counts, as the client library keeps no order.
pub fn find<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    let headers = headers?;
    if let Some(value) = headers.get(name) {
        return Some(value.as_str());
    }
    let named = headers
        .iter()
        .map(|(known, values)| (known.as_ref(), values));
    let alike = named.filter(|(known, _): &(&str, _)| known.eq_ignore_ascii_case(name));
    let (_, values) = alike.min_by_key(|(known, _)| *known)?;
    values.first().map(HeaderValue::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_comes_first_and_case_does_not_matter_then() {
        let mut headers = HeaderMap::new();
        assert_eq!(find(None, "Beamline-Actor"), None);
        assert_eq!(find(Some(&headers), "Beamline-Actor"), None);
        for (name, value) in [
            ("beamline-actor", "lower"),
            ("BEAMLINE-ACTOR", "upper"),
            ("BEAMLINE-ACTOR", "second"),
            ("Beamline-Actors", "other"),
        ] {
            headers.append(name, value);
        }
        assert_eq!(find(Some(&headers), "Beamline-Actor"), Some("upper"));
        headers.insert("Beamline-Actor", "exact");
        assert_eq!(find(Some(&headers), "Beamline-Actor"), Some("exact"));
        assert_eq!(find(Some(&headers), "beamline-actor"), Some("lower"));
    }
}
