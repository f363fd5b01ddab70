//! What the end-to-end tests share: the kernel, a machine, its events.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use machine::registers::x86_64;
use machine::{Call, Event, Machine, MachineConfig, Registers};
use schedrig_machine_tcg::{TcgConfig, TcgMachine, TcgOptions};

use crate::program::Program;

/// More host time than any of these runs takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(480);

/// Kernel arguments that shorten a boot and change nothing that is tested here.
const BOOT_TRIMS: &str =
    "quiet cryptomgr.notests mitigations=off random.trust_cpu=on tsc=reliable no_timer_check audit=0";

/// The kernel under test: `SCHEDRIG_TEST_KERNEL` names an ELF `vmlinux`. Without it the test is skipped, and says so
/// even where the harness captures output.
pub(crate) fn kernel() -> Option<PathBuf> {
    let kernel = std::env::var_os("SCHEDRIG_TEST_KERNEL").map(PathBuf::from);
    if kernel.is_none() {
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        let reason = "SCHEDRIG_TEST_KERNEL names no vmlinux; `cargo xtask test` sets it";
        let line = format!("SKIPPED {name}: {reason}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    kernel
}

/// A machine of this shape whose init is `program`.
pub(crate) fn config(kernel: PathBuf, topology: &str, program: &Program) -> TcgConfig {
    TcgConfig {
        machine: MachineConfig {
            topology: topology.parse().unwrap(),
            memory_mib: 512,
            kernel,
            initrd: program.initramfs(),
            cmdline: BOOT_TRIMS.to_owned(),
            seed: 7,
        },
        options: TcgOptions::default(),
    }
}

/// Launches it; it is frozen before its first instruction.
pub(crate) fn launch(kernel: PathBuf, topology: &str, program: &Program) -> TcgMachine {
    TcgMachine::launch(&config(kernel, topology, program)).unwrap()
}

/// The next event, within the patience.
pub(crate) fn next(machine: &mut TcgMachine) -> Event {
    loop {
        match machine.next(Instant::now() + PATIENCE).unwrap() {
            Event::Console(_) => {}
            event => return event,
        }
    }
}

/// Lets the machine run to its next event, which has to be a call.
pub(crate) fn next_call(machine: &mut TcgMachine) -> Call {
    machine.resume().unwrap();
    match next(machine) {
        Event::Call(call) => call,
        other => panic!("{other:?} instead of a call; console:\n{}", console(machine)),
    }
}

/// The registers of this backend's guests.
pub(crate) fn x86(registers: &Registers) -> &x86_64::Registers {
    let Registers::X86_64(registers) = registers;
    registers
}

/// The console so far.
pub(crate) fn console(machine: &TcgMachine) -> String {
    String::from_utf8_lossy(&machine.console().unwrap()).into_owned()
}
