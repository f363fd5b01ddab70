//! Runs that begin as duplicates of a warm machine, compared with runs that begin as they did before: as cold forks of the booted
//! machine, which start the scheduler themselves. Both in turn, in one process; nothing of it is judged or kept.
//!
//! ```text
//! warm.fork      until the reply to the first command                          peer: cold
//! warm.twin      of that, the duplicate alone
//! warm.off       of the run of 10 ms, ending its machine
//! warm.run10     a whole run of 10 ms of guest time, four busy CPUs            peer: cold
//! warm.run200    a whole run of 200 ms                                         peer: cold
//! warm.baton     the same under scx_baton                                      peer: cold
//! warm.given     the same under the scheduler that SCHEDRIG_BENCH_SCHEDULER names    peer: cold
//! warm.held      memory that a duplicate takes before it runs (PSS, of 10 at a time)
//! warm.layer     making the warm machine: a cold fork that warms up
//! ```

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use machine::{Machine as _, MachineConfig};
use machine_tcg::{Saved, TcgConfig, TcgMachine, TcgOptions};
use schedrig::{GroupName, Nanos, Op, PreparedKernel, Weight, op};
use session::{Limits, Program, Session, Standing, Start, Status};
use spec::{CgroupSpec, Work, Workers};
use tempfile::TempDir;

use crate::boot;
use crate::figure::{Figure, Peer};

const TOPOLOGY: &str = "1n1l4c1t";
const MEMORY_MIB: u32 = 1_568;

/// The most cold runs under a scheduler, each of which takes some ten seconds.
const COLD_RUNS: u32 = 3;

pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let rig = Bench::new()?;
    let booted = rig.booted()?;
    let mut figures = Vec::new();
    let made = Instant::now();
    let mut zygote = booted.cold(&rig)?;
    zygote.warm_up()?;
    figures.push(Figure::of("warm.layer", "s", vec![made.elapsed().as_secs_f64()])?);
    figures.extend(held(&rig, &booted)?);

    let spans = [
        ("warm.fork", None),
        ("warm.run10", Some(10)),
        ("warm.run200", Some(200)),
    ];
    for (name, span) in spans {
        let span = span.map(Nanos::from_millis);
        let (mut warm, mut cold) = (Vec::new(), Vec::new());
        for seed in 0..u64::from(samples) {
            warm.push(rig.run(seed, span, || Ok(zygote.twin()?))?);
            cold.push(rig.run(seed, span, || booted.cold(&rig))?);
        }
        figures.push(compared(name, warm, cold)?);
    }
    let (mut twin, mut off) = (Vec::new(), Vec::new());
    for seed in 0..u64::from(samples) {
        let began = Instant::now();
        let session = zygote.twin()?;
        twin.push(began.elapsed().as_secs_f64());
        let session = rig.play(session, seed, Nanos::from_millis(10))?;
        let ended = Instant::now();
        session.finish();
        off.push(ended.elapsed().as_secs_f64());
    }
    figures.push(Figure::of("warm.twin", "s", twin)?);
    figures.push(Figure::of("warm.off", "s", off)?);
    zygote.finish();

    let baton = std::env::current_exe()?.with_file_name("scx_baton");
    let given = std::env::var_os("SCHEDRIG_BENCH_SCHEDULER").map(Into::into);
    for (name, program) in [("warm.baton", Some(baton)), ("warm.given", given)] {
        let Some(program) = program.filter(|program| program.is_file()) else {
            eprintln!("without {name}: its program is not here");
            continue;
        };
        figures.push(under(&rig, &booted, name, &program, samples)?);
    }
    Ok(figures)
}

/// Runs of 200 ms under a scheduler: attached once, and attached in each of them.
fn under(rig: &Bench, booted: &Layer, name: &'static str, program: &Path, samples: u32) -> Result<Figure> {
    let span = Some(Nanos::from_millis(200));
    let program = Arc::new(Program::read(program)?);
    let attached = rig.attached(booted, &program)?;
    let mut zygote = attached.cold(rig)?;
    zygote.warm_up()?;
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    for seed in 0..u64::from(samples) {
        warm.push(rig.run(seed, span, || Ok(zygote.twin()?))?);
        if seed < u64::from(COLD_RUNS) {
            let attach = || {
                let mut session = booted.cold(rig)?;
                rig.attach(&mut session, &program)?;
                Ok(session)
            };
            cold.push(rig.run(seed, span, attach)?);
        }
    }
    zygote.finish();
    compared(name, warm, cold)
}

fn compared(name: &'static str, warm: Vec<f64>, cold: Vec<f64>) -> Result<Figure> {
    let cold = Figure::of(name, "s", cold)?.value;
    Ok(Figure {
        peer: Some(Peer {
            name: "cold",
            value: cold,
        }),
        ..Figure::of(name, "s", warm)?
    })
}

/// The memory of duplicates that are held.
fn held(rig: &Bench, booted: &Layer) -> Result<[Figure; 1]> {
    let mut machine = TcgMachine::fork(&rig.config, &booted.saved)?;
    machine.resume()?;
    while !matches!(
        machine.next(Instant::now() + boot::PATIENCE)?,
        machine::Event::Call(_)
    ) {}
    let twins: Vec<TcgMachine> = (0..10).map(|_| machine.twin()).collect::<Result<_, _>>()?;
    let pss = |twin: &TcgMachine| -> Result<f64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", twin.pid()))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.context("read a process's share of memory")? / 1024.0)
    };
    let held = twins.iter().map(pss).collect::<Result<Vec<f64>>>()?;
    Ok([Figure::of("warm.held", "MiB", held)?])
}

/// What all machines here are made of.
struct Bench {
    kernel: Arc<PreparedKernel>,
    config: TcgConfig,
}

/// A saved machine.
struct Layer {
    saved: Saved,
    standing: Standing,
    _directory: TempDir,
}

impl Bench {
    fn new() -> Result<Bench> {
        let kernel = boot::kernel()?;
        let config = TcgConfig {
            machine: MachineConfig {
                topology: TOPOLOGY.parse().context("read the topology")?,
                memory_mib: MEMORY_MIB,
                kernel: kernel.boot.clone(),
                initrd: kernel.initrd()?,
                cmdline: session::KERNEL_ARGUMENTS.to_owned(),
                seed: 1,
            },
            options: TcgOptions::default(),
        };
        Ok(Bench { kernel, config })
    }

    fn start(&self) -> Start {
        Start {
            clock: self.kernel.clock,
            ..Start::default()
        }
    }

    fn booted(&self) -> Result<Layer> {
        let machine = TcgMachine::launch(&self.config)?;
        let (session, _) = Session::start_with(Box::new(machine), self.start())
            .map_err(|failed| anyhow!("the machine did not boot: {}", failed.error))?;
        Layer::of(session)
    }

    fn attached(&self, below: &Layer, program: &Arc<Program>) -> Result<Layer> {
        let mut session = below.cold(self)?;
        session.seed(1)?;
        self.attach(&mut session, program)?;
        Layer::of(session)
    }

    fn attach(&self, session: &mut Session, program: &Arc<Program>) -> Result<()> {
        session.set_debug_info(self.kernel.debug_info()?);
        session.supply(Arc::clone(program));
        let put = op::PutProgram {
            program: program.sums(),
        };
        session.apply(&put.into())?;
        let argv = vec![program.guest_path.clone()];
        session.apply(&op::StartScheduler { argv }.into())?;
        Ok(())
    }

    /// The host seconds of a run: without a span up to the reply to its first command, else to its end.
    fn run(&self, seed: u64, span: Option<Nanos>, begin: impl FnOnce() -> Result<Session>) -> Result<f64> {
        let began = Instant::now();
        let mut session = begin()?;
        let Some(span) = span else {
            session.begin(self.kernel.clock, Limits::default(), Arc::<Status>::default())?;
            session.seed(seed)?;
            let seconds = began.elapsed().as_secs_f64();
            session.finish();
            return Ok(seconds);
        };
        self.play(session, seed, span)?.finish();
        Ok(began.elapsed().as_secs_f64())
    }

    /// A run up to its end.
    fn play(&self, mut session: Session, seed: u64, span: Nanos) -> Result<Session> {
        session.begin(self.kernel.clock, Limits::default(), Arc::<Status>::default())?;
        session.seed(seed)?;
        let name: GroupName = "a".parse()?;
        let group = CgroupSpec {
            name: name.clone(),
            cpus: None,
            weight: Weight::default(),
        };
        let work: Work = "spin".parse()?;
        let ops: [Op; 3] = [
            op::MakeCgroup { group }.into(),
            op::Spawn {
                group: name,
                workers: Workers::new(work, 4),
            }
            .into(),
            op::RunFor { span }.into(),
        ];
        for op in &ops {
            session.apply(op)?;
        }
        Ok(session)
    }
}

impl Layer {
    fn of(session: Session) -> Result<Layer> {
        let directory = tempfile::tempdir().context("make a directory for the save")?;
        session.save(directory.path())?;
        Ok(Layer {
            saved: Saved::open(directory.path())?,
            standing: Standing::load(directory.path())?,
            _directory: directory,
        })
    }

    fn cold(&self, rig: &Bench) -> Result<Session> {
        let machine = TcgMachine::fork(&rig.config, &self.saved)?;
        Session::go_on(Box::new(machine), self.standing.clone(), rig.start())
            .map_err(|failed| anyhow!("the fork did not come up: {}", failed.error))
    }
}
