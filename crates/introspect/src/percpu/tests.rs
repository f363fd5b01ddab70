//! Variables of one CPU: which can be named, where they are, and what is said first when they are not found.

use super::*;
use crate::testing::{FakeKernel, UNMAPPED};

const TYPES: &str = "
    struct load { u64 weight; u32 inv_weight; };
    struct fair { struct load load; u64 clock[2]; };
    struct rq { u32 nr_running; struct fair cfs; };
    struct kernel_cpustat { u64 cpustat[10]; };
    struct kernel_stat { u64 irqs_sum; u32 softirqs[10]; };
    struct tick_sched { u64 flags; };
    struct cpumask { u64 bits[1]; };
    struct rq other;
";

fn kernel() -> FakeKernel {
    FakeKernel::new(2, TYPES)
}

/// What is said of `runqueues` of a CPU.
fn refused(kernel: FakeKernel, cpu: u32) -> PerCpuError {
    let guest = kernel.built();
    match guest.kernel().named_per_cpu("runqueues", cpu).unwrap_err() {
        ReadError::PerCpu(error) => *error,
        other => panic!("{other}"),
    }
}

/// A14: exactly four variables can be named, each with its type; any other is refused with the list of them.
#[test]
fn four_variables_can_be_named_and_each_has_its_type() {
    let expected = [
        ("runqueues", "rq"),
        ("kernel_cpustat", "kernel_cpustat"),
        ("kstat", "kernel_stat"),
        ("tick_cpu_sched", "tick_sched"),
    ];
    let mut kernel = kernel();
    for (symbol, structure) in expected {
        kernel.per_cpu(symbol, structure);
    }
    kernel.per_cpu("other", "rq");
    let guest = kernel.built();
    let kernel = guest.kernel();
    for (symbol, structure) in expected {
        let own = kernel.named_per_cpu(symbol, 1).unwrap();
        assert_eq!(own.describe(), format!("struct {structure} at {}", own.address()));
    }
    for symbol in ["other", "rq", "nothing", ""] {
        let error = kernel.named_per_cpu(symbol, 0).unwrap_err().to_string();
        let list = "runqueues, kernel_cpustat, kstat, tick_cpu_sched";
        assert_eq!(
            error,
            format!("no per-CPU variable {symbol} that has a type; available: {list}")
        );
    }
}

/// A15: of several things that are wrong the first is told. Types cannot be absent: no [`DebugInfo`](crate::DebugInfo)
/// is without them.
#[test]
fn what_is_wrong_first_is_told_first() {
    // No rq in these types, no symbol, no offsets.
    let nothing = || {
        let mut kernel = FakeKernel::new(2, "struct cpumask { u64 bits[1]; };");
        kernel.forget("__per_cpu_offset");
        kernel
    };
    let guest = nothing().built();
    let error = guest.kernel().named_per_cpu("jiffies", 7).unwrap_err();
    assert!(
        error.to_string().starts_with("no per-CPU variable jiffies"),
        "{error}"
    );
    let error = refused(nothing(), 7);
    assert!(matches!(error, PerCpuError::NoTemplate { .. }), "{error}");
    assert!(error.is_absent());

    let mut kernel = nothing();
    kernel.bytes_variable("runqueues", 64);
    let error = refused(kernel, 7);
    assert_eq!(error, PerCpuError::NoOffsets);
    assert!(error.is_absent());
}

/// A15: an offset of 0 is right for CPU 0 alone.
#[test]
fn a_cpu_whose_offset_is_zero_has_no_area_unless_it_is_the_first() {
    let mut kernel = kernel();
    kernel.per_cpu("runqueues", "rq");
    let offsets = kernel.bytes_variable("__per_cpu_offset", 16);
    let template = kernel.bytes_variable("runqueues", 64);
    let guest = kernel.built();
    let kernel = guest.kernel();
    assert_eq!(kernel.per_cpu_address("runqueues", 0).unwrap(), template);
    let error = kernel.per_cpu_address("runqueues", 1).unwrap_err();
    assert!(error.to_string().contains("CPU 1 has no per-CPU area"), "{error}");
    assert!(!error.is_absent());
    // A CPU that the kernel does not count has none, whatever lies behind the array.
    let behind = offsets.wrapping_add(16);
    assert_ne!(kernel.read_u64(behind.wrapping_add(48)).ok(), Some(0xdead));
    let error = kernel.per_cpu_address("runqueues", 2).unwrap_err();
    assert!(error.to_string().contains("the kernel knows 2 CPUs"), "{error}");
}

/// A15: an address below the direct map is no kernel's; template, slide and offset are told.
#[test]
fn an_address_below_the_direct_map_is_told_with_its_parts() {
    let mut kernel = kernel();
    let template = kernel.bytes_variable("runqueues", 64);
    let offsets = kernel.bytes_variable("__per_cpu_offset", 16);
    let offset = 0x1234u64.wrapping_sub(template.0);
    kernel.write(offsets.wrapping_add(8), &offset.to_le_bytes());
    let guest = kernel.built();
    let kernel = guest.kernel();
    let error = kernel.named_per_cpu("runqueues", 1).unwrap_err().to_string();
    let slide = kernel.placement().slide;
    for part in [
        "at 0x1234".to_owned(),
        format!("template {:#x}", template.0 - slide),
        format!("slide {slide:#x}"),
        format!("offset {offset:#x}"),
    ] {
        assert!(
            error.replace("0x0000000000001234", "0x1234").contains(&part),
            "{error}"
        );
    }
}

/// A15: last come the struct, the field, and whether its memory is there.
#[test]
fn struct_then_field_then_memory() {
    let place = |types: &str| {
        let mut kernel = FakeKernel::new(2, types);
        let template = kernel.bytes_variable("runqueues", 64);
        let offsets = kernel.bytes_variable("__per_cpu_offset", 16);
        let offset = UNMAPPED.0.wrapping_sub(template.0);
        kernel.write(offsets.wrapping_add(8), &offset.to_le_bytes());
        kernel.built()
    };
    let guest = place("struct cpumask { u64 bits[1]; };");
    let error = guest.kernel().named_per_cpu("runqueues", 1).unwrap_err();
    assert!(matches!(error, ReadError::NoType(_)), "{error}");
    let guest = place(TYPES);
    let kernel = guest.kernel();
    let rq = kernel.named_per_cpu("runqueues", 1).unwrap();
    let error = rq.u64("cfs.gone").unwrap_err();
    assert!(matches!(error, ReadError::NoField(_)), "{error}");
    let error = rq.u64("cfs.load.weight").unwrap_err();
    assert!(matches!(error, ReadError::Memory { .. }), "{error}");
}

/// A16: the slid template plus the CPU's offset; a field is a path with dots.
#[test]
fn a_cpus_own_variable_is_its_template_slid_plus_its_offset() {
    let mut kernel = kernel();
    let own = kernel.per_cpu("runqueues", "rq");
    kernel.set(own[0], "rq", "cfs.load.weight", 1024);
    kernel.set(own[1], "rq", "cfs.load.weight", 2048);
    kernel.set(own[1], "rq", "cfs.clock[1]", 77);
    let guest = kernel.built();
    let kernel = guest.kernel();
    let slide = kernel.placement().slide;
    let link = guest.info.symbols.address_of("runqueues").unwrap();
    let offsets = kernel.symbol("__per_cpu_offset").unwrap();
    for cpu in 0..2u32 {
        let offset = kernel.read_u64(offsets.wrapping_add(u64::from(cpu) * 8)).unwrap();
        let expected = GuestVirt(link.wrapping_add(slide).wrapping_add(offset));
        assert_eq!(kernel.per_cpu_address("runqueues", cpu).unwrap(), expected);
        assert_eq!(expected, own[cpu as usize]);
    }
    let weight = |cpu| {
        kernel
            .per_cpu("runqueues", cpu)
            .unwrap()
            .u64("cfs.load.weight")
            .unwrap()
    };
    assert_eq!((weight(0), weight(1)), (1024, 2048));
    let clock = kernel
        .per_cpu("runqueues", 1)
        .unwrap()
        .u64("cfs.clock[1]")
        .unwrap();
    assert_eq!(clock, 77);
}

/// A16: the slide is added to templates from 2^48 on; older kernels' are offsets, which do not move.
#[test]
fn only_templates_that_are_addresses_are_slid() {
    let guest = kernel().built();
    let kernel = guest.kernel();
    let place = kernel.placement();
    assert_ne!(place.slide, 0);
    for offset in [0, 0x2d_4000, (1 << 48) - 1] {
        assert_eq!(place.slid(offset), GuestVirt(offset));
    }
    for address in [1 << 48, 0xffff_ffff_8180_0000] {
        assert_eq!(place.slid(address), GuestVirt(address + place.slide));
    }
}

/// A16: offsets are read by the image's arithmetic, so also where page tables are of no use.
#[test]
fn offsets_are_read_without_page_tables() {
    let mut kernel = kernel();
    let own = kernel.per_cpu("runqueues", "rq");
    let guest = kernel.built();
    let mut place = *guest.kernel().placement();
    place.tables = guestmem::PageTables::X86_64 {
        cr3: 1 << 50,
        levels: guestmem::x86_64::Levels::Four,
    };
    let kernel = GuestKernel::frozen(&guest.info, &guest.mem, place);
    assert_eq!(kernel.per_cpu_address("runqueues", 1).unwrap(), own[1]);
}

#[test]
fn a_number_of_cpus_that_no_kernel_has_is_told_and_not_taken() {
    for count in [0, 8193, u32::MAX] {
        let mut kernel = kernel();
        kernel.per_cpu("runqueues", "rq");
        kernel.variable("__cpu_possible_mask", "cpumask");
        let nr_cpu_ids = kernel.bytes_variable("nr_cpu_ids", 4);
        kernel.write(nr_cpu_ids, &count.to_le_bytes());
        let guest = kernel.built();
        let kernel = guest.kernel();
        for error in [
            kernel.nr_cpu_ids().unwrap_err(),
            kernel.possible_cpus().unwrap_err(),
            kernel.per_cpu_address("runqueues", 0).unwrap_err(),
        ] {
            assert!(error.to_string().starts_with("nr_cpu_ids is"), "{error}");
        }
    }
}

#[test]
fn a_kernel_whose_number_of_cpus_is_a_constant_counts_its_mask() {
    let mut kernel = kernel();
    kernel.forget("nr_cpu_ids");
    let mask = kernel.variable("__cpu_possible_mask", "cpumask");
    kernel.write(mask, &0b1011u64.to_le_bytes());
    let guest = kernel.built();
    assert_eq!(guest.kernel().nr_cpu_ids().unwrap(), 4);
    assert_eq!(guest.kernel().possible_cpus().unwrap().to_string(), "0-1,3");
}
