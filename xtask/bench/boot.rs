//! The host time of a boot, by part:
//!
//! ```text
//! boot.qemu    start of QEMU's process ─► machine built, frozen before its first instruction
//! boot.agent   first instruction (firmware, kernel) ─► the agent's hello
//! boot.call    the first command's answer ─► its reply
//! ```

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use machine::MachineConfig;
use machine_tcg::{TcgConfig, TcgMachine, TcgOptions};
use schedrig::{DEFAULT_KERNEL, PreparedKernel};
use session::{Limits, Session};

use crate::figure::Figure;

/// The topology of the booted machine: the demo's.
pub(crate) const TOPOLOGY: &str = "1n2l2c1t";
const MEMORY_MIB: u32 = 512;
const SEED: u64 = 7;
/// More than any event takes here.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// The host seconds of one boot's parts.
struct Boot {
    qemu: f64,
    agent: f64,
}

/// Boots `samples` times.
pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let kernel = kernel()?;
    let (mut qemu, mut agent, mut call) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        let (mut session, boot) = boot(&kernel)?;
        qemu.push(boot.qemu);
        agent.push(boot.agent);
        let begin = Instant::now();
        session.seed(SEED)?;
        call.push(begin.elapsed().as_secs_f64() * 1e6);
        session.finish();
    }
    Ok(vec![
        Figure::of("boot.qemu", "s", qemu)?,
        Figure::of("boot.agent", "s", agent)?,
        Figure::of("boot.call", "us", call)?,
    ])
}

/// The kernel that is booted, on this machine's disk.
pub(crate) fn kernel() -> Result<Arc<PreparedKernel>> {
    let request = DEFAULT_KERNEL
        .parse()
        .with_context(|| format!("read the request {DEFAULT_KERNEL}"))?;
    Ok(PreparedKernel::resolve(&request, &mut |_| {})?)
}

/// A booted machine, and the host time that it took.
pub(crate) fn booted(kernel: &PreparedKernel) -> Result<Session> {
    boot(kernel).map(|(session, _)| session)
}

/// The machine that is booted.
pub(crate) fn config(kernel: &PreparedKernel) -> Result<TcgConfig> {
    Ok(TcgConfig {
        machine: MachineConfig {
            topology: TOPOLOGY.parse().context("read the topology")?,
            memory_mib: MEMORY_MIB,
            kernel: kernel.boot.clone(),
            initrd: kernel.initrd()?,
            cmdline: session::KERNEL_ARGUMENTS.to_owned(),
            seed: SEED,
        },
        options: TcgOptions::default(),
    })
}

fn boot(kernel: &PreparedKernel) -> Result<(Session, Boot)> {
    let config = config(kernel)?;
    let begin = Instant::now();
    let machine = TcgMachine::launch(&config)?;
    let qemu = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let (session, _hello) = Session::start(Box::new(machine), kernel.clock, Limits::default())
        .map_err(|failed| anyhow!("the machine did not come up: {}", failed.error))?;
    Ok((
        session,
        Boot {
            qemu,
            agent: begin.elapsed().as_secs_f64(),
        },
    ))
}
