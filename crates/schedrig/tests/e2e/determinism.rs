//! Same seed, same execution, bit for bit; another seed, another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use schedrig::prelude::*;
use schedrig::{Record, RunSpec};

use crate::stage::{STANDARD, pass, spec};

/// Host threads that keep all CPUs busy until they are dropped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<u64>>,
}

impl Load {
    fn new() -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let count = thread::available_parallelism().map_or(2, usize::from) + 1;
        let spin = |stop: Arc<AtomicBool>| {
            move || {
                let mut n = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    n = std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
                n
            }
        };
        let threads = (0..count)
            .map(|_| thread::spawn(spin(Arc::clone(&stop))))
            .collect();
        Load { stop, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// All three kinds of work under the scheduler: timers, futexes, migrations, preemption.
fn mixed(rig: &mut Rig) -> Outcome {
    rig.cgroup("spin").cpus(Llc(0)).spawn(Spin.workers(4))?;
    rig.cgroup("burst").spawn(
        Burst {
            sleep: millis(4),
            burst: millis(1),
        }
        .workers(4),
    )?;
    rig.cgroup("ping")
        .cpus(Llc(1))
        .weight(200)
        .spawn(PingPong.workers(4))?;
    rig.run_for(secs(1))?;
    rig.finish()
}

fn seeded(scheduler: &str, seed: u64) -> RunSpec {
    RunSpec {
        seed,
        ..spec("determinism", "1n2l2c1t", STANDARD, scheduler)
    }
}

/// What differs first, for the message.
fn assert_same(one: &Record, other: &Record) {
    assert_eq!(one.evidence.console, other.evidence.console);
    assert_eq!(one.evidence.windows, other.evidence.windows);
    assert_eq!(one.evidence, other.evidence);
    assert_eq!(one.judgement, other.judgement);
    assert_eq!(one.hash, other.hash);
}

fn same_seed_same_execution(scheduler: &str) {
    let quiet = pass(&seeded(scheduler, 7), mixed);
    let load = Load::new();
    let loaded = pass(&seeded(scheduler, 7), mixed);
    let again = pass(&seeded(scheduler, 7), mixed);
    drop(load);
    assert_same(&quiet, &loaded);
    assert_same(&quiet, &again);
    let other = pass(&seeded(scheduler, 8), mixed);
    assert_ne!(quiet.hash, other.hash, "the seed reaches the execution");
    assert_ne!(
        quiet.evidence.windows, other.evidence.windows,
        "and the workers' own numbers"
    );
}

#[test]
fn eevdf_runs_are_the_same_under_host_load() {
    same_seed_same_execution("eevdf");
}

#[test]
fn scx_baton_runs_are_the_same_under_host_load() {
    same_seed_same_execution("scx_baton");
}
