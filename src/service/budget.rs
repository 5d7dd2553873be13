//! Bytes that requests and replies may hold at a time: what their number does not bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// A number of bytes, taken and given back.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    held: AtomicUsize,
}

/// Bytes that are taken, given back when dropped.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        let held = AtomicUsize::new(0);
        Arc::new(Self { limit, held })
    }

    /// Takes `bytes`, unless that would be more than there are.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        let budget = Arc::clone(self);
        let taken = Held { budget, bytes };
        (before.saturating_add(bytes) <= self.limit).then_some(taken)
    }

    /// Bytes taken.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Held {
    /// A copy of `text`, which holds these bytes until the last that shares it is dropped.
    pub fn copy(self, text: &[u8]) -> Bytes {
        let text = text.into();
        Bytes::from_owner(Copy { text, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Copy {
    text: Box<[u8]>,
    _held: Held,
}

impl AsRef<[u8]> for Copy {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_by_the_last_who_holds_it() {
        let budget = Budget::new(100);
        let first = budget.take(60).unwrap();
        assert!(budget.take(41).is_none());
        assert_eq!(budget.held(), 60, "a refusal holds nothing");
        let text = first.copy(b"abc");
        let part = text.slice(1..);
        drop(text);
        assert_eq!((budget.held(), &part[..]), (60, &b"bc"[..]));
        let _rest = budget.take(40).unwrap();
        drop(part);
        assert_eq!(budget.held(), 40);
        assert!(budget.take(usize::MAX).is_none());
    }
}
