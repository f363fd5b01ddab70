//! Rows of a series in its file: plain lists, since there are many of them.
//!
//! ```text
//! CPU     [cpu, curr, idle_since, preempted, clock, switches, all, fair, rt, dl, ext, local_dsq]
//! task    [pid, comm, cpu, allowed, since, ran]
//! ```
//! What is absent is `null`; times are nanoseconds.

use serde::{Deserialize, Serialize};
use spec::{CpuSet, GuestTime, Nanos};

use super::{CpuSample, Running, Waiter};

/// A CPU.
#[derive(Serialize, Deserialize)]
pub(super) struct CpuRow(
    u32,
    i64,
    Option<GuestTime>,
    bool,
    Nanos,
    u64,
    u64,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
);

impl From<CpuSample> for CpuRow {
    fn from(sample: CpuSample) -> CpuRow {
        let CpuSample {
            cpu,
            running:
                Running {
                    all,
                    fair,
                    rt,
                    dl,
                    ext,
                },
            curr,
            idle_since,
            preempted,
            clock,
            switches,
            local_dsq,
        } = sample;
        CpuRow(
            cpu, curr, idle_since, preempted, clock, switches, all, fair, rt, dl, ext, local_dsq,
        )
    }
}

impl From<CpuRow> for CpuSample {
    fn from(row: CpuRow) -> CpuSample {
        let CpuRow(cpu, curr, idle_since, preempted, clock, switches, all, fair, rt, dl, ext, local_dsq) =
            row;
        CpuSample {
            cpu,
            running: Running {
                all,
                fair,
                rt,
                dl,
                ext,
            },
            curr,
            idle_since,
            preempted,
            clock,
            switches,
            local_dsq,
        }
    }
}

/// A task that waits.
#[derive(Serialize, Deserialize)]
pub(super) struct WaiterRow(i64, String, u32, CpuSet, Option<u64>, Nanos);

impl From<Waiter> for WaiterRow {
    fn from(waiter: Waiter) -> WaiterRow {
        let Waiter {
            pid,
            comm,
            cpu,
            allowed,
            since,
            ran,
        } = waiter;
        WaiterRow(pid, comm, cpu, allowed, since, ran)
    }
}

impl From<WaiterRow> for Waiter {
    fn from(row: WaiterRow) -> Waiter {
        let WaiterRow(pid, comm, cpu, allowed, since, ran) = row;
        Waiter {
            pid,
            comm,
            cpu,
            allowed,
            since,
            ran,
        }
    }
}
