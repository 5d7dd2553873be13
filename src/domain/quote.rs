//! The one rule for foreign text that is quoted: in errors, faults, logs, events and on the page.
//!
//! Text from a request, a file, a row or an extension can be of any length and hold anything. It is
//! shortened and cleaned where the quotation is made, so that nothing downstream has to.

/// The most bytes of one quotation, before the ellipsis.
pub const MAX_QUOTED_BYTES: usize = 200;

/// `text` as it may be quoted: at most [`MAX_QUOTED_BYTES`], control characters replaced.
pub fn quoted(text: &str) -> String {
    quoted_within(text, MAX_QUOTED_BYTES)
}

/// Likewise, of at most `limit` bytes before the ellipsis.
pub fn quoted_within(text: &str, limit: usize) -> String {
    let cut = cut(text, limit);
    let mut quotation: String = cut.chars().map(harmless).collect();
    if cut.len() < text.len() {
        quotation.push_str("...");
    }
    quotation
}

/// The beginning of `text`, of at most `limit` bytes.
pub fn cut(text: &str, limit: usize) -> &str {
    let mut ends = (0..=limit.min(text.len())).rev();
    let end = ends.find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A terminal obeys control characters, and a reader believes an order of letters that
/// bidirectional formatting has turned round.
fn harmless(char: char) -> char {
    match char.is_control() || turns_writing(char) {
        true => char::REPLACEMENT_CHARACTER,
        false => char,
    }
}

/// Whether `char` is one that only changes the direction of writing.
pub const fn turns_writing(char: char) -> bool {
    matches!(
        char,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(quoted("as it is, \u{e9}\u{e8}"), "as it is, \u{e9}\u{e8}");
        let exact = "x".repeat(MAX_QUOTED_BYTES);
        assert_eq!(quoted(&exact), exact);
        assert_eq!(quoted(&format!("{exact}y")), format!("{exact}..."));
        assert_eq!(quoted_within("\u{e9}\u{e9}", 3), "\u{e9}...");
        assert_eq!(quoted_within("\u{e9}", 0), "...");
    }

    #[test]
    fn nothing_in_it_moves_a_cursor_or_turns_text_round() {
        let cleaned = quoted("a\u{1b}[2J\r\nb\u{202e}c\u{85}");
        assert_eq!(cleaned, "a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(quoted("a\u{61c}b"), "a\u{fffd}b");
    }
}
