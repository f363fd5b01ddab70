//! A machine is duplicated where it stands, and both are the machine that it would have been.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use guestmem::PhysMem;
use machine::{Call, Event, ExitReason, HookSpec, Instrument, Machine, MachineError};
use schedrig_machine_tcg::{Running, Saved, TcgConfig, TcgMachine};

use crate::program::Program;
use crate::support::{config, console, kernel, launch, next, next_call};

/// Calls of the program after the one that it is saved in.
const CALLS: u32 = 5;

fn program() -> Program {
    Program::default()
        .print("before the save\n")
        .call_and_print(b"ping", 16)
        .call_with_time(CALLS)
        .print("at the end\n")
        .power_off()
}

fn saved(config: &TcgConfig, into: &Path) -> Saved {
    let mut machine = TcgMachine::launch(config).unwrap();
    next_call(&mut machine);
    Box::new(machine).save(into).unwrap();
    Saved::open(into).unwrap()
}

/// Of all RAM that is not zero.
fn ram_hash(memory: &dyn PhysMem) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut page = [0; 4096];
    for extent in memory.data() {
        for at in (extent.start.0..extent.start.0 + extent.len).step_by(page.len()) {
            memory.read(guestmem::GuestPhys(at), &mut page).unwrap();
            if page.iter().any(|byte| *byte != 0) {
                hasher.write_u64(at);
                hasher.write(&page);
            }
        }
    }
    hasher.finish()
}

/// What a machine does from where it stands: registers and RAM at its calls, and its console.
#[derive(Debug, PartialEq, Eq)]
struct Rest {
    calls: Vec<(Call, u64)>,
    console: String,
}

/// Lets a machine that stands in the call before so many others run to its end.
fn rest(machine: &mut TcgMachine, calls: u32) -> Rest {
    let calls = (0..calls)
        .map(|_| (next_call(machine), ram_hash(machine.memory())))
        .collect();
    machine.resume().unwrap();
    assert_eq!(next(machine), Event::Exit(ExitReason::PoweredOff));
    Rest {
        calls,
        console: console(machine),
    }
}

/// The end of another machine's rest.
fn tail(of: &Rest, calls: u32) -> Rest {
    Rest {
        calls: of.calls[of.calls.len() - calls as usize..].to_vec(),
        console: of.console.clone(),
    }
}

/// How many processes are of the group that this one leads: itself, and its duplicates.
fn in_group_of(pid: u32) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let groups = stats.filter_map(|stat| {
        stat.rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(2)?
            .parse::<u32>()
            .ok()
    });
    groups.filter(|group| *group == pid).count()
}

#[test]
fn duplicates_at_any_call_and_of_duplicates_are_the_machine_that_there_was() {
    let Some(kernel) = kernel() else { return };
    // Two nodes: guest RAM is two mappings.
    let config = config(kernel, "2n2l1c1t", &program());
    let directory = tempfile::tempdir().unwrap();
    let saved = saved(&config, directory.path());
    let fork = || {
        let mut machine = TcgMachine::fork(&config, &saved).unwrap();
        next_call(&mut machine);
        machine
    };
    let straight = rest(&mut fork(), CALLS);
    assert_eq!(straight, rest(&mut fork(), CALLS));

    // A chain: each machine's duplicate is duplicated at the next call, and all of them go on to the end.
    let mut chain = vec![fork()];
    for _ in 0..CALLS {
        let last = chain.last_mut().unwrap();
        let mut twin = last.twin().unwrap();
        next_call(&mut twin);
        chain.push(twin);
    }
    for (nth, machine) in chain.iter_mut().enumerate().rev() {
        let calls = CALLS - nth as u32;
        assert_eq!(rest(machine, calls), tail(&straight, calls), "generation {nth}");
    }

    // Siblings, two at a time.
    let mut original = fork();
    for _ in 0..2 {
        let mut twins = [(); 2].map(|()| original.twin().unwrap());
        std::thread::scope(|scope| {
            let both = twins.each_mut().map(|twin| scope.spawn(|| rest(twin, CALLS)));
            for other in both {
                assert_eq!(other.join().unwrap(), straight);
            }
        });
    }
    assert_eq!(rest(&mut original, CALLS), straight, "and the original itself");
}

#[test]
fn what_the_owner_writes_is_read_by_the_guest_that_it_was_written_to() {
    let Some(kernel) = kernel() else { return };
    let config = config(kernel, "1n1l1c1t", &program());
    let directory = tempfile::tempdir().unwrap();
    let saved = saved(&config, directory.path());
    let mut original = TcgMachine::fork(&config, &saved).unwrap();
    let call = next_call(&mut original);
    let mut twins = [(); 2].map(|()| original.twin().unwrap());
    // Of the three, the two that may run are there for whoever looks from outside, each with its own memory.
    let running = Running::all();
    let seen = |machine: &TcgMachine| running.iter().find(|one| one.pid == machine.pid());
    assert_eq!(seen(&original), None, "one that is held is none that runs");
    let write = |machine: &TcgMachine, text: &[u8]| {
        let space = call.registers.address_space(machine.memory());
        space.write(call.buffer, text).unwrap();
    };
    write(&twins[0], b"one!");
    write(&twins[1], b"two!");
    write(&original, b"self");
    for (twin, text) in twins.iter().zip([b"one!", b"two!"]) {
        let memory = seen(twin).unwrap().ram().unwrap();
        let mut there = [0; 4];
        let space = call.registers.address_space(memory.as_ref());
        space.read(call.buffer, &mut there).unwrap();
        assert_eq!(&there, text);
    }
    let [first, second] = &mut twins;
    for (machine, text) in [(first, "one!"), (second, "two!"), (&mut original, "self")] {
        let console = rest(machine, CALLS).console;
        assert!(console.contains("before the save"), "{console}");
        assert!(console.contains(&format!("{text}............")), "{console}");
    }
}

#[test]
fn hooks_and_watches_are_the_duplicates_too() {
    let Some(kernel) = kernel() else { return };
    let program = program();
    let at = guestmem::GuestVirt(program.first_call());
    let mut machine = launch(kernel, "1n1l2c1t", &program);
    let hook = machine.hook(at, HookSpec::ALWAYS).unwrap();
    machine.resume().unwrap();
    let hit = next(&mut machine);
    assert!(
        matches!(&hit, Event::Hook(hit) if hit.hook == hook && hit.hits == 1),
        "{hit:?}"
    );
    // Where a hook was hit is a place like any other.
    let mut twin = machine.twin().unwrap();
    next_call(&mut twin);
    next_call(&mut machine);
    assert_eq!(twin.hits(Instrument::Hook(hook)).unwrap(), 1);
    twin.remove(Instrument::Hook(hook)).unwrap();
    assert_eq!(rest(&mut twin, CALLS), rest(&mut machine, CALLS));
}

#[test]
fn many_duplicates_leave_nothing_behind() {
    let Some(kernel) = kernel() else { return };
    let mut original = launch(kernel, "1n1l4c1t", &program());
    next_call(&mut original);
    let open = || {
        std::fs::read_dir(format!("/proc/{}/fd", std::process::id()))
            .unwrap()
            .count()
    };
    let of_original = |what: &str| {
        std::fs::read_dir(format!("/proc/{}/{what}", original.pid()))
            .unwrap()
            .count()
    };
    let (descriptors, threads) = (of_original("fd"), of_original("task"));
    let (ours, pid) = (open(), original.pid());
    assert_eq!(in_group_of(pid), 1);
    let began = Instant::now();
    for nth in 0..100 {
        let mut twin = original.twin().unwrap();
        assert_ne!(twin.pid(), pid);
        match nth % 3 {
            0 => drop(twin),
            1 => drop(Box::new(twin).kill()),
            _ => {
                next_call(&mut twin);
            }
        }
    }
    println!("100 duplicates took {:?}", began.elapsed());
    let of_original = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    assert_eq!((of_original("fd"), of_original("task")), (descriptors, threads));
    assert_eq!(in_group_of(pid), 1);
    // The test's threads open and close files of their own.
    assert!(open() <= ours + 20, "{} descriptors instead of {ours}", open());
}

#[test]
fn a_machine_that_does_not_stand_still_or_has_ended_is_not_duplicated() {
    let Some(kernel) = kernel() else { return };
    let mut machine = launch(kernel, "1n1l1c1t", &program());
    let refused = |machine: &mut TcgMachine| matches!(machine.twin(), Err(MachineError::State { .. }));
    assert!(refused(&mut machine), "before its first instruction");
    machine.resume().unwrap();
    assert!(refused(&mut machine), "it runs");
    let _ = next(&mut machine);
    let mut twin = machine.twin().unwrap();
    // Killed from outside, while it is held.
    let killed = |pid: u32| {
        let status = Command::new("kill")
            .args(["-9", &pid.to_string()])
            .stdin(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    };
    killed(twin.pid());
    twin.resume().unwrap();
    let ended = next(&mut twin);
    assert!(matches!(ended, Event::Exit(ExitReason::Died { .. })), "{ended:?}");
    killed(machine.pid());
    let error = machine.twin().err().unwrap();
    assert!(matches!(error, MachineError::Duplicate(_)), "{error:?}");
}
