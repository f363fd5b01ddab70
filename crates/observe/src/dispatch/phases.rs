//! When a scenario began, pauses and must be over, and its step (contracts D8 to D10).
//!
//! ```text
//!            start ───── pause ····· resume ───────────── end ───────►
//!  anchor      │                                            │
//!  deadline    └──── duration ─ + the pause ───►            └─ duration ─►
//! ```
//!
//! Without a watchdog only the anchor counts, and that there is a pause: [`crate::periodic::Periodic`] reckons with pauses
//! on its own, and is told of them by [`super::Action::tell`].
//!
//! All times are the guest's. They are never 0, which means none where they are stored; an instant 0 counts as 1.

use spec::Nanos;

/// The phases of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// How long the watchdog lets a scenario run; `None` without a watchdog.
    watchdog: Option<Nanos>,
    anchor: Option<Nanos>,
    deadline: Option<Nanos>,
    paused_at: Option<Nanos>,
    paused_for: Nanos,
    step: u16,
}

impl Phases {
    /// Before the scenario, with or without a watchdog of so long.
    pub fn new(watchdog: Option<Nanos>) -> Phases {
        Phases {
            watchdog,
            ..Phases::default()
        }
    }

    /// When the scenario began. Only the first beginning counts.
    pub fn anchor(&self) -> Option<Nanos> {
        self.anchor
    }

    /// When the watchdog ends it, if nothing else comes. `None` before its beginning, and without a watchdog.
    pub fn deadline(&self) -> Option<Nanos> {
        self.deadline
    }

    /// Since when it pauses.
    pub fn paused_at(&self) -> Option<Nanos> {
        self.paused_at
    }

    /// How long it has paused, all pauses together that are over. Without a watchdog it stays 0.
    pub fn paused_for(&self) -> Nanos {
        self.paused_for
    }

    /// Its step: 0 for the baseline, then 1 to N.
    pub fn step(&self) -> u16 {
        self.step
    }

    /// Is its time over? Never while it pauses.
    pub fn is_overdue(&self, now: Nanos) -> bool {
        self.paused_at.is_none() && self.deadline.is_some_and(|deadline| now >= deadline)
    }

    pub(super) fn started(&mut self, now: Nanos) {
        self.anchor.get_or_insert(stored(now));
        self.wind_up(now);
    }

    pub(super) fn paused(&mut self, now: Nanos) {
        // Without a watchdog nothing is reckoned with it: it only says that there is a pause.
        let now = self.watchdog.map_or(Nanos(1), |_| now);
        self.paused_at = Some(stored(now));
    }

    pub(super) fn resumed(&mut self, now: Nanos) {
        let (Some(paused_at), Some(_)) = (self.paused_at.take(), self.watchdog) else {
            return;
        };
        let pause = now.saturating_sub(paused_at);
        self.paused_for = plus(self.paused_for, pause);
        self.deadline = self.deadline.map(|deadline| plus(deadline, pause));
    }

    pub(super) fn ended(&mut self, now: Nanos) {
        self.wind_up(now);
    }

    pub(super) fn stepped(&mut self, step: u16) {
        self.step = step;
    }

    /// Sets the watchdog, if there is one, to its full time from now on.
    fn wind_up(&mut self, now: Nanos) {
        self.deadline = self.watchdog.map(|duration| stored(plus(now, duration)));
    }
}

fn stored(at: Nanos) -> Nanos {
    at.max(Nanos(1))
}

fn plus(at: Nanos, span: Nanos) -> Nanos {
    Nanos(at.0.saturating_add(span.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watched(duration: u64) -> Phases {
        Phases::new(Some(Nanos(duration)))
    }

    /// D8: the first start is the anchor, with a watchdog and without; every start winds the watchdog up.
    #[test]
    fn only_the_first_start_is_the_anchor() {
        for watchdog in [None, Some(Nanos(100))] {
            let mut phases = Phases::new(watchdog);
            assert_eq!((phases.anchor(), phases.deadline()), (None, None));
            phases.started(Nanos(10));
            assert_eq!(phases.anchor(), Some(Nanos(10)));
            assert_eq!(phases.deadline(), watchdog.map(|_| Nanos(110)));
            phases.started(Nanos(50));
            assert_eq!(phases.anchor(), Some(Nanos(10)));
            assert_eq!(phases.deadline(), watchdog.map(|_| Nanos(150)));
        }
    }

    /// D8: an instant 0 is 1, and a deadline saturates and is never 0.
    #[test]
    fn instants_are_never_zero() {
        let mut phases = watched(0);
        phases.started(Nanos(0));
        assert_eq!(
            (phases.anchor(), phases.deadline()),
            (Some(Nanos(1)), Some(Nanos(1)))
        );
        phases.paused(Nanos(0));
        assert_eq!(phases.paused_at(), Some(Nanos(1)));
        let mut phases = watched(u64::MAX);
        phases.started(Nanos(7));
        assert_eq!(phases.deadline(), Some(Nanos(u64::MAX)));
    }

    /// D9: a pause is added to the deadline and to all pauses.
    #[test]
    fn a_pause_puts_the_deadline_off() {
        let mut phases = watched(100);
        phases.started(Nanos(10));
        phases.paused(Nanos(20));
        assert!(!phases.is_overdue(Nanos(1000)), "its clock stands still");
        phases.resumed(Nanos(50));
        assert_eq!(
            (phases.deadline(), phases.paused_for()),
            (Some(Nanos(140)), Nanos(30))
        );
        phases.paused(Nanos(60));
        phases.resumed(Nanos(65));
        assert_eq!(
            (phases.deadline(), phases.paused_for()),
            (Some(Nanos(145)), Nanos(35))
        );
        assert_eq!(phases.paused_at(), None);
        assert!(!phases.is_overdue(Nanos(144)) && phases.is_overdue(Nanos(145)));
    }

    /// D9: a resume without a pause changes nothing.
    #[test]
    fn a_stray_resume_changes_nothing() {
        let mut phases = watched(100);
        phases.started(Nanos(10));
        let before = phases;
        phases.resumed(Nanos(50));
        assert_eq!(phases, before);
    }

    /// D9: without a watchdog a pause is only noted, as 1, and its length is not reckoned with.
    #[test]
    fn without_a_watchdog_a_pause_is_only_noted() {
        let mut phases = Phases::new(None);
        phases.started(Nanos(10));
        phases.paused(Nanos(20));
        assert_eq!(phases.paused_at(), Some(Nanos(1)));
        phases.resumed(Nanos(50));
        assert_eq!((phases.paused_at(), phases.paused_for()), (None, Nanos::ZERO));
        phases.ended(Nanos(60));
        assert_eq!(phases.deadline(), None);
    }

    /// D9: an end winds the watchdog up for what comes after the scenario.
    #[test]
    fn an_end_winds_the_watchdog_up() {
        let mut phases = watched(100);
        phases.started(Nanos(10));
        phases.ended(Nanos(90));
        assert_eq!(phases.deadline(), Some(Nanos(190)));
    }

    proptest! {
        /// D8, D9: whatever comes, and whenever, no instant is 0 and the anchor stays.
        #[test]
        fn no_times_panic(watchdog: Option<u64>, told: Vec<(u8, u64)>) {
            let mut phases = Phases::new(watchdog.map(Nanos));
            let mut anchor = None;
            for (what, at) in told {
                let at = Nanos(at);
                match what % 4 {
                    0 => phases.started(at),
                    1 => phases.paused(at),
                    2 => phases.resumed(at),
                    _ => phases.ended(at),
                }
                anchor = anchor.or(phases.anchor());
                prop_assert_eq!(phases.anchor(), anchor);
                for instant in [phases.anchor(), phases.deadline(), phases.paused_at()] {
                    prop_assert_ne!(instant, Some(Nanos(0)));
                }
                prop_assert!(watchdog.is_some() || phases.deadline().is_none());
            }
        }
    }
}
