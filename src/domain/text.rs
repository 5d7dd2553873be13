//! Text files as editors leave them: the one rule for byte order marks and encodings.

use thiserror::Error;

/// Why bytes are no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotText {
    /// Windows editors call it "Unicode".
    #[error("is UTF-16: save it as UTF-8")]
    Utf16,
    /// Something else.
    #[error("is not UTF-8 from byte {byte} on (line {line})")]
    NotUtf8 {
        /// The first byte that is none, counted from 0.
        byte: usize,
        /// Its line, counted from 1.
        line: usize,
    },
}

/// The text that `bytes` are, without a byte order mark.
///
/// # Errors
/// They are not UTF-8.
pub fn text(mut bytes: Vec<u8>) -> Result<String, NotText> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] | [1..=0x7f, 0, ..] = *bytes {
        return Err(NotText::Utf16);
    }
    let mark = bytes.len() - without_mark(&bytes).len();
    bytes.drain(..mark);
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(valid);
        NotText::NotUtf8 {
            byte: valid + mark,
            line: 1 + before.filter(|byte| **byte == b'\n').count(),
        }
    })
}

/// `bytes` without the byte order mark of UTF-8, where the rest need not be text.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let read = |bytes: &[u8]| text(bytes.to_vec());
        assert_eq!(read(b"\xef\xbb\xbf{}").as_deref(), Ok("{}"));
        assert_eq!(read(b"\xef\xbb\xbf").as_deref(), Ok(""));
        assert_eq!(read("\u{e9}".as_bytes()).as_deref(), Ok("\u{e9}"));
        assert_eq!(read(b"").as_deref(), Ok(""));
        assert_eq!(without_mark(b"\xef\xbb\xbf\xff"), b"\xff");
    }

    #[test]
    fn other_encodings_are_named_with_their_place() {
        for utf16 in [&b"\xff\xfe{\0"[..], b"\xfe\xff\0{", b"{\0}\0", b"\0{\0}"] {
            assert_eq!(text(utf16.to_vec()), Err(NotText::Utf16));
        }
        let latin = NotText::NotUtf8 { byte: 6, line: 2 };
        assert_eq!(
            text(b"\xef\xbb\xbfa\nb\xe9".to_vec()),
            Err(NotText::NotUtf8 { byte: 6, line: 2 })
        );
        assert_eq!(latin.to_string(), "is not UTF-8 from byte 6 on (line 2)");
    }
}
