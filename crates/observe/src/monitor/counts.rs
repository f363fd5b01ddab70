//! What the kernel counts of its scheduling: `schedstat` of each CPU, and the events of sched_ext.

use introspect::GuestKernel;
use introspect::sched::{Rq, Scx};
use record::Counts;

/// Counts of a CPU: `struct rq` has them with `CONFIG_SCHEDSTATS`, the last three always.
const OF_A_CPU: [&str; 8] = [
    "yld_count",
    "sched_count",
    "sched_goidle",
    "ttwu_count",
    "ttwu_local",
    "nr_switches",
    "rq_sched_info.run_delay",
    "rq_sched_info.pcount",
];

/// The counts since boot of a kernel that stands still. A count that cannot be read is left out.
pub(super) fn read_counts(kernel: &GuestKernel<'_>) -> Counts {
    let mut all = Counts::new();
    for rq in Rq::all(kernel).unwrap_or_default() {
        let Ok(cpu) = rq.cpu() else { continue };
        let counts = OF_A_CPU.iter().filter_map(|name| {
            let count = rq.object().u64(name).ok()?;
            Some(((*name).to_owned(), count.cast_signed()))
        });
        all.insert(format!("cpu{cpu}"), counts.collect());
    }
    for sched in Scx::of(kernel).scheds().unwrap_or_default() {
        if let (Ok(of), Ok(events)) = (sched.name(), sched.events()) {
            all.insert(of, events.into_iter().collect());
        }
    }
    all
}
