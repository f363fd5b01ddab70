//! User and system time, as the kernel tells them: the ticks' proportion, applied to the time that was really run.

use crate::{Object, ReadError};

/// Times in ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    /// In programs.
    pub utime: u64,
    /// In the kernel.
    pub stime: u64,
}

/// `cputime_adjust()`: what the kernel would tell now of ticks `sampled` and a run time of `rtime` ns, having told
/// `prev` before. It never tells less than before.
pub(crate) fn adjust(sampled: CpuTime, rtime: u64, prev: CpuTime) -> CpuTime {
    if prev.stime.saturating_add(prev.utime) >= rtime {
        return prev;
    }
    let stime = match (sampled.stime, sampled.utime) {
        (0, _) => 0,
        (_, 0) => rtime,
        (stime, utime) => {
            let whole = u128::from(stime) + u128::from(utime);
            (u128::from(stime) * u128::from(rtime) / whole) as u64
        }
    };
    // The sum is `rtime`, and neither part shrinks.
    let stime = stime.clamp(prev.stime, rtime);
    let utime = rtime - stime;
    if utime < prev.utime {
        return CpuTime {
            utime: prev.utime,
            stime: rtime - prev.utime,
        };
    }
    CpuTime { utime, stime }
}

/// `task_cputime_adjusted()` of a `struct task_struct`, in kernels that count by ticks.
pub(super) fn of_task(task: &Object<'_>) -> Result<CpuTime, ReadError> {
    let sampled = CpuTime {
        utime: task.u64("utime")?,
        stime: task.u64("stime")?,
    };
    let rtime = task.u64("se.sum_exec_runtime")?;
    Ok(adjust(sampled, rtime, prev(task)?))
}

/// What the kernel told last: a `struct prev_cputime`.
pub(crate) fn prev(of: &Object<'_>) -> Result<CpuTime, ReadError> {
    Ok(CpuTime {
        utime: of.u64("prev_cputime.utime")?,
        stime: of.u64("prev_cputime.stime")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(utime: u64, stime: u64) -> CpuTime {
        CpuTime { utime, stime }
    }

    #[test]
    fn the_time_run_is_split_as_the_ticks_were() {
        assert_eq!(adjust(time(30, 10), 400, time(0, 0)), time(300, 100));
        assert_eq!(adjust(time(4, 0), 7, time(0, 0)), time(7, 0));
        assert_eq!(adjust(time(0, 4), 7, time(0, 0)), time(0, 7));
        assert_eq!(adjust(time(0, 0), 7, time(0, 0)), time(7, 0));
    }

    #[test]
    fn neither_part_ever_shrinks() {
        assert_eq!(adjust(time(1, 1), 100, time(80, 10)), time(80, 20));
        assert_eq!(adjust(time(1, 1), 100, time(10, 80)), time(20, 80));
        assert_eq!(adjust(time(1, 1), 50, time(40, 10)), time(40, 10));
    }

    #[test]
    fn absurd_times_do_not_overflow() {
        let most = u64::MAX;
        assert_eq!(adjust(time(most, most), most, time(most, most)), time(most, most));
        let split = adjust(time(most, most), most, time(0, 0));
        assert_eq!(split.utime + split.stime, most);
    }
}
