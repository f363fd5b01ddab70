//! The worker's side of its slot: what it sees of itself, written down as it sees it.

use rustix::thread::sched_getcpu;
use spec::{GuestTime, Nanos};

use crate::clock;
use crate::gap::ClosedGap;
use crate::slot::Slot;

/// What one worker notes about itself. It keeps the window's longest gap at hand so that a shorter one costs one
/// comparison.
#[derive(Debug)]
pub struct SelfTelemetry<'s> {
    slot: &'s Slot,
    window: u64,
    longest: Nanos,
    cpu: u32,
}

impl<'s> SelfTelemetry<'s> {
    /// Telemetry of the worker whose slot is `slot`.
    pub fn new(slot: &'s Slot) -> SelfTelemetry<'s> {
        SelfTelemetry {
            slot,
            window: slot.window(),
            longest: Nanos::ZERO,
            cpu: current_cpu(),
        }
    }

    /// Waits until the agent opens the gate.
    pub fn wait_at_gate(&mut self) {
        self.slot.wait_at_gate();
    }

    /// Notes that the worker runs now: closes the gap since it wanted to, and it wants to run on. Returns now.
    pub fn stamp(&mut self) -> GuestTime {
        let (now, cpu) = (clock::now(), current_cpu());
        self.see(now, cpu);
        now
    }

    /// Counts one more unit of work.
    pub fn count(&mut self) {
        self.slot.count_unit();
    }

    /// Notes that the worker wants to run again only from `since` on, as one that is about to sleep does.
    pub fn want_from(&mut self, since: GuestTime) {
        self.slot.set_wants_since(Some(since));
    }

    pub(crate) fn slot(&self) -> &'s Slot {
        self.slot
    }

    fn see(&mut self, now: GuestTime, cpu: u32) {
        let window = self.slot.window();
        if window != self.window {
            self.window = window;
            self.longest = Nanos::ZERO;
        }
        if let Some(since) = self.slot.wants_since() {
            let span = now.since(since);
            if span > self.longest {
                self.longest = span;
                self.slot.record_gap(
                    window,
                    ClosedGap {
                        span,
                        from: since,
                        cpu: self.cpu,
                    },
                );
            }
        }
        self.slot.saw_cpu(cpu);
        self.cpu = cpu;
        self.slot.set_wants_since(Some(now));
    }
}

fn current_cpu() -> u32 {
    u32::try_from(sched_getcpu()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> GuestTime {
        GuestTime(Nanos(ns))
    }

    /// The longest gap that is on record after the worker wanted to run from the first instant on and saw
    /// itself at the others.
    fn recorded(slot: &Slot, seen: &[(u64, u32)]) -> Option<(u64, u64, u32)> {
        let mut telemetry = SelfTelemetry::new(slot);
        for (now, cpu) in seen {
            telemetry.see(at(*now), *cpu);
        }
        slot.read()
            .closed_gap
            .map(|gap| (gap.span.0, gap.from.0.0, gap.cpu))
    }

    #[test]
    fn the_longest_gap_names_its_beginning_and_the_cpu_before_it() {
        let slot = Slot::new();
        slot.open(at(100));
        let gap = recorded(&slot, &[(110, 1), (120, 2), (170, 3), (190, 4)]);
        assert_eq!(gap, Some((50, 120, 2)));
    }

    #[test]
    fn time_before_a_wanted_instant_is_no_gap() {
        let slot = Slot::new();
        let mut telemetry = SelfTelemetry::new(&slot);
        telemetry.see(at(10), 0);
        telemetry.want_from(at(500));
        assert_eq!(slot.read().closed_gap, None);
        telemetry.see(at(503), 0);
        assert_eq!(slot.read().closed_gap.map(|gap| gap.span.0), Some(3));
    }

    #[test]
    fn a_gap_belongs_to_the_window_in_which_it_ends() {
        let slot = Slot::new();
        let mut telemetry = SelfTelemetry::new(&slot);
        slot.open(at(1));
        telemetry.see(at(10), 0);
        slot.begin_window();
        telemetry.see(at(12), 0);
        assert_eq!(slot.read().closed_gap.map(|gap| gap.span.0), Some(2));
    }

    #[test]
    fn every_cpu_is_noted() {
        let slot = Slot::new();
        recorded(&slot, &[(1, 0), (2, 9), (3, 0)]);
        assert_eq!(slot.read().cpus, [0, 9].into_iter().collect());
    }
}
