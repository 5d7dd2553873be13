//! Locks that outlive a panic: it costs the work that it ended, and what that has left behind is
//! sound at every step.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What `mutex` guards, also after a panic of another holder.
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
