//! Calls, hooks, and the same execution each time.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use guestmem::{GuestPhys, GuestVirt};
use kimage::KernelImage;
use machine::{
    Event, ExitReason, HookSpec, Instrument, Machine, MachineError, Registers, VcpuId, WatchSpec, When, Width,
};

use crate::program::Program;
use crate::support::{PATIENCE, config, console, kernel, launch, next, next_call, x86};
use schedrig_machine_tcg::TcgMachine;

#[test]
fn a_call_carries_a_request_and_its_answer() {
    let Some(kernel) = kernel() else { return };
    let program = Program::default()
        .print("init is up\n")
        .call_and_print(b"ping", 16)
        .power_off();
    let mut machine = launch(kernel, "1n1l1c1t", &program);

    let call = next_call(&mut machine);
    assert!(console(&machine).contains("init is up"), "{}", console(&machine));
    assert_eq!((call.len, call.capacity), (4, 16));
    assert_eq!(call.vcpu, Some(VcpuId(0)), "there is no other");
    assert_eq!(x86(&call.registers).rdi, call.buffer.0);
    assert_eq!(call.registers.instruction().0, program.first_call());
    let space = call.registers.address_space(machine.memory());
    let mut request = [0; 4];
    space.read(call.buffer, &mut request).unwrap();
    assert_eq!(&request, b"ping");
    space.write(call.buffer, b"pong").unwrap();

    machine.resume().unwrap();
    assert_eq!(next(&mut machine), Event::Exit(ExitReason::PoweredOff));
    assert!(
        console(&machine).contains("pong............"),
        "{}",
        console(&machine)
    );
    let report = Box::new(machine).kill();
    assert_eq!(report.reason, ExitReason::PoweredOff);
    assert!(!report.console.is_empty());
}

#[test]
fn the_consoles_pieces_come_before_what_happened_after_them() {
    let Some(kernel) = kernel() else { return };
    let program = Program::default()
        .print("before the call\n")
        .call_and_print(b"ping", 16)
        .print("after the call\n")
        .power_off();
    let mut machine = launch(kernel, "1n1l1c1t", &program);
    let soon = Instant::now() + PATIENCE;
    machine.resume().unwrap();
    let Event::Console(first) = machine.next(soon).unwrap() else {
        panic!("the boot comes first");
    };
    assert!(String::from_utf8_lossy(&first).contains("before the call"));
    assert!(
        matches!(machine.resume(), Err(MachineError::State { .. })),
        "the call is still to come"
    );
    assert!(matches!(machine.next(soon).unwrap(), Event::Call(_)));
    machine.resume().unwrap();
    let Event::Console(second) = machine.next(soon).unwrap() else {
        panic!("then what was written after the call");
    };
    assert!(String::from_utf8_lossy(&second).contains("after the call"));
    assert_eq!(machine.next(soon).unwrap(), Event::Exit(ExitReason::PoweredOff));
    assert_eq!([first, second].concat(), machine.console().unwrap());
}

#[test]
fn memory_above_4_gib_is_where_the_layout_says() {
    let Some(kernel) = kernel() else { return };
    let program = Program::default().call_and_print(b"ping", 16).power_off();
    let mut configuration = config(kernel, "1n1l1c1t", &program);
    configuration.machine.memory_mib = 3072;
    let mut machine = TcgMachine::launch(&configuration).unwrap();
    let call = next_call(&mut machine);
    let buffer = call.buffer;
    let space = call.registers.address_space(machine.memory());
    let leaf = space.translate(buffer).unwrap();
    assert!(
        leaf.at >= GuestPhys(1 << 32),
        "the kernel took {} for the buffer",
        leaf.at
    );
    let mut request = [0; 4];
    machine.memory().read(leaf.at, &mut request).unwrap();
    assert_eq!(&request, b"ping");
}

#[test]
fn a_hook_reports_every_nth_execution_with_its_arguments() {
    let Some(kernel) = kernel() else { return };
    let program = Program::default().call_with_time(9).power_off();
    let mut machine = launch(kernel, "1n1l1c1t", &program);
    let at = GuestVirt(program.first_call());
    let all = machine.hook(at, HookSpec::ALWAYS).unwrap();
    let fourth = machine.hook(at, HookSpec { every: 4 }).unwrap();
    let mut seen = Vec::new();
    let mut calls = 0;
    machine.resume().unwrap();
    loop {
        match next(&mut machine) {
            Event::Hook(hit) => {
                assert_eq!(hit.registers.instruction(), at);
                assert_eq!(hit.registers.argument(1), Some(4), "rsi is the request's length");
                seen.push((hit.hook, hit.hits));
            }
            Event::Call(_) => calls += 1,
            Event::Exit(reason) => break assert_eq!(reason, ExitReason::PoweredOff),
            _ => panic!("no end; console:\n{}", console(&machine)),
        }
        machine.resume().unwrap();
    }
    assert_eq!(calls, 9);
    let of = |id| -> Vec<u64> {
        seen.iter()
            .filter(|(hook, _)| *hook == id)
            .map(|(_, hits)| *hits)
            .collect()
    };
    assert_eq!(of(all), (1..=9).collect::<Vec<_>>());
    assert_eq!(of(fourth), [4, 8]);
}

/// At the system call that switches the machine off: `__x64_sys_reboot(struct pt_regs *)`.
#[test]
fn a_hook_at_a_kernel_symbol_has_the_functions_arguments() {
    let Some(kernel) = kernel() else { return };
    let symbols = KernelImage::read(&kernel).unwrap().symbols().unwrap();
    let reboot = GuestVirt(symbols.address_of("__x64_sys_reboot").unwrap());
    let mut machine = launch(kernel, "1n1l2c1t", &Program::default().power_off());
    let hook = machine.hook(reboot, HookSpec::ALWAYS).unwrap();
    machine.resume().unwrap();
    let Event::Hook(hit) = next(&mut machine) else {
        panic!("no hook; console:\n{}", console(&machine));
    };
    assert_eq!((hit.hook, hit.hits), (hook, 1));
    let space = hit.registers.address_space(machine.memory());
    // `di` is the 15th word of `struct pt_regs`: the system call's first argument, LINUX_REBOOT_MAGIC1.
    let pt_regs = hit.registers.argument(0).unwrap();
    assert_eq!(space.read_u64(GuestVirt(pt_regs + 14 * 8)).unwrap(), 0xfee1_dead);
    machine.resume().unwrap();
    assert_eq!(next(&mut machine), Event::Exit(ExitReason::PoweredOff));
}

/// Set in a call, long after the kernel's code was translated.
#[test]
fn a_hook_on_a_kernel_function_can_be_set_at_any_time_and_removed() {
    let Some(kernel) = kernel() else { return };
    let symbols = KernelImage::read(&kernel).unwrap().symbols().unwrap();
    let tick = GuestVirt(symbols.address_of("update_process_times").unwrap());
    let program = Program::default().call_with_time(1).spin();
    let mut machine = launch(kernel, "1n1l2c1t", &program);
    next_call(&mut machine);
    let hook = machine.hook(tick, HookSpec { every: 2 }).unwrap();
    let counted = machine.hook(tick, HookSpec::COUNT).unwrap();
    // In the middle of the function it would never be seen.
    let within = machine.hook(GuestVirt(tick.0 + 1), HookSpec::ALWAYS);
    assert!(matches!(within, Err(MachineError::Hook { .. })), "{within:?}");
    for hits in (2..=20).step_by(2) {
        machine.resume().unwrap();
        let Event::Hook(hit) = next(&mut machine) else {
            panic!("no hook; console:\n{}", console(&machine));
        };
        assert_eq!((hit.hook, hit.hits), (hook, hits));
        assert_eq!(hit.registers.instruction(), tick);
        assert!(x86(&hit.registers).rsp >> 63 == 1, "the kernel's stack");
    }
    let counts = |machine: &mut TcgMachine, hook| machine.hits(Instrument::Hook(hook)).unwrap();
    // Of two hooks at an address the first one that was set comes first.
    assert_eq!(
        (counts(&mut machine, hook), counts(&mut machine, counted)),
        (20, 19)
    );
    machine.remove(Instrument::Hook(hook)).unwrap();
    machine.resume().unwrap();
    let soon = Instant::now() + Duration::from_secs(1);
    assert_eq!(machine.next(soon).unwrap(), Event::Deadline);
}

#[test]
fn a_watch_reports_the_store_each_time_its_condition_holds() {
    let Some(kernel) = kernel() else { return };
    let symbols = KernelImage::read(&kernel).unwrap().symbols().unwrap();
    let jiffies = GuestVirt(symbols.address_of("jiffies_64").unwrap());
    let program = Program::default().call_with_time(1).spin();
    let mut machine = launch(kernel, "1n1l2c1t", &program);
    let call = next_call(&mut machine);
    let now = |machine: &TcgMachine| {
        let space = call.registers.address_space(machine.memory());
        space.read_u64(jiffies).unwrap()
    };
    let first = now(&machine);
    let spec = WatchSpec {
        width: Width::Eight,
        when: When::Changed,
        every: 1,
        current: first,
    };
    let watch = machine.watch(jiffies, spec).unwrap();
    let later = machine
        .watch(
            jiffies,
            WatchSpec {
                when: When::AtLeast(first + 8),
                every: 0,
                ..spec
            },
        )
        .unwrap();
    let mut last = first;
    for hits in 1..=10 {
        machine.resume().unwrap();
        let Event::Watch(hit) = next(&mut machine) else {
            panic!("no watch; console:\n{}", console(&machine));
        };
        assert_eq!((hit.watch, hit.hits, hit.old), (watch, hits, last));
        assert_eq!(hit.new, now(&machine), "the store is done");
        assert!(hit.new > hit.old);
        let (symbol, _) = symbols.nearest(hit.ip.0).unwrap();
        let known = ["do_timer", "jiffies", "tick"];
        assert!(
            known.iter().any(|part| symbol.name.contains(part)),
            "{}",
            symbol.name
        );
        last = hit.new;
    }
    let count = |machine: &mut TcgMachine, watch| machine.hits(Instrument::Watch(watch)).unwrap();
    assert_eq!(count(&mut machine, watch), 10);
    assert_eq!(count(&mut machine, later), last - (first + 8));
    machine.remove(Instrument::Watch(watch)).unwrap();
    machine.resume().unwrap();
    let soon = Instant::now() + Duration::from_secs(1);
    assert_eq!(machine.next(soon).unwrap(), Event::Deadline);
}

#[test]
fn an_address_of_a_program_is_no_place_to_watch() {
    let Some(kernel) = kernel() else { return };
    let mut machine = launch(kernel, "1n1l1c1t", &Program::default().spin());
    let spec = WatchSpec {
        width: Width::One,
        when: When::Stored,
        every: 1,
        current: 0,
    };
    for at in [0x40_0000, u64::MAX] {
        let error = machine.watch(GuestVirt(at), spec).unwrap_err();
        assert!(matches!(error, MachineError::Watch { .. }), "{error}");
    }
}

#[test]
fn a_machine_in_the_wrong_state_refuses() {
    let Some(kernel) = kernel() else { return };
    let mut machine = launch(kernel, "1n1l1c1t", &Program::default().spin());
    let now = Instant::now();
    assert!(matches!(machine.next(now), Err(MachineError::State { .. })));
    machine.resume().unwrap();
    assert!(matches!(machine.resume(), Err(MachineError::State { .. })));
    assert!(matches!(
        machine.hook(GuestVirt(0), HookSpec::ALWAYS),
        Err(MachineError::State { .. })
    ));
    assert_eq!(machine.next(now).unwrap(), Event::Deadline);
}

#[test]
fn the_same_seed_is_the_same_execution_under_host_load() {
    let Some(kernel) = kernel() else { return };
    let program = Program::default()
        .print("init is up\n")
        .call_with_time(20)
        .power_off();
    let run = |seed: u64, load: usize| {
        let _load = Load::start(load);
        let mut configuration = config(kernel.clone(), "1n2l2c1t", &program);
        configuration.machine.seed = seed;
        "printk.time=1".clone_into(&mut configuration.machine.cmdline);
        execution(TcgMachine::launch(&configuration).unwrap())
    };
    let quiet = run(7, 0);
    assert_eq!(quiet.calls.len(), 20);
    for load in [2, 3] {
        let loaded = run(7, load);
        assert_eq!(quiet.console, loaded.console, "with {load} spinners");
        assert_eq!(quiet.calls, loaded.calls, "with {load} spinners");
    }
    assert_ne!(quiet.calls, run(8, 0).calls, "another seed is another execution");
}

/// All that the host saw of a run.
struct Execution {
    calls: Vec<(Registers, u64)>,
    console: String,
}

fn execution(mut machine: TcgMachine) -> Execution {
    let mut calls = Vec::new();
    machine.resume().unwrap();
    loop {
        match next(&mut machine) {
            Event::Call(call) => {
                let registers = call.registers;
                let space = registers.address_space(machine.memory());
                calls.push((registers, space.read_u64(call.buffer).unwrap()));
                machine.resume().unwrap();
            }
            Event::Exit(ExitReason::PoweredOff) => break,
            other => panic!("{other:?}; console:\n{}", console(&machine)),
        }
    }
    Execution {
        calls,
        console: console(&machine),
    }
}

/// Host processes that do nothing but spin, until dropped.
struct Load(Vec<Child>);

impl Load {
    fn start(spinners: usize) -> Load {
        let spinner = || {
            Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .spawn()
                .unwrap()
        };
        Load((0..spinners).map(|_| spinner()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for spinner in &mut self.0 {
            spinner.kill().unwrap();
            spinner.wait().unwrap();
        }
    }
}
