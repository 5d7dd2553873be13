//! The last token of a reply subject: which call a reply belongs to, or which chunk of a stream is
//! meant.

/// Hexadecimal digits of a slot and of a secret.
const DIGITS: (usize, usize) = (8, 16);

/// A slot of the table, and a secret of the call that has it: a reply that comes after its call is
/// over names an expired secret, and the secret of one call reveals nothing of another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) slot: u32,
    /// 64 random bits.
    pub(super) secret: u64,
}

/// Bytes of a token of a chunk; none of a call is as long.
pub(super) const CHUNK_LEN: usize = 2 * DIGITS.1;

/// The token of chunk number `sequence` of the stream with this secret.
pub(super) fn chunk(secret: u64, sequence: u64) -> [u8; CHUNK_LEN] {
    let mut text = [0; CHUNK_LEN];
    if let Some((stream, number)) = text.split_at_mut_checked(DIGITS.1) {
        write(stream, secret);
        write(number, sequence);
    }
    text
}

/// Reads what [`chunk`] wrote: the stream's secret and the chunk's number.
pub(super) fn parse_chunk(text: &[u8]) -> Option<(u64, u64)> {
    let (stream, sequence) = text.split_at_checked(DIGITS.1)?;
    let whole = text.len() == CHUNK_LEN;
    whole.then(|| Some((number(stream)?, number(sequence)?)))?
}

impl Token {
    /// Reads what [`text`](Self::text) wrote. Replies are foreign input: anything else is no
    /// token.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != DIGITS.0 + DIGITS.1 {
            return None;
        }
        let (slot, secret) = text.split_at_checked(DIGITS.0)?;
        Some(Self {
            slot: u32::try_from(number(slot)?).ok()?,
            secret: number(secret)?,
        })
    }

    /// As it appears in a subject.
    pub(super) fn text(self) -> [u8; DIGITS.0 + DIGITS.1] {
        let mut text = [0; DIGITS.0 + DIGITS.1];
        if let Some((slot, secret)) = text.split_at_mut_checked(DIGITS.0) {
            write(slot, self.slot.into());
            write(secret, self.secret);
        }
        text
    }
}

/// Digit by digit: every call writes one of these, and the formatting machinery is slow.
fn write(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        let nibble = u8::try_from(number & 0xf).unwrap_or_default();
        *digit = match nibble {
            0..10 => b'0' + nibble,
            _ => b'a' + nibble - 10,
        };
        number >>= 4;
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_wire_and_nothing_else_is_one() {
        for (slot, secret) in [(0, 0), (4095, 17), (u32::MAX, u64::MAX)] {
            let token = Token { slot, secret };
            assert_eq!(Token::parse(&token.text()), Some(token));
        }
        let chunk = chunk(0xab, u64::MAX);
        assert_eq!(parse_chunk(&chunk), Some((0xab, u64::MAX)));
        assert_eq!(Token::parse(&chunk), None);
        for no_chunk in [
            &chunk[1..],
            &[&chunk[..], b"0"].concat(),
            &[b'x'; CHUNK_LEN],
        ] {
            assert_eq!(parse_chunk(no_chunk), None);
        }
        let token = Token {
            slot: 0xab,
            secret: 0xcd,
        };
        assert_eq!(&token.text(), b"000000ab00000000000000cd");
        for text in [
            "",
            "000000ab",
            "000000ab00000000000000c",
            "000000ab00000000000000cd0",
            "000000AB00000000000000CD",
            "000000ab-0000000000000cd",
            "000000ab 0000000000000cd",
            "000000ab0000000000000\u{e4}d",
        ] {
            assert_eq!(Token::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
