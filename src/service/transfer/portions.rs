//! Lists in portions: what one statement takes.

/// The most items of a portion: enough that what each statement costs does not matter, few enough
/// that none takes long.
pub(super) const MAX_ITEMS: usize = 1000;
/// And the most bytes of JSON, so that no statement outgrows what the database takes.
pub(super) const MAX_BYTES: usize = 16 << 20;

/// Cuts `all` into portions of a limited number of items and bytes. An item that is larger by
/// itself is a portion of its own.
pub(super) fn portions<T>(
    all: &[T],
    max_items: usize,
    bytes_of: impl Fn(&T) -> usize,
) -> impl Iterator<Item = &[T]> {
    let mut rest = all;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |it: &&T| {
            bytes += bytes_of(it);
            bytes <= MAX_BYTES
        };
        let count = rest.iter().take(max_items).take_while(fits).count();
        let (some, later) = rest.split_at_checked(count.max(1))?;
        rest = later;
        Some(some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_bounded_by_items_and_by_bytes() {
        let sizes = |all: &[usize]| -> Vec<usize> {
            portions(all, 3, |bytes| *bytes).map(<[_]>::len).collect()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[1; 7]), [3, 3, 1]);
        let half = MAX_BYTES / 2;
        assert_eq!(sizes(&[half, half, 1, half]), [2, 2]);
        assert_eq!(sizes(&[1, 2 * MAX_BYTES, 1]), [1, 1, 1]);
    }
}
