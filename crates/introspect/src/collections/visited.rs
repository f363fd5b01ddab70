//! Which nodes a walk has seen.

use hashbrown::HashSet;

use guestmem::GuestVirt;

use crate::ReadError;

/// Finds circles, and ends walks that are too long.
pub(crate) struct Visited {
    seen: HashSet<GuestVirt>,
    most: usize,
}

impl Visited {
    pub(crate) fn new(most: usize) -> Visited {
        Visited {
            seen: HashSet::new(),
            most,
        }
    }

    /// Notes a node; `what` is the collection, for the error.
    pub(crate) fn note(&mut self, at: GuestVirt, what: impl FnOnce() -> String) -> Result<(), ReadError> {
        if self.seen.len() == self.most {
            return Err(ReadError::TooMany {
                what: what(),
                most: self.most,
            });
        }
        if !self.seen.insert(at) {
            return Err(ReadError::Cycle {
                what: what(),
                at,
                visited: self.seen.len(),
            });
        }
        Ok(())
    }
}
