//! The kernel's coarse clock, in which the watchdog of sched_ext and the load balancer count.

use crate::{GuestKernel, ReadError};

/// `jiffies`: ticks since boot, from a start that is not zero.
pub fn jiffies(kernel: &GuestKernel<'_>) -> Result<u64, ReadError> {
    kernel.read_symbol_u64("jiffies")
}

/// `TICK_NSEC`: the ns of a jiffy. A constant of the kernel's build that no type tells; `clocksource_jiffies` counts
/// ns by it, as `mult >> shift`.
pub fn ns_per_jiffy(kernel: &GuestKernel<'_>) -> Result<u64, ReadError> {
    let clock = kernel.variable("clocksource_jiffies", "clocksource")?;
    let (mult, shift) = (clock.u64("mult")?, clock.u64("shift")?);
    match u32::try_from(shift)
        .ok()
        .and_then(|shift| mult.checked_shr(shift))
    {
        // From 10 kHz to 24 Hz.
        Some(ns @ 100_000..=42_000_000) => Ok(ns),
        _ => {
            let why = format!("a tick of {mult} >> {shift} ns");
            Err(ReadError::out_of_range("clocksource_jiffies.mult", mult, why))
        }
    }
}

/// The ns from a time in jiffies until now; below zero for one to come.
pub(crate) fn age(kernel: &GuestKernel<'_>, then: u64) -> Result<i64, ReadError> {
    let since = jiffies(kernel)?.wrapping_sub(then).cast_signed();
    let ns = ns_per_jiffy(kernel)?.cast_signed();
    Ok(since.saturating_mul(ns))
}
