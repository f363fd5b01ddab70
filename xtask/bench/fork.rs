//! A fork of a saved machine beside a cold boot: both from the start of QEMU to the agent's reply to its first command.
//!
//! ```text
//! fork.ready    copy of RAM, start of QEMU, device state ─► frozen in the agent's first call
//! fork.reply    the same, and the first command's reply         peer: a boot
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use guestmem::AddressSpace;
use machine::{Call, Event, Machine};
use machine_tcg::TcgMachine;
use wire::{Answer, Command};

use crate::boot;
use crate::figure::{Figure, Peer};

/// More than any of these waits takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Saves one booted machine and forks it ten times for each sample.
pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let kernel = boot::kernel()?;
    let config = boot::config(&kernel)?;
    let directory = tempfile::tempdir().context("make a directory for the save")?;

    let begin = Instant::now();
    let mut original = TcgMachine::launch(&config)?;
    original.resume()?;
    let call = next_call(&mut original)?;
    let boot = begin.elapsed().as_secs_f64();
    let saved = original.save(directory.path())?;

    let (mut ready, mut reply) = (Vec::new(), Vec::new());
    for _ in 0..samples * 10 {
        let begin = Instant::now();
        let mut fork = TcgMachine::fork(&config, &saved)?;
        ready.push(begin.elapsed().as_secs_f64());
        answer(&fork, &call)?;
        fork.resume()?;
        next_call(&mut fork)?;
        reply.push(begin.elapsed().as_secs_f64());
        Box::new(fork).kill();
    }
    let mut reply = Figure::of("fork.reply", "s", reply)?;
    reply.peer = Some(Peer {
        name: "boot",
        value: boot,
    });
    Ok(vec![Figure::of("fork.ready", "s", ready)?, reply])
}

fn next_call(machine: &mut TcgMachine) -> Result<Call> {
    loop {
        match machine.next(Instant::now() + PATIENCE)? {
            Event::Call(call) => return Ok(call),
            Event::Console(_) => {}
            other => bail!("{other:?} instead of a call"),
        }
    }
}

/// Puts a command that does next to nothing into the call's buffer.
fn answer(machine: &TcgMachine, call: &Call) -> Result<()> {
    let answer = Answer::Command(Command::Seed { seed: 1 }).encode()?;
    let levels = call.registers.paging_levels();
    Ok(AddressSpace::new(machine.memory(), call.registers.cr3, levels).write(call.buffer, &answer)?)
}
