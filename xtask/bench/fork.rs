//! A fork of a saved machine, compared with a cold boot: both from the start to the agent's reply to its first command.
//!
//! ```text
//! fork.copy    RAM copied and checked, while QEMU starts
//! fork.start   from then on, until QEMU's monitor takes commands
//! fork.load    device state
//! fork.ready   until the first block of guest code
//! fork.call    until the reply to the first command: the seed
//! fork.total   the whole fork     peer: a boot
//! fork.p95     95th percentile of the whole fork
//! ```

use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use machine_tcg::{Saved, TcgMachine};
use session::{Limits, Session};

use crate::boot;
use crate::figure::{Figure, Peer};

/// Saves one booted machine and forks it ten times for each sample.
pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let kernel = boot::kernel()?;
    let config = boot::config(&kernel)?;
    let directory = tempfile::tempdir().context("make a directory for the save")?;

    let begin = Instant::now();
    let mut session = boot::booted(&kernel)?;
    session.seed(1)?;
    let cold = begin.elapsed().as_secs_f64();
    session.finish();
    let begin = Instant::now();
    boot::booted(&kernel)?.save(directory.path())?;
    let save = begin.elapsed().as_secs_f64();
    let saved = Saved::open(directory.path())?;

    let mut parts: [Vec<f64>; 5] = Default::default();
    let mut totals = Vec::new();
    for seed in 0..u64::from(samples) * 10 {
        let begin = Instant::now();
        let machine = TcgMachine::fork(&config, &saved)?;
        let cost = machine.fork_cost().context("a fork reports its cost")?;
        let forked = begin.elapsed();
        let (mut session, _) = Session::start(Box::new(machine), kernel.clock, Limits::default())
            .map_err(|failed| anyhow!("the fork did not come up: {}", failed.error))?;
        session.seed(seed)?;
        let total = begin.elapsed();
        session.finish();
        let all = [cost.copy, cost.start, cost.load, cost.ready, total - forked];
        for (part, value) in parts.iter_mut().zip(all) {
            part.push(value.as_secs_f64());
        }
        totals.push(total.as_secs_f64());
    }
    let names = ["fork.copy", "fork.start", "fork.load", "fork.ready", "fork.call"];
    let mut figures = Vec::new();
    for (name, values) in names.into_iter().zip(parts) {
        figures.push(Figure::of(name, "s", values)?);
    }
    let peer = Some(Peer {
        name: "boot",
        value: cold,
    });
    figures.push(Figure {
        peer: peer.clone(),
        ..Figure::of("fork.total", "s", totals.clone())?
    });
    figures.push(Figure {
        peer,
        value: percentile(&mut totals, 95),
        ..Figure::of("fork.p95", "s", totals.clone())?
    });
    figures.push(Figure::of(
        "fork.ram",
        "MiB",
        vec![saved.ram_bytes() as f64 / f64::from(1 << 20)],
    )?);
    figures.push(Figure::of("save", "s", vec![save])?);
    Ok(figures)
}

/// The value that this percentage of the samples does not exceed.
fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    let index = (samples.len() * percent).div_ceil(100).saturating_sub(1);
    samples.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_leaves_out_the_slowest() {
        let mut samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut samples, 95), 95.0);
        assert_eq!(percentile(&mut [7.0], 95), 7.0);
    }
}
