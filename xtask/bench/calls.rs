//! The rate of calls: commands that do almost nothing in the guest, one after the other.

use std::time::Instant;

use anyhow::Result;

use crate::boot;
use crate::figure::Figure;

/// Commands in one sample: some hundredths of a second.
const COMMANDS: u64 = 500;

/// Counts calls per host second in one machine, `samples` times.
pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let kernel = boot::kernel()?;
    let mut session = boot::booted(&kernel)?;
    let mut rates = Vec::new();
    for _ in 0..samples {
        let (begin, before) = (Instant::now(), session.calls());
        for seed in 0..COMMANDS {
            session.seed(seed)?;
        }
        let calls = session.calls() - before;
        rates.push(calls as f64 / begin.elapsed().as_secs_f64());
    }
    session.finish();
    Ok(vec![Figure::of("calls.rate", "1/s", rates)?])
}
