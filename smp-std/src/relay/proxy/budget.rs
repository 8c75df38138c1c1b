//! What is shared fairly among those who may want all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of things, shared by holders who do not know each other. A holder may have as many as are left for others:
/// one alone gets half, and with so many greedy ones as there may be, some are always left for the next.
#[derive(Debug)]
pub(crate) struct Budget {
    total: AtomicUsize,
    used: AtomicUsize,
}

/// What one holder has of a budget.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    used: AtomicUsize,
}

/// One of the things; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Held(Arc<Share>);

impl Budget {
    pub(super) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total: AtomicUsize::new(total), used: AtomicUsize::new(0) })
    }

    /// Changes how many there are. Who has more than that now keeps them.
    pub(super) fn set_total(&self, total: usize) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// A new holder.
    pub(super) fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share { budget: Arc::clone(self), used: AtomicUsize::new(0) })
    }

    /// How many are held.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Takes one, unless the holder has its share.
    pub(super) fn take(self: &Arc<Self>) -> Option<Held> {
        let all = self.budget.used.fetch_add(1, Ordering::Relaxed);
        let own = self.used.fetch_add(1, Ordering::Relaxed);
        // From here on dropping gives both numbers back.
        let held = Held(Arc::clone(self));
        (own < self.budget.total.load(Ordering::Relaxed).saturating_sub(all)).then_some(held)
    }

    /// How many the holder has.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::Relaxed);
        self.0.budget.used.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_holders_leave_something_for_the_next() {
        let budget = Budget::new(1_000);
        let mut all = Vec::new();
        for _ in 0..50 {
            let share = budget.share();
            let mine: Vec<_> = std::iter::from_fn(|| share.take()).collect();
            assert!(!mine.is_empty() || budget.used() >= 999);
            assert!(mine.len() <= 500);
            if all.is_empty() {
                assert_eq!(mine.len(), 500);
            }
            all.push(mine);
        }
        assert!(budget.used() <= 1_000);
        drop(all);
        assert_eq!(budget.used(), 0);
        let share = budget.share();
        let held = share.take();
        assert_eq!((share.used(), budget.used()), (1, 1));
        budget.set_total(1);
        assert!(share.take().is_none());
        drop(held);
        assert!(share.take().is_some());
    }
}
