//! A machine is duplicated where it stands, and both are the machine that it would have been.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
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
    let alive = stats.filter(|stat| !stat.contains(") Z "));
    let groups = alive.filter_map(|stat| {
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
    // More than are made in every test run, where somebody asks for them.
    let forks = std::env::var("SCHEDRIG_TEST_DUPLICATES").map_or(50, |forks| forks.parse().unwrap());
    let began = Instant::now();
    for nth in 0..forks {
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
    println!("{forks} duplicates took {:?}", began.elapsed());
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

/// A QEMU with one more plugin, which has in its process what `statement` makes.
fn qemu_with(directory: &Path, statement: &str) -> PathBuf {
    let source = format!(
        "#define _GNU_SOURCE\n#include <pthread.h>\n#include <sys/epoll.h>\n#include <sys/mman.h>\n#include <unistd.h>\n\
         int qemu_plugin_version = 4;\n\
         static void *sleeper(void *unused) {{ for (;;) pause(); return unused; }}\n\
         extern void qemu_plugin_register_vcpu_init_cb(unsigned long, void (*)(unsigned long, unsigned));\n\
         static void later(unsigned long id, unsigned vcpu) {{ pthread_t t; (void)t; (void)sleeper; {statement}; }}\n\
         int qemu_plugin_install(unsigned long id, const void *info, int argc, char **argv)\n\
         {{ qemu_plugin_register_vcpu_init_cb(id, later); return 0; }}\n"
    );
    let [code, plugin, qemu] = ["stranger.c", "stranger.so", "qemu"].map(|name| directory.join(name));
    std::fs::write(&code, source).unwrap();
    let cc = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&plugin, &code])
        .status();
    assert!(cc.unwrap().success());
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in --version) exec qemu-system-x86_64 \"$@\";; esac\n\
         exec qemu-system-x86_64 \"$@\" -plugin {}\n",
        plugin.display()
    );
    std::fs::write(&qemu, script).unwrap();
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755)).unwrap();
    qemu
}

/// Has the original of a refused duplicate run to its end.
fn refused(machine: &mut TcgMachine, words: &str) {
    let error = machine.twin().err().unwrap();
    let MachineError::Duplicate(source) = &error else {
        panic!("{error:?}");
    };
    assert!(source.to_string().contains(words), "{source}");
    assert!(rest(machine, CALLS).console.contains("at the end"));
}

#[test]
fn a_process_with_something_unknown_is_not_duplicated_and_goes_on() {
    let Some(kernel) = kernel() else { return };
    let check = |statement: &str, words: &str| {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(kernel.clone(), "1n1l1c1t", &program());
        config.options.qemu = Some(qemu_with(directory.path(), statement));
        let mut machine = TcgMachine::launch(&config).unwrap();
        next_call(&mut machine);
        refused(&mut machine, words);
    };
    check("epoll_create1(0)", "anon_inode:[eventpoll], which is not known");
    check(
        "mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0)",
        "it has a shared mapping at 0x",
    );
    check(
        "for (int i = 0; i < 20; i++) pthread_create(&t, 0, sleeper, 0)",
        "threads, or they come and go",
    );
}

#[test]
fn where_the_process_has_no_room_for_descriptors_there_is_no_duplicate_and_the_original_goes_on() {
    let Some(kernel) = kernel() else { return };
    let mut machine = launch(kernel, "1n1l1c1t", &program());
    next_call(&mut machine);
    let pid = machine.pid().to_string();
    let limit = |limit: &str| {
        let status = Command::new("prlimit").args(["--pid", &pid, limit]).status();
        assert!(status.unwrap().success());
    };
    limit("--nofile=12:");
    let error = machine.twin().err().unwrap();
    let MachineError::Duplicate(source) = &error else {
        panic!("{error:?}");
    };
    assert!(
        source.to_string().contains("descriptors came with the command"),
        "{source}"
    );
    limit("--nofile=1024:");
    drop(machine.twin().unwrap());
    assert!(rest(&mut machine, CALLS).console.contains("at the end"));
}

#[test]
fn an_original_that_is_killed_in_the_middle_leaves_a_whole_duplicate_or_none() {
    let Some(kernel) = kernel() else { return };
    let config = config(kernel, "1n1l2c1t", &program());
    let directory = tempfile::tempdir().unwrap();
    let saved = saved(&config, directory.path());
    let mut whole = 0;
    const TIMES: u64 = 8;
    for nth in 0..TIMES {
        let mut machine = TcgMachine::fork(&config, &saved).unwrap();
        next_call(&mut machine);
        drop(machine.twin().unwrap());
        let pid = machine.pid();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_micros(600 * nth));
            // As the kernel's own killer would.
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        });
        match machine.twin() {
            Ok(mut twin) => {
                assert!(rest(&mut twin, CALLS).console.contains("at the end"));
                whole += 1;
            }
            Err(error) => assert!(matches!(error, MachineError::Duplicate(_)), "{error:?}"),
        }
        killer.join().unwrap();
        drop(machine);
        let deadline = Instant::now() + std::time::Duration::from_secs(20);
        // A duplicate that nobody has heard of ends when its channel hangs up; it stays a zombie of this process.
        while in_group_of(pid) > 0 && Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(in_group_of(pid), 0);
    }
    println!("{whole} of {TIMES} duplicates were whole");
}
