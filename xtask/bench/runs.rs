//! Runs over seeds, with and without making the next fork while one runs.
//!
//! ```text
//! run.warm     a run of one guest second at four CPUs, its fork made ahead      peer: a fork made on demand
//! ```

use std::time::Instant;

use anyhow::Result;
use schedrig::prelude::*;
use schedrig::{Keep, RunSpec, Setup};

use crate::boot::TOPOLOGY;
use crate::figure::{Figure, Peer};

/// Seeds of each series.
const ROW: u64 = 5;

/// Runs one series of each kind for each sample, in turn.
pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let mut spec = RunSpec::new("bench", TOPOLOGY.parse()?)?;
    spec.keep = Keep::None;
    let setup = Setup::new(spec, &mut |_| {})?;
    setup.run(0, &mut |_| {}, scenario)?;
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    for sample in 0..u64::from(samples) {
        let first = 1 + sample * ROW;
        for seed in first..first + ROW {
            let begin = Instant::now();
            if seed + 1 < first + ROW {
                setup.prepare(seed + 1);
            }
            setup.run(seed, &mut |_| {}, scenario)?;
            // The first run of a series has no fork made ahead.
            if seed > first {
                warm.push(begin.elapsed().as_secs_f64());
            }
        }
        for seed in first..first + ROW {
            let begin = Instant::now();
            setup.run(seed, &mut |_| {}, scenario)?;
            cold.push(begin.elapsed().as_secs_f64());
        }
    }
    let mut figure = Figure::of("run.warm", "s", warm)?;
    figure.peer = Some(Peer {
        name: "cold",
        value: Figure::of("run.cold", "s", cold)?.value,
    });
    Ok(vec![figure])
}

fn scenario(rig: &mut Rig) -> Outcome {
    rig.cgroup("a").spawn(Spin.workers(4))?;
    rig.run_for(secs(1))?;
    rig.finish()
}
