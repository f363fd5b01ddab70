//! The cost of observation during a run.
//!
//! ```text
//! observe.monitor    a loaded run of two guest seconds at four CPUs, monitored      peer: the same run without a monitor
//! observe.snapshot   a snapshot of it, for the record
//! observe.sample     one sample of the monitor, at a tick
//! observe.hook       one hit of a hook with an empty closure: a run with the hook minus a run without, by hits
//! observe.watch      the same for a watch
//! ```

use std::time::Instant;

use anyhow::{Result, ensure};
use observe::monitor::read_sample;
use schedrig::prelude::*;
use schedrig::{Instrument, Keep, RunSpec, Setup};

use crate::boot::TOPOLOGY;
use crate::figure::{Figure, Peer, millis};

/// A function and a variable that are hit often under load.
const FUNCTION: &str = "update_curr";
const NUMBER: &str = "runqueues[0].clock";
/// Samples taken of one frozen machine.
const SHOTS: u32 = 4;

/// Executes each run `samples` times, in turn with the run that it is compared with.
pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let plain = setup(false)?;
    let monitored = setup(true)?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let (mut hooks, mut watches) = (Vec::new(), Vec::new());
    let (mut shots, mut reads) = (Vec::new(), Vec::new());
    for seed in 0..u64::from(samples) {
        let base = timed(&plain, seed, |_| Ok(None))?.0;
        without.push(base);
        with.push(timed(&monitored, seed, |_| Ok(None))?.0);
        let (took, hits) = timed(&plain, seed, |rig| {
            let hook = rig.hook(FUNCTION, HitFilter::Always, HitAction::call(|_, _| {}))?;
            Ok(Some(Instrument::Hook(hook)))
        })?;
        hooks.push(each(took - base, hits)?);
        let (took, hits) = timed(&plain, seed, |rig| {
            let watch = rig.watch(NUMBER, When::Changed, HitAction::call(|_, _| {}))?;
            Ok(Some(Instrument::Watch(watch)))
        })?;
        watches.push(each(took - base, hits)?);
        plain.run(seed, &mut |_| {}, |rig| {
            load(rig)?;
            rig.run_for(millis_of_guest(100))?;
            for shot in 0..SHOTS {
                shots.push(millis(|| Ok(rig.snapshot(&format!("bench-{shot}"))?))?);
                let now = rig.now();
                let kernel = rig.kernel()?;
                reads.push(millis(|| Ok(read_sample(&kernel, now)?))?);
            }
            rig.finish()
        })?;
    }
    let mut monitor = Figure::of("observe.monitor", "s", with)?;
    monitor.peer = Some(Peer {
        name: "unmonitored",
        value: Figure::of("observe.unmonitored", "s", without)?.value,
    });
    Ok(vec![
        monitor,
        Figure::of("observe.snapshot", "ms", shots)?,
        Figure::of("observe.sample", "ms", reads)?,
        Figure::of("observe.hook", "us", hooks)?,
        Figure::of("observe.watch", "us", watches)?,
    ])
}

fn setup(monitor: bool) -> Result<Setup> {
    let mut spec = RunSpec::new("bench", TOPOLOGY.parse()?)?;
    spec.keep = Keep::None;
    spec.monitor = monitor;
    let setup = Setup::new(spec, &mut |_| {})?;
    setup.ready(&mut |_| {})?;
    Ok(setup)
}

fn load(rig: &mut Rig) -> Outcome {
    rig.cgroup("a").spawn(Spin.workers(8))?;
    Ok(())
}

fn millis_of_guest(ms: u64) -> Nanos {
    schedrig::millis(ms)
}

/// The host seconds of two guest seconds, and the hits of the instrument.
fn timed(
    setup: &Setup,
    seed: u64,
    instrument: impl FnOnce(&mut Rig) -> Result<Option<Instrument>, schedrig::BodyError>,
) -> Result<(f64, u64)> {
    let (mut took, mut hits) = (0.0, 0);
    let finished = setup.run(seed, &mut |_| {}, |rig| {
        load(rig)?;
        let instrument = instrument(rig)?;
        let begin = Instant::now();
        rig.run_for(secs(2))?;
        took = begin.elapsed().as_secs_f64();
        hits = match instrument {
            Some(Instrument::Hook(hook)) => rig.hook_hits(hook)?,
            Some(Instrument::Watch(watch)) => rig.watch_hits(watch)?,
            None => 0,
        };
        rig.finish()
    })?;
    ensure!(
        finished.record.verdict() == schedrig::Verdict::Pass,
        "a run did not pass"
    );
    Ok((took, hits))
}

/// Microseconds for each hit.
fn each(seconds: f64, hits: u64) -> Result<f64> {
    ensure!(hits > 100, "hit {hits} times only");
    Ok(seconds * 1e6 / hits as f64)
}
