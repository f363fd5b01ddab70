//! When periodic snapshots are taken (contracts F1 and F2).
//!
//! ```text
//!  anchor                                                          anchor + duration
//!    │    start = max(anchor, ready)                                      │ end
//!    ▼     ▼                                                              ▼
//!  ──┼─────┼── a tenth ──┼─────┼─────┼─────┼─────┼─────┼─── a tenth ──────┼──
//!                              b0          b1          b2
//! ```
//! The first and the last tenth are left out: there the scenario starts and ends. The boundaries divide the rest evenly.
//!
//! [`Periodic`] is a state machine of plain values. At each tick it says what to do:
//!
//! ```text
//!   no anchor, or not ready ──► Defer ─┐
//!   before the next boundary ─► Wait  ─┤ ask again
//!   another scheduler ────────► Defer ─┘
//!   at or behind the boundary ► Take ──► taken() ─► the next one; Done behind the last
//! ```

use std::fmt;

use spec::{GuestTime, Nanos};

/// The most boundaries of a window: their tags have three digits.
pub const MAX_BOUNDARIES: usize = 1000;

/// `n` instants in (start, end), evenly spaced, none in the first or last tenth.
///
/// Empty for no `n`, for a window that is empty or too short for `n` different instants, and for more than
/// [`MAX_BOUNDARIES`], which [`Periodic::new`] refuses.
pub fn boundaries(start: Nanos, end: Nanos, n: usize) -> Vec<Nanos> {
    let avail = end.saturating_sub(start).0;
    let pre = avail / 10;
    let window = avail - 2 * pre;
    if n == 0 || n > MAX_BOUNDARIES || avail == 0 || window < n as u64 + 1 {
        return Vec::new();
    }
    let parts = n as u128 + 1;
    (1..parts)
        // No more than the window, so it fits; and start + pre + window is at most the end.
        .map(|part| (u128::from(window) * part / parts) as u64)
        .map(|offset| Nanos(start.0.saturating_add(pre).saturating_add(offset)))
        .collect()
}

/// The tag of the periodic snapshot with this number, from 0 on.
pub fn tag(number: usize) -> String {
    format!("periodic_{number:03}")
}

/// When the periodic snapshots of a run are due.
#[derive(Debug, Clone)]
pub struct Periodic {
    count: usize,
    duration: Nanos,
    anchor: GuestTime,
    ready: Option<GuestTime>,
    /// Address of the root scheduler last bound, 0 for none.
    bound: u64,
    paused_for: Nanos,
    paused_at: Option<GuestTime>,
    taken: usize,
}

/// More snapshots than there are tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{count} periodic snapshots are too many; ask for {MAX_BOUNDARIES} or fewer")]
pub struct TooManySnapshots {
    /// How many were asked for.
    pub count: usize,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: ask again at the next tick.
    Defer(Deferral),
    /// Nothing before this instant.
    Wait(GuestTime),
    /// Take a snapshot; then call [`Periodic::taken`].
    Take(Due),
    /// All are taken, or the window had room for none.
    Done,
}

/// Why a snapshot is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deferral {
    /// The scenario has not begun.
    NoAnchor,
    /// What snapshots need is not ready.
    NotReady,
    /// The root scheduler is not the one that was last bound.
    Scheduler {
        /// The address of the one that was bound, 0 for none.
        bound: u64,
        /// The address of the one that is there, 0 for none.
        found: u64,
    },
}

/// A snapshot that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its tag.
    pub tag: String,
    /// The instant that it is for.
    pub boundary: GuestTime,
    /// How long the scenario has run by now, without its pauses.
    pub elapsed: Nanos,
}

impl Periodic {
    /// So many snapshots of a scenario that lasts so long.
    ///
    /// # Errors
    /// [`TooManySnapshots`] for more than [`MAX_BOUNDARIES`].
    pub fn new(count: usize, duration: Nanos) -> Result<Periodic, TooManySnapshots> {
        if count > MAX_BOUNDARIES {
            return Err(TooManySnapshots { count });
        }
        Ok(Periodic {
            count,
            duration,
            anchor: GuestTime::default(),
            ready: None,
            bound: 0,
            paused_for: Nanos::ZERO,
            paused_at: None,
            taken: 0,
        })
    }

    /// The scenario has begun then; 0 for one that has not. Only the first beginning counts.
    pub fn anchored(&mut self, at: GuestTime) {
        if self.anchor == GuestTime::default() {
            self.anchor = at;
        }
    }

    /// What snapshots need has been ready since then. Only the first time counts.
    pub fn ready(&mut self, at: GuestTime) {
        self.ready.get_or_insert(at);
    }

    /// The root scheduler at this address has been bound: snapshots show its maps. 0 for none: the kernel's own
    /// scheduler is on its own again.
    pub fn bound(&mut self, root: u64) {
        self.bound = root;
    }

    /// The scenario pauses.
    pub fn paused(&mut self, at: GuestTime) {
        self.paused_at.get_or_insert(at);
    }

    /// The scenario goes on.
    pub fn resumed(&mut self, at: GuestTime) {
        self.paused_for = self.pauses_until(at);
        self.paused_at = None;
    }

    /// What is to be done now, with the root scheduler at this address (0 for none)?
    pub fn step(&self, now: GuestTime, root: u64) -> Step {
        let window = match self.window() {
            Ok(window) => window,
            Err(deferral) => return Step::Defer(deferral),
        };
        let boundary = match boundaries(window.0.0, window.1.0, self.count).get(self.taken) {
            Some(boundary) => GuestTime(*boundary),
            None => return Step::Done,
        };
        if now < boundary {
            return Step::Wait(boundary);
        }
        if root != self.bound {
            let (bound, found) = (self.bound, root);
            return Step::Defer(Deferral::Scheduler { bound, found });
        }
        Step::Take(Due {
            tag: tag(self.taken),
            boundary,
            elapsed: self.elapsed(now),
        })
    }

    /// The snapshot that was due has been taken.
    pub fn taken(&mut self) {
        self.taken = self.taken.saturating_add(1);
    }

    /// How long the scenario has run by then, without its pauses.
    pub fn elapsed(&self, now: GuestTime) -> Nanos {
        now.since(self.anchor).saturating_sub(self.pauses_until(now))
    }

    /// Snapshots that were asked for and are not taken, by now.
    pub fn missing(&self) -> usize {
        self.count.saturating_sub(self.taken)
    }

    fn window(&self) -> Result<(GuestTime, GuestTime), Deferral> {
        if self.anchor == GuestTime::default() {
            return Err(Deferral::NoAnchor);
        }
        let ready = self.ready.ok_or(Deferral::NotReady)?;
        let end = self.anchor.0.0.saturating_add(self.duration.0);
        Ok((self.anchor.max(ready), GuestTime(Nanos(end))))
    }

    fn pauses_until(&self, now: GuestTime) -> Nanos {
        let open = self.paused_at.map_or(Nanos::ZERO, |at| now.since(at));
        Nanos(self.paused_for.0.saturating_add(open.0))
    }
}

impl fmt::Display for Deferral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deferral::NoAnchor => f.write_str("the scenario has not begun"),
            Deferral::NotReady => f.write_str("what snapshots need is not ready"),
            Deferral::Scheduler { found: 0, .. } => f.write_str("the scheduler is detached"),
            Deferral::Scheduler { bound, found } => {
                write!(
                    f,
                    "the scheduler at {found:#x} is not the one last bound, at {bound:#x}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: u64 = 0xffff_8880_1234_0000;

    fn at(seconds: u64) -> GuestTime {
        GuestTime(Nanos::from_secs(seconds))
    }

    fn seconds(start: u64, end: u64, n: usize) -> Vec<u64> {
        boundaries(Nanos::from_secs(start), Nanos::from_secs(end), n)
            .iter()
            .map(|at| at.0 / 1_000_000_000)
            .collect()
    }

    /// Three snapshots of ten seconds, at 3, 5 and 7 s behind an anchor at 100 s.
    fn three() -> Periodic {
        let mut periodic = Periodic::new(3, Nanos::from_secs(10)).unwrap();
        periodic.anchored(at(100));
        periodic.ready(at(90));
        periodic.bound(ROOT);
        periodic
    }

    fn due(periodic: &Periodic, now: u64, root: u64) -> Due {
        match periodic.step(at(now), root) {
            Step::Take(due) => due,
            other => panic!("{other:?}"),
        }
    }

    /// F1: the contract's own examples.
    #[test]
    fn boundaries_divide_the_middle_of_the_window_evenly() {
        assert_eq!(seconds(0, 10, 1), [5]);
        assert_eq!(seconds(0, 10, 3), [3, 5, 7]);
        assert_eq!(seconds(2, 12, 1), [7]);
    }

    /// F1: no boundaries where there is no room, and never a panic.
    #[test]
    fn a_window_without_room_has_no_boundaries() {
        let check =
            |start, end, n| assert_eq!(boundaries(Nanos(start), Nanos(end), n), [], "{start} {end} {n}");
        check(0, 10_000_000_000, 0);
        check(5, 5, 1);
        check(6, 5, 1);
        // A window of one: 2 instants would not differ.
        check(0, 1, 1);
        // avail 10, window 8, which has room for 7.
        check(0, 10, 8);
        assert_eq!(boundaries(Nanos(0), Nanos(10), 7).len(), 7);
        check(0, u64::MAX, usize::MAX);
        check(0, u64::MAX, MAX_BOUNDARIES + 1);
        assert_eq!(
            boundaries(Nanos(0), Nanos(u64::MAX), MAX_BOUNDARIES).len(),
            MAX_BOUNDARIES
        );
    }

    /// F2: the window begins when the scenario has begun and all is ready, and ends a duration behind the anchor.
    #[test]
    fn the_window_begins_with_the_later_of_anchor_and_readiness() {
        assert_eq!(three().step(at(100), ROOT), Step::Wait(at(103)));
        let mut late = Periodic::new(1, Nanos::from_secs(10)).unwrap();
        late.anchored(at(100));
        late.ready(at(105));
        // 5 s are left, from 105 to 110.
        let middle = GuestTime(Nanos::from_millis(107_500));
        assert_eq!(late.step(at(106), 0), Step::Wait(middle));
        let mut never = Periodic::new(1, Nanos::from_secs(10)).unwrap();
        never.anchored(at(100));
        never.ready(at(111));
        assert_eq!(never.step(at(112), 0), Step::Done);
        assert_eq!(never.missing(), 1);
    }

    /// F2: anchor 0 is put off and asked for again.
    #[test]
    fn without_an_anchor_all_is_put_off_until_there_is_one() {
        let mut periodic = Periodic::new(1, Nanos::from_secs(10)).unwrap();
        periodic.ready(at(1));
        assert_eq!(periodic.step(at(50), 0), Step::Defer(Deferral::NoAnchor));
        periodic.anchored(GuestTime::default());
        assert_eq!(periodic.step(at(51), 0), Step::Defer(Deferral::NoAnchor));
        periodic.anchored(at(52));
        assert_eq!(periodic.step(at(52), 0), Step::Wait(at(57)));
        periodic.anchored(at(99));
        assert_eq!(
            periodic.step(at(52), 0),
            Step::Wait(at(57)),
            "the first anchor counts"
        );
        let mut unready = Periodic::new(1, Nanos::from_secs(10)).unwrap();
        unready.anchored(at(1));
        assert_eq!(unready.step(at(9), 0), Step::Defer(Deferral::NotReady));
    }

    /// F2: the elapsed time that is reported is without all pauses, and without the one that is going on.
    #[test]
    fn elapsed_time_leaves_pauses_out() {
        let mut periodic = three();
        periodic.paused(at(101));
        periodic.paused(at(102));
        periodic.resumed(at(103));
        periodic.resumed(at(104));
        assert_eq!(due(&periodic, 104, ROOT).elapsed, Nanos::from_secs(2));
        periodic.paused(at(105));
        assert_eq!(due(&periodic, 106, ROOT).elapsed, Nanos::from_secs(3));
        assert_eq!(periodic.elapsed(at(50)), Nanos::ZERO);
    }

    /// F2: a boundary is put off while another scheduler, or none, is where the one last bound was.
    #[test]
    fn a_boundary_waits_for_the_scheduler_that_was_bound() {
        let mut periodic = three();
        let detached = Deferral::Scheduler {
            bound: ROOT,
            found: 0,
        };
        assert_eq!(periodic.step(at(104), 0), Step::Defer(detached));
        assert_eq!(detached.to_string(), "the scheduler is detached");
        let other = periodic.step(at(104), ROOT + 64);
        assert!(matches!(other, Step::Defer(Deferral::Scheduler { found, .. }) if found == ROOT + 64));
        periodic.bound(ROOT + 64);
        let due = due(&periodic, 105, ROOT + 64);
        assert_eq!((due.boundary, due.tag.as_str()), (at(103), "periodic_000"));
    }

    /// F2: without any scheduler bound, none is waited for.
    #[test]
    fn the_kernels_own_scheduler_needs_no_binding() {
        let mut periodic = three();
        periodic.bound(0);
        assert_eq!(due(&periodic, 103, 0).elapsed, Nanos::from_secs(3));
        assert!(matches!(
            periodic.step(at(103), ROOT),
            Step::Defer(Deferral::Scheduler { .. })
        ));
    }

    /// F2: tags are `periodic_%03d`, one a boundary.
    #[test]
    fn each_boundary_has_its_number_as_tag() {
        let mut periodic = three();
        for (now, tag) in [
            (103, "periodic_000"),
            (105, "periodic_001"),
            (109, "periodic_002"),
        ] {
            assert_eq!(due(&periodic, now, ROOT).tag, tag);
            periodic.taken();
        }
        assert_eq!(periodic.step(at(109), ROOT), Step::Done);
        assert_eq!(periodic.missing(), 0);
        assert_eq!(tag(MAX_BOUNDARIES - 1), "periodic_999");
        let refused = Periodic::new(MAX_BOUNDARIES + 1, Nanos::from_secs(1)).unwrap_err();
        assert!(refused.to_string().contains("1001"), "{refused}");
    }

    proptest! {
        /// F1: boundaries are as many as asked for or none, strictly increasing, and inside of the window.
        #[test]
        fn boundaries_increase_inside_of_the_window(start: u64, span in 0u64.., n in 0usize..1200) {
            let end = start.saturating_add(span);
            let found = boundaries(Nanos(start), Nanos(end), n);
            prop_assert!(found.is_empty() || found.len() == n);
            prop_assert!(found.is_sorted_by(|earlier, later| earlier < later));
            for at in found {
                prop_assert!(start < at.0 && at.0 < end);
            }
        }

        /// F1: short windows too, in which the instants are close.
        #[test]
        fn boundaries_increase_in_short_windows(start in 0u64..50, end in 0u64..80, n in 0usize..90) {
            let found = boundaries(Nanos(start), Nanos(end), n);
            prop_assert!(found.is_sorted_by(|earlier, later| earlier < later));
            for at in found {
                prop_assert!(start < at.0 && at.0 < end);
            }
        }

        /// F2: at any times there is an answer.
        #[test]
        fn no_times_panic(count in 0usize..1000, times: [u64; 7]) {
            let [duration, anchor, ready, paused, resumed, now, root] = times;
            let mut periodic = Periodic::new(count, Nanos(duration)).unwrap();
            let at = |ns| GuestTime(Nanos(ns));
            periodic.anchored(at(anchor));
            periodic.ready(at(ready));
            periodic.paused(at(paused));
            periodic.resumed(at(resumed));
            periodic.taken();
            let _ = periodic.step(at(now), root);
        }
    }
}
