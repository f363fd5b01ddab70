//! Every way in which a machine can end, told apart; and that nothing is left of it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use machine::{Event, ExitReason, Machine};
use schedrig_machine_tcg::{LaunchError, TcgMachine};

use crate::program::Program;
use crate::support::{config, console, kernel, launch, next, next_call};

/// How long a process may take to be gone once it was killed, on a loaded machine.
const GONE: Duration = Duration::from_secs(10);

#[test]
fn an_init_that_exits_is_a_kernel_panic() {
    let Some(kernel) = kernel() else { return };
    let mut machine = launch(kernel, "1n1l1c1t", &Program::default().exit(7));
    machine.resume().unwrap();
    let Event::Exit(ExitReason::GuestPanic { message }) = next(&mut machine) else {
        panic!("no panic; console:\n{}", console(&machine));
    };
    assert!(
        message.starts_with("Attempted to kill init! exitcode=0x00000700"),
        "{message}"
    );
}

#[test]
fn a_reset_is_no_power_off() {
    let Some(kernel) = kernel() else { return };
    let mut machine = launch(kernel, "1n1l1c1t", &Program::default().reset());
    machine.resume().unwrap();
    assert_eq!(
        next(&mut machine),
        Event::Exit(ExitReason::Reset),
        "console:\n{}",
        console(&machine)
    );
}

#[test]
fn a_guest_that_never_answers_meets_the_deadline_and_can_be_killed() {
    let Some(kernel) = kernel() else { return };
    let mut machine = launch(
        kernel,
        "1n1l1c1t",
        &Program::default().call_and_print(b"", 1).spin(),
    );
    let pid = machine.pid();
    next_call(&mut machine);
    machine.resume().unwrap();
    let started = Instant::now();
    let event = machine.next(started + Duration::from_millis(300)).unwrap();
    assert_eq!(event, Event::Deadline);
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(Box::new(machine).kill().reason, ExitReason::Killed);
    assert!(!alive(pid));
}

#[test]
fn qemus_death_is_reported_in_every_state() {
    let Some(kernel) = kernel() else { return };
    let program = Program::default().call_and_print(b"", 1).spin();
    let check = |running: bool| {
        let mut machine = launch(kernel.clone(), "1n1l1c1t", &program);
        if running {
            next_call(&mut machine);
            machine.resume().unwrap();
        }
        kill_9(machine.pid());
        if !running {
            machine.resume().unwrap();
        }
        let Event::Exit(ExitReason::Died { status, .. }) = next(&mut machine) else {
            panic!("another end; console:\n{}", console(&machine));
        };
        assert!(status.contains("signal: 9"), "{status}");
    };
    check(true);
    check(false);
}

#[test]
fn a_dropped_machine_is_gone() {
    let Some(kernel) = kernel() else { return };
    let machine = launch(kernel, "1n1l1c1t", &Program::default().spin());
    let pid = machine.pid();
    assert!(alive(pid));
    drop(machine);
    assert!(!alive(pid));
}

#[test]
fn a_machine_that_qemu_refuses_does_not_launch() {
    let Some(kernel) = kernel() else { return };
    let program = Program::default().spin();
    let check = |kernel: &Path, qemu: Option<&str>| {
        let mut configuration = config(kernel.to_owned(), "1n1l1c1t", &program);
        configuration.options.qemu = qemu.map(Into::into);
        TcgMachine::launch(&configuration).unwrap_err()
    };
    let error = check(Path::new("/etc/passwd"), None);
    assert!(
        matches!(&error, LaunchError::Ended { stderr, .. } if stderr.contains("kernel")),
        "{error}"
    );
    let error = check(Path::new("/no/such/kernel"), None);
    assert!(matches!(error, LaunchError::Kernel { .. }), "{error}");
    let error = check(&kernel, Some("/no/such/qemu"));
    assert!(matches!(error, LaunchError::Start { .. }), "{error}");
    let error = check(&kernel, Some("/bin/true"));
    assert!(matches!(error, LaunchError::Ended { .. }), "{error}");
}

/// What a killed owner leaves: nothing. The owner is this test program again, told by its environment to launch a
/// machine in one state, to print QEMU's process id and to wait for its end.
#[test]
fn qemu_does_not_outlive_a_killed_owner() {
    let Some(_) = kernel() else { return };
    for state in ["new", "frozen", "running"] {
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ends::owner_to_be_killed", "--ignored", "--nocapture"])
            .env(OWNER_STATE, state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
        let pid = lines
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("qemu is ")?.1.parse::<u32>().ok())
            .expect("the owner prints a process id");
        assert!(alive(pid), "{state}");
        owner.kill().unwrap();
        owner.wait().unwrap();
        let deadline = Instant::now() + GONE;
        while alive(pid) {
            assert!(Instant::now() < deadline, "QEMU outlives its {state} owner");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

const OWNER_STATE: &str = "SCHEDRIG_TEST_OWNER_STATE";

#[test]
#[ignore = "a part of qemu_does_not_outlive_a_killed_owner"]
fn owner_to_be_killed() {
    let Ok(state) = std::env::var(OWNER_STATE) else {
        return;
    };
    let Some(kernel) = kernel() else { return };
    let program = Program::default().call_and_print(b"", 1).spin();
    let mut machine = launch(kernel, "1n1l1c1t", &program);
    if state != "new" {
        next_call(&mut machine);
    }
    if state == "running" {
        machine.resume().unwrap();
    }
    println!("qemu is {}", machine.pid());
    std::thread::sleep(Duration::from_secs(600));
}

/// Is there such a process, and is it more than a zombie that somebody else has to reap?
fn alive(pid: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
        return false;
    };
    !status.contains("State:\tZ")
}

fn kill_9(pid: u32) {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}
