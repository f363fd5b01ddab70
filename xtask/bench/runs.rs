//! Runs over seeds, as duplicates of a warm machine and as cold forks.
//!
//! ```text
//! run.warm     a run of one guest second at four CPUs, judged, not kept      peer: the same run, cold
//! ```

use std::time::Instant;

use anyhow::Result;
use schedrig::prelude::*;
use schedrig::{Keep, RunSpec, Setup};

use crate::boot::TOPOLOGY;
use crate::figure::{Figure, Peer};

/// Seeds of each sample.
const ROW: u64 = 5;

/// Runs each seed both ways, in turn.
pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let mut spec = RunSpec::new("bench", TOPOLOGY.parse()?)?;
    spec.keep = Keep::None;
    let cold = RunSpec {
        warm: false,
        ..spec.clone()
    };
    let [warm, cold] = [spec, cold].map(|spec| Setup::new(spec, &mut |_| {}));
    let (setups, mut seconds) = ([warm?, cold?], [Vec::new(), Vec::new()]);
    // The first warm run makes the warm machine.
    setups[0].run(0, &mut |_| {}, scenario)?;
    for seed in 1..=u64::from(samples) * ROW {
        for (setup, seconds) in setups.iter().zip(&mut seconds) {
            let begin = Instant::now();
            setup.run(seed, &mut |_| {}, scenario)?;
            seconds.push(begin.elapsed().as_secs_f64());
        }
    }
    let [warm, cold] = seconds;
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
