//! `cargo xtask soak`: runs that are forked from warm machines against the same runs made cold, many of them, on a loaded host.
//!
//! Outside of CI, for its length. Each difference is a defect.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::published::Published;
use crate::{process, schedrig, setup, workspace};

/// Makes runs warm and cold, two at a time beside two busy threads, and compares their hashes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seeds of each series.
    #[arg(long, value_name = "N", default_value_t = 20)]
    seeds: u32,
    /// Only series whose name contains this.
    #[arg(value_name = "NAME")]
    only: Option<String>,
}

/// What runs on which machine; `None`: the kernel's own scheduler.
const SERIES: &[(Scheduler, &str)] = &[
    (Scheduler::Eevdf, "1n1l4c1t"),
    (Scheduler::Eevdf, "2n2l2c1t"),
    (Scheduler::Eevdf, "1n2l2c2t"),
    (Scheduler::Baton, "1n1l2c1t"),
    (Scheduler::Baton, "2n2l2c1t"),
    (
        Scheduler::Published(Published {
            name: "scx_bpfland",
            version: "1.1.4",
        }),
        "1n2l2c1t",
    ),
    (
        Scheduler::Published(Published {
            name: "scx_p2dq",
            version: "1.1.4",
        }),
        "1n1l4c1t",
    ),
    (
        Scheduler::Published(Published {
            name: "scx_p2dq",
            version: "1.1.4",
        }),
        "2n2l2c1t",
    ),
    (
        Scheduler::Published(Published {
            name: "scx_lavd",
            version: "1.1.4",
        }),
        "1n1l4c1t",
    ),
];

#[derive(Clone, Copy)]
enum Scheduler {
    Eevdf,
    /// The workspace's own.
    Baton,
    Published(Published),
}

const LOAD: &str =
    "--for 150ms --group a:spin:3,weight=200 --group b:burst/1ms/500us/30%:3 --group c:pingpong:2";
const BUILD: Duration = Duration::from_secs(40 * 60);
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// Runs `cargo xtask soak`.
pub(crate) fn exec(args: &Args) -> Result<()> {
    setup::ensure()?;
    let target = workspace::target_dir()?;
    let mut build = workspace::cargo("build --quiet --package cargo-schedrig --package scx_baton");
    process::run(&mut build, BUILD)?;
    let busy = Busy::start(2);
    let (mut runs, mut different) = (0, Vec::new());
    for (scheduler, topology) in SERIES {
        let program = scheduler.program(&target)?;
        let name = format!("{} on {topology}", program.rsplit('/').next().unwrap_or_default());
        if args
            .only
            .as_ref()
            .is_some_and(|only| !name.contains(only.as_str()))
        {
            continue;
        }
        let seeds = format!("0..{}", args.seeds);
        let sweep = |cold: bool| -> Result<BTreeSet<String>> {
            let records = target.join("soak").join(if cold { "cold" } else { "warm" });
            if records.exists() {
                std::fs::remove_dir_all(&records)?;
            }
            let mut sweep = schedrig::command(&target);
            sweep.args([
                "sweep",
                "--json",
                "--keep-all",
                "--jobs",
                "2",
                "--seeds",
                &seeds,
                "--",
            ]);
            sweep.args(["--topology", topology, "--scheduler", &program, "--name", "soak"]);
            sweep.args(LOAD.split(' ')).args(cold.then_some("--cold"));
            sweep.env("SCHEDRIG_RECORDS", &records);
            process::answer_of(&mut sweep, SWEEP, &[0, 1, 2])?;
            hashes(&records)
        };
        let (warm, cold) = (sweep(false)?, sweep(true)?);
        ensure!(!cold.is_empty(), "{name}: no run left a record");
        let equal = warm == cold;
        println!(
            "{}  {name}: {} executions of {} seeds",
            if equal { "the same" } else { "DIFFERENT" },
            warm.len(),
            args.seeds
        );
        runs += args.seeds;
        if !equal {
            different.push(name);
        }
    }
    drop(busy);
    if different.is_empty() {
        println!("{runs} runs, each warm and cold: the same executions");
        return Ok(());
    }
    bail!("warm and cold runs differ: {}", different.join(", "))
}

/// The records' names, which end in their hashes.
fn hashes(records: &Path) -> Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(records).with_context(|| format!("list {}", records.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names
        .filter(|name| !matches!(name, Ok(name) if name.starts_with('.')))
        .collect()
}

impl Scheduler {
    fn program(self, target: &Path) -> Result<String> {
        let path: PathBuf = match self {
            Scheduler::Eevdf => return Ok("eevdf".to_owned()),
            Scheduler::Baton => target.join("debug/scx_baton"),
            Scheduler::Published(published) => published.ensure(&target.join("schedulers"))?,
        };
        Ok(path.display().to_string())
    }
}

/// Threads that compute, until this is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn start(threads: u32) -> Busy {
        let stop = Arc::<AtomicBool>::default();
        for _ in 0..threads {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Busy(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
