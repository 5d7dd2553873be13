//! One line of plain text, in an operator's words.

/// `text`, which must have 1 to `most` characters. Control characters, line breaks included, have no
/// place in what is shown in logs and terminals; zero bytes would not even be stored.
///
/// # Errors
/// The rule, readable after the name of what breaks it.
pub fn line(text: &str, most: usize) -> Result<Box<str>, String> {
    if text.is_empty() || text.chars().count() > most {
        Err(format!("must have 1 to {most} characters"))
    } else if text.chars().any(char::is_control) {
        Err("must be one line of plain text".to_owned())
    } else {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_and_plain() {
        assert_eq!(
            line("Search team, \u{e9}", 14).as_deref(),
            Ok("Search team, \u{e9}")
        );
        for (text, rule) in [
            ("", "1 to 3"),
            ("abcd", "1 to 3"),
            ("a\nb", "one line"),
            ("a\0", "one line"),
            ("\u{85}", "one line"),
        ] {
            assert!(line(text, 3).unwrap_err().contains(rule), "{text:?}");
        }
    }
}
