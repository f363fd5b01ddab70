//! What a worker and the agent share: 256 bytes of atomics, one slot a worker.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spec::{CpuSet, GuestTime, MAX_CPUS, Nanos};

use crate::futex;
use crate::gap::{ClosedGap, GapCell};
use crate::scratch::Scratch;

/// `wants_since` of a worker that does not want to run: nothing has run at the very start of the clock.
const WANTS_NOTHING: u64 = 0;

const WORD_BITS: u32 = u64::BITS;
const CPU_WORDS: usize = MAX_CPUS.div_ceil(WORD_BITS) as usize;

/// The gate's states.
const CLOSED: u32 = 0;
const OPEN: u32 = 1;

/// One worker's slot. It has cache lines of its own, so that workers do not slow each other down by counting. A new slot
/// is all zeroes; its gate is closed.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Slot {
    /// The futex at which a new worker waits.
    gate: AtomicU32,
    /// 1 once the worker waits there.
    arrived: AtomicU32,
    /// The number of the window that runs now.
    window: AtomicU64,
    /// Nanoseconds of `CLOCK_MONOTONIC`, or [`WANTS_NOTHING`].
    wants_since: AtomicU64,
    work_units: AtomicU64,
    /// Bit n: seen on CPU n since the window began.
    cpus: [AtomicU64; CPU_WORDS],
    gap: GapCell,
    /// What the work shares between the workers of a team, in the slot of the team's first worker.
    pub(crate) scratch: Scratch,
}

/// A slot's content at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Work units since the worker began.
    pub work_units: u64,
    /// The CPUs on which it saw itself in this window.
    pub cpus: CpuSet,
    /// Its longest gap that ended in this window.
    pub closed_gap: Option<ClosedGap>,
    /// Since when it wants to run, if it does; may lie in the future.
    pub wants_since: Option<GuestTime>,
}

impl Slot {
    /// A new slot before a closed gate.
    pub fn new() -> Slot {
        Slot::default()
    }

    /// Agent: begins the next window. CPUs and gaps that were seen before it are forgotten, work units are counted on.
    pub fn begin_window(&self) {
        for word in &self.cpus {
            word.store(0, Ordering::Relaxed);
        }
        self.window.fetch_add(1, Ordering::Release);
    }

    /// Agent: takes the time from `begin` to `end`, in which the agent itself kept a CPU busy, out of the worker's open gap.
    pub fn forgive(&self, begin: GuestTime, end: GuestTime) {
        let forgiven = |since: u64| match since {
            WANTS_NOTHING => None,
            since if since <= begin.0.0 => Some(since + end.since(begin).0),
            since if since < end.0.0 => Some(end.0.0),
            _ => None,
        };
        // One try is enough: where it fails the worker has just stamped, and wants to run since then only.
        let since = self.wants_since.load(Ordering::Acquire);
        if let Some(later) = forgiven(since) {
            let _ = self
                .wants_since
                .compare_exchange(since, later, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Agent: opens the gate. From `now` on the worker wants to run, whether it gets to or not.
    pub fn open(&self, now: GuestTime) {
        self.set_wants_since(Some(now));
        self.gate.store(OPEN, Ordering::Release);
        futex::wake(&self.gate);
    }

    /// Agent: has the worker reached the gate?
    pub fn has_arrived(&self) -> bool {
        self.arrived.load(Ordering::Acquire) != 0
    }

    /// Agent: work units since the worker began.
    pub fn work_units(&self) -> u64 {
        self.work_units.load(Ordering::Relaxed)
    }

    /// Agent: reads everything at once, of the window that runs.
    pub fn read(&self) -> Reading {
        let bits = |(word, bits): (u32, u64)| {
            (0..WORD_BITS)
                .filter(move |bit| bits >> bit & 1 != 0)
                .map(move |bit| word * WORD_BITS + bit)
        };
        Reading {
            work_units: self.work_units(),
            cpus: (0..)
                .zip(self.cpus.iter().map(|word| word.load(Ordering::Relaxed)))
                .flat_map(bits)
                .collect(),
            closed_gap: self.gap.read(self.window()),
            wants_since: self.wants_since(),
        }
    }

    /// Worker: waits until the gate is open.
    pub(crate) fn wait_at_gate(&self) {
        self.arrived.store(1, Ordering::Release);
        futex::wake(&self.arrived);
        while self.gate.load(Ordering::Acquire) == CLOSED {
            futex::wait(&self.gate, CLOSED);
        }
    }

    pub(crate) fn window(&self) -> u64 {
        self.window.load(Ordering::Acquire)
    }

    pub(crate) fn wants_since(&self) -> Option<GuestTime> {
        let ns = self.wants_since.load(Ordering::Acquire);
        (ns != WANTS_NOTHING).then_some(GuestTime(Nanos(ns)))
    }

    /// Worker, or the partner that wakes it: notes since when the worker wants to run.
    pub(crate) fn set_wants_since(&self, since: Option<GuestTime>) {
        let ns = since.map_or(WANTS_NOTHING, |since| since.0.0);
        self.wants_since.store(ns, Ordering::Release);
    }

    /// Worker: notes that it does not want to run any more, unless a partner has noted meanwhile since when it does.
    pub(crate) fn stop_wanting(&self, since: GuestTime) {
        let _ =
            self.wants_since
                .compare_exchange(since.0.0, WANTS_NOTHING, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(crate) fn saw_cpu(&self, cpu: u32) {
        let (word, bit) = ((cpu / WORD_BITS) as usize, 1 << (cpu % WORD_BITS));
        if let Some(word) = self.cpus.get(word)
            && word.load(Ordering::Relaxed) & bit == 0
        {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_unit(&self) {
        // The worker is the only writer: no locked instruction needed.
        let units = self.work_units.load(Ordering::Relaxed);
        self.work_units.store(units + 1, Ordering::Relaxed);
    }

    pub(crate) fn record_gap(&self, window: u64, gap: ClosedGap) {
        self.gap.write(window, gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_the_agent_took_is_no_part_of_a_gap() {
        let at = |ns| GuestTime(Nanos(ns));
        let check = |since: u64, expect: u64| {
            let slot = Slot::new();
            slot.set_wants_since(Some(at(since)));
            slot.forgive(at(100), at(130));
            assert_eq!(slot.wants_since(), Some(at(expect)), "since {since}");
        };
        check(40, 70);
        check(100, 130);
        check(110, 130);
        check(130, 130);
        check(200, 200);
        let slot = Slot::new();
        slot.forgive(at(100), at(130));
        assert_eq!(slot.wants_since(), None);
    }

    #[test]
    fn every_cpu_of_the_largest_machine_has_a_bit() {
        let slot = Slot::new();
        (0..MAX_CPUS).for_each(|cpu| slot.saw_cpu(cpu));
        assert_eq!(slot.read().cpus, (0..MAX_CPUS).collect());
        slot.saw_cpu(u32::MAX);
    }

    #[test]
    fn a_new_window_forgets_cpus_and_gaps_and_goes_on_counting() {
        let slot = Slot::new();
        slot.begin_window();
        slot.saw_cpu(5);
        slot.count_unit();
        slot.record_gap(
            slot.window(),
            ClosedGap {
                span: Nanos(1),
                from: GuestTime::default(),
                cpu: 0,
            },
        );
        assert!(slot.read().closed_gap.is_some());
        slot.begin_window();
        let reading = slot.read();
        assert_eq!((reading.work_units, reading.closed_gap), (1, None));
        assert!(reading.cpus.is_empty());
    }

    #[test]
    fn a_worker_wants_to_run_from_the_opening_of_its_gate_on() {
        let slot = Slot::new();
        assert_eq!(slot.read().wants_since, None);
        let now = GuestTime(Nanos(7));
        slot.open(now);
        assert_eq!(slot.read().wants_since, Some(now));
    }

    #[test]
    fn a_worker_that_stops_wanting_keeps_what_a_partner_noted_meanwhile() {
        let (own, partners) = (GuestTime(Nanos(1)), GuestTime(Nanos(2)));
        let slot = Slot::new();
        slot.set_wants_since(Some(own));
        slot.stop_wanting(own);
        assert_eq!(slot.wants_since(), None);
        slot.set_wants_since(Some(partners));
        slot.stop_wanting(own);
        assert_eq!(slot.wants_since(), Some(partners));
    }

    #[test]
    fn a_slot_shares_no_cache_line() {
        assert_eq!(size_of::<Slot>() % 128, 0);
    }
}
