//! The last token of a reply subject: which call a reply belongs to.

use std::fmt;

/// A slot of the table, and how many calls have used it before: a reply that comes after its call
/// is over names a generation that is over too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) slot: u32,
    /// 64 bits: one slot used a million times per second would repeat it after 500,000 years.
    pub(super) generation: u64,
}

impl Token {
    /// Reads what `Display` wrote. Replies are foreign input: anything else is no token.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (slot, generation) = text.split_once('-')?;
        Some(Self {
            slot: u32::from_str_radix(slot, 16).ok()?,
            generation: u64::from_str_radix(generation, 16).ok()?,
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.slot, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_wire_and_nothing_else_is_one() {
        for (slot, generation) in [(0, 0), (4095, 17), (u32::MAX, u64::MAX)] {
            let token = Token { slot, generation };
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
