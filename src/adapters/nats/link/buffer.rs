//! Bytes that have arrived and not been taken yet.

use std::io::Write;

/// Room for what a socket holds at a time.
const USUAL: usize = 64 * 1024;
/// More than this is given back once it is not needed.
const KEPT: usize = 4 * USUAL;

/// A buffer that operations are read from in place.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; USUAL],
            start: 0,
            end: 0,
        }
    }

    /// What has arrived and was not taken.
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes the first `count` bytes off.
    pub(super) fn take(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Makes room for [`unread`](Self::unread) to grow to `whole` bytes.
    pub(super) fn expect(&mut self, whole: usize) {
        if self.bytes.len() > KEPT && whole <= USUAL {
            // Also where a busy server never leaves it empty: one large message is held for no
            // longer than it takes.
            let mut usual = Self::new();
            usual.append(self.unread());
            *self = usual;
        }
        if self.start + whole <= self.bytes.len() {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if whole > self.bytes.len() {
            self.bytes.resize(whole.next_multiple_of(USUAL), 0);
        }
    }

    /// Where the next bytes go; never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() {
            self.expect(self.end - self.start + 1);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// `count` bytes were put into [`space`](Self::space).
    pub(super) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Appends `bytes`.
    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // As much as there is space for: it cannot fail.
            let count = self.space().write(bytes).unwrap_or_default();
            self.filled(count);
            bytes = bytes.get(count..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(
            turns in proptest::collection::vec((0usize..200_000, 0usize..200_000), 1..12),
        ) {
            let (mut buffer, mut model, mut next) = (Buffer::new(), Vec::new(), 0u8);
            for (arriving, taken) in turns {
                let bytes: Vec<u8> = (0..arriving).map(|_| { next = next.wrapping_add(1); next }).collect();
                buffer.append(&bytes);
                model.extend_from_slice(&bytes);
                prop_assert_eq!(buffer.unread(), &model[..]);
                let taken = taken.min(model.len());
                buffer.take(taken);
                model.drain(..taken);
                buffer.expect(model.len() + 1);
                prop_assert!(!buffer.space().is_empty());
                prop_assert_eq!(buffer.unread(), &model[..]);
            }
        }
    }

    #[test]
    fn what_a_large_message_needed_is_given_back() {
        let mut buffer = Buffer::new();
        buffer.append(&vec![1; 1 << 20]);
        assert!(buffer.bytes.len() >= 1 << 20);
        buffer.take(1 << 20);
        buffer.expect(1);
        assert_eq!(buffer.bytes.len(), USUAL);

        buffer.append(&vec![1; 1 << 20]);
        buffer.append(b"next");
        buffer.take(1 << 20);
        buffer.expect(5);
        assert_eq!((buffer.bytes.len(), buffer.unread()), (USUAL, &b"next"[..]));
    }
}
