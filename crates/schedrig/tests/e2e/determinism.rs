//! Same seed, same execution, bit for bit; another seed, another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use schedrig::prelude::*;
use schedrig::{Record, RunSpec, Setup, Verdict};

use crate::stage::{STANDARD, of_verdict, spec};

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

/// All kinds of work under the scheduler: timers, futexes, migrations, preemption, lengths that the seed decides.
fn mixed(rig: &mut Rig) -> Outcome {
    let burst = Burst {
        sleep: millis(4),
        burst: millis(1),
    };
    rig.cgroup("spin").cpus(Llc(0)).spawn(Spin.workers(4))?;
    rig.cgroup("burst").spawn(burst.workers(4))?;
    rig.cgroup("jitter").spawn(burst.jitter(20)?.workers(2))?;
    rig.cgroup("ping")
        .cpus(Llc(1))
        .weight(200)
        .spawn(PingPong.workers(4))?;
    rig.run_for(millis(600))?;
    rig.finish()
}

/// What differs first, for the message.
fn assert_same(one: &Record, other: &Record) {
    if let Some(difference) = report::first_difference(one, other) {
        panic!("not the same execution: {difference}");
    }
    assert_eq!(one.hash, other.hash);
}

fn run(setup: &Setup, seed: u64) -> Record {
    of_verdict(Verdict::Pass, setup.run(seed, &mut |_| {}, mixed).unwrap().record)
}

/// Five forks of one seed, two of them under host load, two at the same time; one more cold; five forks of others.
fn same_seed_same_execution(scheduler: &str) {
    let setup = Setup::new(spec("determinism", "1n2l2c1t", STANDARD, scheduler), &mut |_| {}).unwrap();
    let quiet = run(&setup, 7);
    let load = Load::new();
    assert_same(&quiet, &run(&setup, 7));
    assert_same(&quiet, &run(&setup, 7));
    drop(load);
    thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| run(&setup, 7)));
        for again in both {
            assert_same(&quiet, &again.join().unwrap());
        }
    });
    let cold = RunSpec {
        warm: false,
        ..spec("determinism", "1n2l2c1t", STANDARD, scheduler)
    };
    assert_same(&quiet, &run(&Setup::new(cold, &mut |_| {}).unwrap(), 7));
    let mut hashes: Vec<_> = (8..12).map(|seed| run(&setup, seed)).collect();
    assert_ne!(
        quiet.evidence.windows, hashes[0].evidence.windows,
        "the seed reaches the workers' own numbers"
    );
    hashes.push(quiet);
    let mut hashes: Vec<_> = hashes.iter().map(|record| record.hash.to_string()).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 5, "five seeds are five executions");
}

#[test]
fn eevdf_forks_of_a_seed_are_the_same_execution() {
    same_seed_same_execution("eevdf");
}

#[test]
fn scx_baton_forks_of_a_seed_are_the_same_execution() {
    same_seed_same_execution("scx_baton");
}

/// `SCHEDRIG_TEST_BPFLAND` names a `scx_bpfland` from crates.io; `cargo xtask test` installs one and sets it.
#[test]
fn forks_of_a_seed_under_a_scheduler_from_crates_io_are_the_same_execution() {
    let Ok(program) = std::env::var("SCHEDRIG_TEST_BPFLAND") else {
        println!("skipped: SCHEDRIG_TEST_BPFLAND names no scx_bpfland; `cargo xtask test` installs one");
        return;
    };
    same_seed_same_execution(&program);
}
