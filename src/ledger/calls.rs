//! The calls of one key, as a part of one allocation for all keys that were loaded together.
//!
//! A day of 10,000 accounts is a million calls. They are needed for a moment at the start;
//! in one piece they go back to the system as a whole, in 20,000 pieces they would leave
//! holes between what lives on.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::PastCall;

/// Calls, oldest first. Reads like a slice.
#[derive(Clone, Default)]
pub struct Calls {
    all: Arc<Vec<PastCall>>,
    own: Range<usize>,
}

impl Calls {
    /// These parts of `all`.
    pub(super) fn parts<K>(
        all: Vec<PastCall>,
        parts: Vec<(K, Range<usize>)>,
    ) -> impl Iterator<Item = (K, Self)> {
        let all = Arc::new(all);
        parts.into_iter().map(move |(key, own)| (key, Self { all: all.clone(), own }))
    }
}

impl Deref for Calls {
    type Target = [PastCall];

    fn deref(&self) -> &[PastCall] {
        self.all.get(self.own.clone()).unwrap_or_default()
    }
}

impl From<Vec<PastCall>> for Calls {
    fn from(calls: Vec<PastCall>) -> Self {
        let own = 0..calls.len();
        Self { all: Arc::new(calls), own }
    }
}

impl PartialEq for Calls {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Calls {}

impl<const N: usize> PartialEq<[PastCall; N]> for Calls {
    fn eq(&self, other: &[PastCall; N]) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
