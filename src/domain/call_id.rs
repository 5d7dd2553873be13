//! How a call is named by a client that wants to cancel it.

use std::borrow::Borrow;
use std::fmt;

use smol_str::{SmolStr, format_smolstr};

use super::ids::NameError;
use super::subject::is_token;

/// The longest, in bytes.
const MAX_BYTES: usize = 128;

/// The id of a call: one token of printable ASCII. A client that knows it may cancel the call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallId(SmolStr);

impl CallId {
    /// Reads one that a caller has chosen.
    ///
    /// # Errors
    /// It is none; the error names the rule.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() <= MAX_BYTES && is_token(text) {
            return Ok(Self(text.into()));
        }
        let rule = "one token of 1 to 128 printable ASCII characters";
        Err(NameError { rule })
    }

    /// Makes one of 64 random bits.
    pub fn of(random: u64) -> Self {
        Self(format_smolstr!("{random:016x}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for CallId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_token() {
        let (longest, longer) = ("x".repeat(128), "x".repeat(129));
        for (text, fits) in [
            ("c0ffee", true),
            ("7/a+b=_-~", true),
            (&longest, true),
            (&longer, false),
            ("", false),
            ("a.b", false),
            ("a b", false),
            ("*", false),
            (">", false),
            ("a\r\nb", false),
            ("caf\u{e9}", false),
        ] {
            assert_eq!(CallId::parse(text).is_ok(), fits, "{text:?}");
        }
        assert_eq!(CallId::of(0xab).as_str(), "00000000000000ab");
    }
}
