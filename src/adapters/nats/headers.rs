//! Headers as the client library holds them.

use async_nats::HeaderMap;

use crate::domain::header;

/// The first value of the header `name`: by its exact name, else ignoring ASCII case. Of several of
/// those, the first by name counts, as the client library keeps no order.
pub fn find<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    let named = headers?.iter().filter_map(|(known, values)| {
        let known: &str = known.as_ref();
        Some((known, values.first()?.as_str()))
    });
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    header::find(named, name)
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
