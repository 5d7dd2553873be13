//! The one look-up of headers, whatever they are held in.

/// The first value of `name`: by its exact name, else ignoring ASCII case. `headers` come in their
/// order.
pub fn find<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    name: &str,
) -> Option<&'a str> {
    let mut another_case = None;
    for (known, value) in headers {
        if known == name {
            return Some(value);
        }
        if another_case.is_none() && known.eq_ignore_ascii_case(name) {
            another_case = Some(value);
        }
    }
    another_case
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_comes_first_and_then_the_first_in_another_case() {
        let headers = [
            ("beamline-actor", "lower"),
            ("BEAMLINE-ACTOR", "upper"),
            ("Beamline-Actors", "other"),
            ("Beamline-Actor", "exact"),
            ("Beamline-Actor", "second"),
        ];
        for (count, found) in [
            (0, None),
            (1, Some("lower")),
            (3, Some("lower")),
            (5, Some("exact")),
        ] {
            let some = headers.into_iter().take(count);
            assert_eq!(find(some, "Beamline-Actor"), found, "of {count}");
        }
        assert_eq!(find(headers, "Beamline-Act"), None);
    }
}
