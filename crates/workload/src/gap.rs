//! Gaps: times in which a worker wanted to run and did not.
//!
//! A worker records a gap when it is over, that is when it runs again. The one that is still open when a
//! window ends is added by the reader, because the worker cannot.

use std::sync::atomic::{AtomicU64, Ordering};

use spec::{Gap, GuestTime, Nanos};

/// A gap that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedGap {
    /// How long it was.
    pub span: Nanos,
    /// When it began.
    pub from: GuestTime,
    /// The CPU on which the worker had last seen itself.
    pub cpu: u32,
}

/// The longest gap of a window that ends at `now`: the longest that is over, or the one that is open.
///
/// `wants_since` is the instant since when the worker wants to run (`None`: it does not), `last_cpu` where it
/// was last. A worker that wants to run only later, as one that sleeps does, has no open gap.
pub fn longest(
    closed: Option<ClosedGap>,
    wants_since: Option<GuestTime>,
    now: GuestTime,
    last_cpu: u32,
) -> Option<Gap> {
    let closed = closed.map(|gap| Gap {
        span: gap.span,
        from: gap.from,
        cpu: gap.cpu,
        open: false,
    });
    let open = wants_since.filter(|since| *since < now).map(|since| Gap {
        span: now.since(since),
        from: since,
        cpu: last_cpu,
        open: true,
    });
    match (closed, open) {
        (Some(closed), Some(open)) if open.span > closed.span => Some(open),
        (Some(closed), _) => Some(closed),
        (None, open) => open,
    }
}

/// The most tries of a reader to read a record that is not replaced meanwhile. The writer replaces one only when a
/// gap was longer than all before in its window, so that a second try is rare and a third rarer.
const MAX_READS: u32 = 16;

/// The longest closed gap of one window, written by the worker, read by the agent at any time.
///
/// Two records in turn: the writer fills the one that is not published, then publishes it. A writer that is
/// preempted for ever in the middle therefore hides nothing.
#[derive(Debug, Default)]
pub(crate) struct GapCell {
    /// Counts the records written; the published one is `records[published % 2]`; 0 = none yet.
    published: AtomicU64,
    records: [GapRecord; 2],
}

#[derive(Debug, Default)]
struct GapRecord {
    window: AtomicU64,
    span: AtomicU64,
    from: AtomicU64,
    cpu: AtomicU64,
}

impl GapCell {
    /// Replaces the record. Only the worker itself calls this.
    pub(crate) fn write(&self, window: u64, gap: ClosedGap) {
        let next = self.published.load(Ordering::Relaxed) + 1;
        let record = &self.records[(next % 2) as usize];
        record.window.store(window, Ordering::Release);
        record.span.store(gap.span.0, Ordering::Release);
        record.from.store(gap.from.0.0, Ordering::Release);
        record.cpu.store(u64::from(gap.cpu), Ordering::Release);
        self.published.store(next, Ordering::Release);
    }

    /// The record, if it is one of `window`.
    pub(crate) fn read(&self, window: u64) -> Option<ClosedGap> {
        let mut found = None;
        for _ in 0..MAX_READS {
            let published = self.published.load(Ordering::Acquire);
            if published == 0 {
                return None;
            }
            let record = &self.records[(published % 2) as usize];
            let of = record.window.load(Ordering::Acquire);
            let gap = ClosedGap {
                span: Nanos(record.span.load(Ordering::Acquire)),
                from: GuestTime(Nanos(record.from.load(Ordering::Acquire))),
                cpu: record.cpu.load(Ordering::Acquire) as u32,
            };
            found = (of == window).then_some(gap);
            if self.published.load(Ordering::Acquire) == published {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> GuestTime {
        GuestTime(Nanos(ns))
    }

    fn closed(span: u64) -> ClosedGap {
        ClosedGap {
            span: Nanos(span),
            from: at(10),
            cpu: 3,
        }
    }

    #[test]
    fn the_longer_of_the_closed_and_the_open_gap_counts() {
        let check = |recorded: Option<u64>, wants: Option<u64>, expect: Option<(u64, bool)>| {
            let gap = longest(recorded.map(closed), wants.map(at), at(100), 7);
            assert_eq!(
                gap.map(|gap| (gap.span.0, gap.open)),
                expect,
                "{recorded:?} {wants:?}"
            );
        };
        check(None, None, None);
        check(Some(5), None, Some((5, false)));
        check(Some(5), Some(99), Some((5, false)));
        check(Some(5), Some(90), Some((10, true)));
        check(None, Some(40), Some((60, true)));
    }

    #[test]
    fn who_wants_to_run_later_has_no_open_gap() {
        assert_eq!(longest(None, Some(at(100)), at(100), 0), None);
        assert_eq!(longest(None, Some(at(101)), at(100), 0), None);
    }

    #[test]
    fn an_open_gap_names_where_the_worker_was_last() {
        let gap = longest(Some(closed(1)), Some(at(0)), at(100), 7);
        assert_eq!(gap.map(|gap| (gap.cpu, gap.from)), Some((7, at(0))));
    }

    #[test]
    fn a_record_of_another_window_is_not_this_ones() {
        let cell = GapCell::default();
        assert_eq!(cell.read(1), None);
        cell.write(1, closed(5));
        cell.write(1, closed(9));
        assert_eq!(cell.read(1), Some(closed(9)));
        assert_eq!(cell.read(2), None);
    }

    #[test]
    fn a_reader_sees_whole_records_only() {
        const LAST: u64 = 20_000;
        let record = |n: u64| ClosedGap {
            span: Nanos(n),
            from: at(n * 2),
            cpu: (n % 240) as u32,
        };
        let cell = GapCell::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..=LAST {
                    cell.write(1, record(n));
                    // No worker finds two longer gaps faster than this.
                    (0..100).for_each(|_| std::hint::spin_loop());
                }
            });
            let mut seen = 0;
            while seen < LAST {
                let Some(gap) = cell.read(1) else { continue };
                assert_eq!(gap, record(gap.span.0));
                assert!(gap.span.0 >= seen, "{} after {seen}", gap.span.0);
                seen = gap.span.0;
            }
        });
    }
}
