//! What programs of the guest may do to a run (contract F3).

use observe::{MAX_EVENTS, MAX_PROGRAM_WATCHES};

/// What programs have done that is bounded.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProgramQuota {
    watches: usize,
    recorded: usize,
    unrecorded: u64,
    unreadable: u64,
}

/// Programs have set all watches that a run has for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("programs have set {MAX_PROGRAM_WATCHES} watches already, which is the most")]
pub(crate) struct NoWatch;

impl ProgramQuota {
    /// May programs set one more watch?
    ///
    /// # Errors
    /// [`NoWatch`].
    pub(crate) fn has_watch(&self) -> Result<(), NoWatch> {
        match self.watches {
            MAX_PROGRAM_WATCHES.. => Err(NoWatch),
            _ => Ok(()),
        }
    }

    /// A watch was set.
    pub(crate) fn watch_set(&mut self) {
        self.watches = self.watches.saturating_add(1);
    }

    /// Has the record room for one more event of programs? Else the event is counted.
    pub(crate) fn record(&mut self) -> bool {
        let room = self.recorded < MAX_EVENTS;
        if room {
            self.recorded += 1;
        } else {
            self.unrecorded = self.unrecorded.saturating_add(1);
        }
        room
    }

    /// A call came whose buffer could not be read or written.
    pub(crate) fn unreadable_call(&mut self) {
        self.unreadable = self.unreadable.saturating_add(1);
    }

    /// Events that had no room in the record.
    pub(crate) fn unrecorded(&self) -> u64 {
        self.unrecorded
    }

    /// Calls whose buffer could not be read or written.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F3: programs set three watches in a run.
    #[test]
    fn a_fourth_watch_is_refused_with_the_number() {
        let mut quota = ProgramQuota::default();
        for _ in 0..3 {
            assert_eq!(quota.has_watch(), Ok(()));
            quota.watch_set();
        }
        let refused = quota.has_watch().unwrap_err().to_string();
        assert!(refused.contains("3 watches"), "{refused}");
    }

    /// F3: 1024 events are recorded; the others are counted.
    #[test]
    fn events_beyond_the_bound_are_counted() {
        let mut quota = ProgramQuota::default();
        let recorded = (0..1030).filter(|_| quota.record()).count();
        assert_eq!((recorded, quota.unrecorded()), (1024, 6));
    }
}
