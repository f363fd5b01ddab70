//! The shape that was declared is the shape that the guest's kernel sees.

use std::collections::BTreeMap;

use guestmem::GuestVirt;
use kimage::KernelImage;
use machine::{Event, ExitReason, HookSpec, Machine, Registers};
use spec::Topology;

use crate::program::Program;
use crate::support::{console, kernel, launch, next};
use schedrig_machine_tcg::TcgMachine;

/// Every preset up to 16 CPUs, and counts that are no power of two.
const SHAPES: [&str; 12] = [
    "1n1l1c1t", "1n1l2c1t", "1n2l1c1t", "1n2l2c1t", "2n2l2c1t", "1n2l2c2t", "1n2l4c1t", "2n4l2c2t",
    "1n4l4c1t", "2n4l4c1t", "1n3l1c2t", "2n6l1c1t",
];

#[test]
fn every_shape_is_seen_by_the_guest() {
    let Some(kernel) = kernel() else { return };
    for shape in SHAPES {
        let topology: Topology = shape.parse().unwrap();
        let mut program = Program::default().mount_sysfs();
        let expected = expected(topology);
        for path in expected.keys() {
            program = program.print_file(path);
        }
        let mut machine = launch(kernel.clone(), shape, &program.power_off());
        machine.resume().unwrap();
        let end = next(&mut machine);
        let console = console(&machine);
        assert_eq!(end, Event::Exit(ExitReason::PoweredOff), "{shape}:\n{console}");
        let seen: BTreeMap<String, String> = console
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(path, _)| path.starts_with("/sys/"))
            .map(|(path, value)| (path.to_owned(), value.trim().to_owned()))
            .collect();
        assert_eq!(seen, expected, "{shape}");
    }
}

#[test]
fn a_machine_with_64_cpus_boots() {
    let Some(kernel) = kernel() else { return };
    let online = "/sys/devices/system/cpu/online";
    let program = Program::default().mount_sysfs().print_file(online).power_off();
    let symbols = KernelImage::read(&kernel).unwrap().symbols().unwrap();
    let address = |name| GuestVirt(symbols.address_of(name).unwrap());
    let mut machine = launch(kernel, "2n8l8c1t", &program);
    machine.hook(address("start_kernel"), HookSpec::ALWAYS).unwrap();
    machine.resume().unwrap();
    let Event::Hook(hit) = next(&mut machine) else {
        panic!("no start_kernel; console:\n{}", console(&machine));
    };
    set_timer_period(&machine, address("lapic_timer_period"), &hit.registers);
    machine.resume().unwrap();
    let end = next(&mut machine);
    let console = console(&machine);
    assert_eq!(end, Event::Exit(ExitReason::PoweredOff), "{console}");
    assert!(console.contains(&format!("{online}: 0-63")), "{console}");
}

/// Tells the kernel its local APIC timer's period, as CPUID leaf 0x15 would if QEMU had it; else the kernel measures it
/// (`calibrate_APIC_clock`) for 0.2 s of guest time with `pause` instructions, each of which sends QEMU once around all
/// vCPUs: with 64 of them that takes many minutes.
fn set_timer_period(machine: &TcgMachine, lapic_timer_period: GuestVirt, at_start_kernel: &Registers) {
    /// QEMU's APIC timer runs at 1 GHz, and the tests' kernels have `CONFIG_HZ=250`.
    const NS_PER_JIFFY: u32 = 1_000_000_000 / 250;
    let space = at_start_kernel.address_space(machine.memory());
    space
        .write(lapic_timer_period, &NS_PER_JIFFY.to_le_bytes())
        .unwrap();
}

/// What sysfs has to say about `topology`: file by file.
fn expected(topology: Topology) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let per_core = topology.threads_per_core();
    let per_llc = topology.cpus_per_llc();
    let per_node = topology.cpus() / topology.numa_nodes();
    for cpu in 0..topology.cpus() {
        let dir = format!("/sys/devices/system/cpu/cpu{cpu}");
        let group = |size: u32| list(cpu / size * size, size);
        files.insert(format!("{dir}/topology/thread_siblings_list"), group(per_core));
        files.insert(format!("{dir}/topology/package_cpus_list"), group(per_node));
        files.insert(format!("{dir}/cache/index3/shared_cpu_list"), group(per_llc));
        files.insert(format!("{dir}/cache/index3/level"), "3".to_owned());
    }
    for node in 0..topology.numa_nodes() {
        let dir = format!("/sys/devices/system/node/node{node}");
        let distance = |other| if other == node { "10" } else { "20" };
        let distances: Vec<_> = (0..topology.numa_nodes()).map(distance).collect();
        files.insert(format!("{dir}/cpulist"), list(node * per_node, per_node));
        files.insert(format!("{dir}/distance"), distances.join(" "));
    }
    let nodes = list(0, topology.numa_nodes());
    files.insert("/sys/devices/system/node/has_memory".to_owned(), nodes);
    files
}

/// `count` numbers from `first` in the kernel's list format.
fn list(first: u32, count: u32) -> String {
    match count {
        1 => first.to_string(),
        _ => format!("{first}-{}", first + count - 1),
    }
}
