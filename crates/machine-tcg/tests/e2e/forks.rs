//! Saved once, forked many times: the same execution each time.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use machine::{Backend, Call, Event, ExitReason, ForkError, Machine, MachineError, OpenError};
use schedrig_machine_tcg::{Saved, SavedError, TcgBackend, TcgConfig, TcgForkError, TcgMachine, TcgOptions};

use crate::program::Program;
use crate::support::{PATIENCE, config, console, kernel, launch, next, next_call};

/// Prints, calls once to be saved in, prints the answer, then calls with the time stamp counter, and ends.
fn program() -> Program {
    Program::default()
        .print("before the save\n")
        .call_and_print(b"ping", 16)
        .call_with_time(5)
        .power_off()
}

/// Boots to the first call, lets the host dawdle there, saves.
fn save(config: &TcgConfig, into: &Path, dawdle: Duration) -> (Saved, Call) {
    let mut machine = TcgMachine::launch(config).unwrap();
    let call = next_call(&mut machine);
    std::thread::sleep(dawdle);
    Box::new(machine).save(into).unwrap();
    (Saved::open(into).unwrap(), call)
}

/// What a fork did: its console and the registers at each of its calls.
type Traces = (String, Vec<Call>);

fn fork(config: &TcgConfig, saved: &Saved, call: &Call) -> Traces {
    let mut machine = TcgMachine::fork(config, saved).unwrap();
    assert_eq!(
        &next_call(&mut machine),
        call,
        "the fork begins in the original's call"
    );
    let space = call.registers.address_space(machine.memory());
    let mut request = [0; 4];
    space.read(call.buffer, &mut request).unwrap();
    assert_eq!(&request, b"ping", "with what was in the buffer");
    space.write(call.buffer, b"pong").unwrap();
    let calls = (0..5).map(|_| next_call(&mut machine)).collect();
    machine.resume().unwrap();
    assert_eq!(next(&mut machine), Event::Exit(ExitReason::PoweredOff));
    (console(&machine), calls)
}

#[test]
fn forks_of_saves_that_were_taken_at_other_host_times_are_the_same_execution() {
    let Some(kernel) = kernel() else { return };
    let config = config(kernel, "1n1l2c1t", &program());
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let dawdles = [Duration::ZERO, Duration::from_millis(700)];
    let saves: Vec<(Saved, Call)> = directories
        .iter()
        .zip(dawdles)
        .map(|(directory, dawdle)| save(&config, directory.path(), dawdle))
        .collect();
    let [(first, call), (second, _)] = &saves[..] else {
        panic!("two saves")
    };
    let ram = |directory: &Path| fs::read(directory.join("ram")).unwrap();
    assert!(
        ram(directories[0].path()) == ram(directories[1].path()),
        "the RAM of two saves of one boot"
    );

    let traces = fork(&config, first, call);
    assert!(traces.0.contains("pong............"), "{}", traces.0);
    assert!(
        traces.0.contains("before the save"),
        "a fork's console begins with its original's: {}",
        traces.0
    );
    assert_eq!(traces, fork(&config, second, call), "from another save");
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| fork(&config, first, call)));
        for other in both {
            assert_eq!(traces, other.join().unwrap(), "two at a time");
        }
    });
}

#[test]
fn a_damaged_save_is_an_error_that_names_the_file() {
    let Some(kernel) = kernel() else { return };
    let config = config(kernel, "1n1l1c1t", &program());
    let directory = tempfile::tempdir().unwrap();
    let (saved, call) = save(&config, directory.path(), Duration::ZERO);
    let started = Instant::now();
    let path = |name| directory.path().join(name);
    let whole = |name| fs::read(path(name)).unwrap();
    for name in ["ram", "device", "state"] {
        let bytes = whole(name);
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 0x10;
        for damaged in [flipped, bytes[..bytes.len() / 2].to_vec(), Vec::new()] {
            fs::write(path(name), &damaged).unwrap();
            let forked = Saved::open(directory.path())
                .map_err(TcgForkError::from)
                .and_then(|saved| TcgMachine::fork(&config, &saved));
            let error = forked.err().unwrap();
            assert!(
                matches!(error, TcgForkError::Saved(SavedError::Damaged { .. })),
                "{error}"
            );
            assert!(
                error.to_string().contains(&path(name).display().to_string()),
                "{error}"
            );
        }
        fs::write(path(name), &bytes).unwrap();
        assert!(TcgMachine::fork(&config, &Saved::open(directory.path()).unwrap()).is_ok());
    }
    fs::remove_dir_all(directory.path()).unwrap();
    assert!(matches!(
        Saved::open(directory.path()),
        Err(SavedError::Read { .. })
    ));
    // Whoever has it open has all of it.
    fork(&config, &saved, &call);
    assert!(started.elapsed() < Duration::from_secs(60));
}

/// What `schedrig` does with any backend: boot, save, open, fork; and damage of a save is told apart.
#[test]
fn the_backend_boots_saves_opens_and_forks() {
    let Some(kernel) = kernel() else { return };
    let config = config(kernel, "1n1l2c1t", &program()).machine;
    let backend: &dyn Backend = &TcgBackend::new(TcgOptions::default());
    let identity = backend.identity(&config).unwrap();
    let facts: Vec<&str> = identity.facts.iter().map(|(name, _)| *name).collect();
    assert_eq!(facts, ["recipe", "plugin", "shift"]);
    assert_eq!(backend.probe().unwrap().version, identity.executor);

    let directory = tempfile::tempdir().unwrap();
    let mut machine = backend.boot(&config).unwrap();
    machine.resume().unwrap();
    let call = loop {
        match machine.next(Instant::now() + PATIENCE).unwrap() {
            Event::Console(_) => {}
            Event::Call(call) => break call,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        call.vcpu, None,
        "one of two vCPUs, and QEMU does not report which"
    );
    assert!(backend.running().iter().any(|one| one.memory().is_ok()));
    machine.save(directory.path()).unwrap();

    let saved = backend.open(&config, directory.path()).unwrap();
    let mut fork = saved.fork().unwrap();
    fork.resume().unwrap();
    assert!(matches!(fork.next(Instant::now()).unwrap(), Event::Console(_)));
    assert_eq!(fork.next(Instant::now()).unwrap(), Event::Call(call));
    fork.kill();

    let ram = directory.path().join("ram");
    fs::write(&ram, b"not RAM").unwrap();
    let saved = backend.open(&config, directory.path()).unwrap();
    assert!(matches!(saved.fork(), Err(ForkError::Damaged(_))));
    fs::remove_file(&ram).unwrap();
    let opened = backend.open(&config, directory.path());
    assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{opened:?}");
}

#[test]
fn a_fork_takes_hooks_of_programs_before_its_first_resume_and_can_be_saved_where_it_stands() {
    let Some(kernel) = kernel() else { return };
    let config = config(kernel, "1n1l1c1t", &program());
    let directory = tempfile::tempdir().unwrap();
    let (saved, call) = save(&config, directory.path(), Duration::ZERO);
    let mut machine = TcgMachine::fork(&config, &saved).unwrap();
    let hook = machine.hook(call.buffer, machine::HookSpec::ALWAYS).unwrap();
    assert_eq!(hook, machine::HookId(0));
    assert_eq!(next_call(&mut machine), call);
    let late = machine.hook(call.buffer, machine::HookSpec::ALWAYS);
    assert!(matches!(late, Err(MachineError::Hook { .. })));
    machine.remove(machine::Instrument::Hook(hook)).unwrap();
    // Saved at the next call, and forked from there.
    let second = next_call(&mut machine);
    let again = tempfile::tempdir().unwrap();
    Box::new(machine).save(again.path()).unwrap();
    let saved = Saved::open(again.path()).unwrap();
    let traces = [(); 2].map(|()| {
        let mut fork = TcgMachine::fork(&config, &saved).unwrap();
        assert_eq!(next_call(&mut fork), second);
        let calls: Vec<Call> = (0..4).map(|_| next_call(&mut fork)).collect();
        fork.resume().unwrap();
        assert_eq!(next(&mut fork), Event::Exit(ExitReason::PoweredOff));
        (console(&fork), calls)
    });
    assert!(traces[0].0.contains("before the save"), "{}", traces[0].0);
    assert_eq!(traces[0], traces[1]);
    // A duplicate's RAM is its process's own, which no save is made of.
    let mut fork = TcgMachine::fork(&config, &saved).unwrap();
    next_call(&mut fork);
    let twin = fork.twin().unwrap();
    let error = Box::new(twin).save(again.path()).err().unwrap();
    assert!(format!("{error:?}").contains("a duplicate"), "{error:?}");
}

#[test]
fn only_a_machine_that_is_frozen_in_a_call_can_be_saved() {
    let Some(kernel) = kernel() else { return };
    let directory = tempfile::tempdir().unwrap();
    let machine = launch(kernel, "1n1l1c1t", &program());
    let error = Box::new(machine).save(directory.path()).err().unwrap();
    assert!(
        format!("{error:?}").contains("before its first instruction"),
        "{error:?}"
    );
}
