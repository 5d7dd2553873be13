//! The last token of a reply subject: which call a reply belongs to.

use std::fmt;

/// A slot of the table, and a secret of the call that has it: a reply that comes after its call is
/// over names a secret that is over too, and who knows one call's knows nothing of another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) slot: u32,
    /// 64 random bits.
    pub(super) secret: u64,
}

impl Token {
    /// Reads what `Display` wrote. Replies are foreign input: anything else is no token.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (slot, secret) = text.split_once('-')?;
        Some(Self {
            slot: u32::from_str_radix(slot, 16).ok()?,
            secret: u64::from_str_radix(secret, 16).ok()?,
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.slot, self.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_wire_and_nothing_else_is_one() {
        for (slot, secret) in [(0, 0), (4095, 17), (u32::MAX, u64::MAX)] {
            let token = Token { slot, secret };
            assert_eq!(Token::parse(&token.to_string()), Some(token));
        }
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "1-2-3",
            "1-g",
            "100000000-1",
            "1.2",
        ] {
            assert_eq!(Token::parse(text), None, "{text:?}");
        }
    }
}
