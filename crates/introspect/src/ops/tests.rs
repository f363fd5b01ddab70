//! Kernel ops on a kernel made by hand: each contract of part A.

use guestmem::GuestVirt;
use proptest::prelude::*;
use wire::kernel_op::{KernelOp, KernelOpReply, MAX_REASON, Mode, Target};

use super::*;
use crate::testing::{FakeGuest, FakeKernel, UNMAPPED};

const TYPES: &str = "
    struct list_head { struct list_head *next, *prev; };
    struct signal_struct { s32 nr_threads; struct list_head thread_head; };
    struct scx_rq { u32 flags; u32 nr_running; u64 clock; };
    struct rq { u32 nr_running; struct scx_rq scx; };
    struct kernel_cpustat { u64 cpustat[10]; };
    struct kernel_stat { u64 irqs_sum; };
    struct tick_sched { u64 flags; };
    struct cpumask { u64 bits[1]; };
    struct sched_class { u64 nothing; };
    struct scx_dispatch_q { u64 id; };
    struct sched_ext_entity { struct scx_dispatch_q *dsq; struct list_head runnable_node; u64 dsq_vtime; u32 weight; };
    struct task_struct { u32 __state; u8 on_rq; s32 pid; s32 tgid; u64 start_time; u64 start_boottime; char comm[16];
        struct list_head tasks; struct list_head thread_node; struct signal_struct *signal;
        struct task_struct *group_leader; struct sched_class *sched_class; struct sched_ext_entity scx; };
";

/// 20 ms, when the task of the tests has started.
const START: u64 = 20_000_000;

struct World {
    guest: FakeGuest,
    word: GuestVirt,
    task: GuestVirt,
}

impl World {
    fn new() -> World {
        World::without("")
    }

    /// Two CPUs, a symbol `word` of 64 bytes, and a task 7 that sleeps under sched_ext; one symbol is missing.
    fn without(symbol: &str) -> World {
        let mut kernel = FakeKernel::new(2, TYPES);
        let word = kernel.bytes_variable("word", 64);
        kernel.per_cpu("runqueues", "rq");
        let class = kernel.variable("ext_sched_class", "sched_class");
        let init = kernel.variable("init_task", "task_struct");
        let head = kernel.at(init, "task_struct", "tasks");
        kernel.list_init(head);
        let task = kernel.alloc("task_struct");
        let signal = kernel.alloc("signal_struct");
        let threads = kernel.at(signal, "signal_struct", "thread_head");
        kernel.list_init(threads);
        for (field, value) in [
            ("pid", 7),
            ("__state", 1),
            ("start_time", START),
            ("start_boottime", START),
            ("signal", signal.0),
            ("sched_class", class.0),
        ] {
            kernel.set(task, "task_struct", field, value);
        }
        kernel.list_add_tail(kernel.at(task, "task_struct", "tasks"), head);
        kernel.list_add_tail(kernel.at(task, "task_struct", "thread_node"), threads);
        kernel.forget(symbol);
        World {
            guest: kernel.built(),
            word,
            task,
        }
    }

    /// Sets a field of the task.
    fn set(&self, field: &str, value: u64) {
        let kernel = self.guest.kernel();
        let task = kernel.object(self.task, "task_struct").unwrap();
        task.field(field).unwrap().write(value).unwrap();
    }

    /// Where a field of the task is.
    fn at(&self, field: &str) -> GuestVirt {
        let kernel = self.guest.kernel();
        let task = kernel.object(self.task, "task_struct").unwrap();
        task.field(field).unwrap().address()
    }

    fn value_at(&self, at: GuestVirt) -> u64 {
        self.guest.kernel().read_u64(at).unwrap()
    }

    fn write(&self, entries: Vec<KernelOp>) -> KernelOpReply {
        self.perform(&KernelOpRequest::write("t", entries))
    }

    fn read(&self, entries: Vec<KernelOp>) -> KernelOpReply {
        self.perform(&KernelOpRequest::read("t", entries))
    }

    fn perform(&self, request: &KernelOpRequest) -> KernelOpReply {
        perform(&self.guest.kernel(), request)
    }

    fn refused_write(&self, op: KernelOp) -> String {
        reason(&self.write(vec![op]))
    }

    fn refused_read(&self, op: KernelOp) -> String {
        reason(&self.read(vec![op]))
    }
}

fn reason(reply: &KernelOpReply) -> String {
    assert!(!reply.success, "{reply:?}");
    assert!(reply.read_values.is_empty(), "{reply:?}");
    let reason = reply.reason.strip_prefix("entry[0]: ");
    reason.unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

fn word() -> Target {
    Target::symbol("word")
}

/// A1: the first entry that fails ends the batch; what came before stays, what comes after is not touched.
#[test]
fn a_failing_entry_ends_the_batch_and_what_was_written_stays() {
    let world = World::new();
    let at = world.word.0;
    let reply = world.write(vec![
        word().u64(5),
        Target::symbol("nothing").u32(1),
        Target::kva(at + 8).u64(6),
    ]);
    assert!(!reply.success);
    assert!(reply.reason.starts_with("entry[1]: "), "{}", reply.reason);
    assert_eq!(world.value_at(world.word), 5);
    assert_eq!(world.value_at(GuestVirt(at + 8)), 0);
}

/// A2: a success echoes the request, says nothing, and brings a value for each entry of a read and none of a write.
#[test]
fn a_reply_echoes_its_request_and_brings_a_value_for_each_entry_that_reads() {
    let world = World::new();
    let reply = world.write(vec![word().u64(0x1_0000_0002)]);
    assert_eq!(
        (reply.success, reply.reason.as_str(), reply.read_values.len()),
        (true, "", 0)
    );
    let request = KernelOpRequest {
        request_id: 42,
        ..KernelOpRequest::read("t", vec![word().u32(0), word().u64(0), word().bytes(vec![0; 5])])
    };
    let reply = world.perform(&request);
    assert_eq!(reply.request_id, 42);
    assert_eq!(
        reply.read_values,
        [
            OpValue::U32(2),
            OpValue::U64(0x1_0000_0002),
            OpValue::Bytes(vec![2, 0, 0, 0, 1])
        ]
    );
}

/// A3: of a read that failed there are no values, not even those that were read.
#[test]
fn a_read_that_failed_brings_no_values() {
    let reply = World::new().read(vec![word().u32(0), Target::symbol("nothing").u32(0)]);
    assert!(!reply.success && reply.reason.starts_with("entry[1]: "));
    assert_eq!(reply.read_values, []);
}

/// A4: nothing to do is done.
#[test]
fn an_empty_batch_succeeds_both_ways() {
    let world = World::new();
    let reply = world.write(Vec::new());
    assert!(reply.success);
    assert!(world.read(Vec::new()).success);
}

/// A5: what a hint holds is ignored, its width is not.
#[test]
fn the_width_of_a_read_is_that_of_its_hint() {
    let world = World::new();
    world.write(vec![word().u64(0x0102_0304_0506_0708)]);
    let hints = vec![word().u32(99), word().u64(99), word().bytes(vec![9, 9])];
    let reply = world.read(hints);
    assert_eq!(
        reply.read_values,
        [
            OpValue::U32(0x0506_0708),
            OpValue::U64(0x0102_0304_0506_0708),
            OpValue::Bytes(vec![8, 7])
        ]
    );
}

/// A6: to read with an OR is refused for every target, with the mask and the width that is meant.
#[test]
fn an_or_is_refused_in_every_read() {
    let targets = [
        word(),
        Target::direct(0xffff_8880_0000_0000),
        Target::kva(u64::MAX - 8),
        Target::per_cpu("runqueues", 0, "scx.flags"),
        Target::task(7, START, "scx.weight"),
    ];
    for target in targets {
        let reason = World::new().refused_read(target.or_u32(0xbeef));
        assert!(reason.contains("0xbeef") && reason.contains("U32"), "{reason}");
    }
}

/// A7: an OR sets the bits of its mask, leaves the others, and does nothing where they are set; a task's field has none.
/// It is the same in one step that a running guest cannot come between.
#[test]
fn an_or_sets_bits_and_leaves_the_others() {
    for mode in [Mode::Cold, Mode::Hot] {
        let world = World::new();
        let direct = world.at("scx.weight").0;
        let targets = [
            word(),
            Target::kva(world.word.0 + 16),
            Target::direct(direct),
            Target::per_cpu("runqueues", 1, "scx.flags"),
        ];
        for target in targets {
            for mask in [0b0101, 0b0110, 0b0110] {
                let request = KernelOpRequest {
                    mode,
                    ..KernelOpRequest::write("t", vec![target.clone().or_u32(mask)])
                };
                let reply = world.perform(&request);
                assert!(reply.success, "{reply:?}");
            }
            let reply = world.read(vec![target.u32(0)]);
            assert_eq!(reply.read_values, [OpValue::U32(0b0111)]);
        }
    }
    let reason = World::new().refused_write(Target::task(7, START, "scx.weight").or_u32(8));
    assert!(reason.contains("0x8") && reason.contains("task"), "{reason}");
}

/// A9: a symbol needs no range, and one that there is not is named.
#[test]
fn a_symbol_that_there_is_not_is_named() {
    let reason = World::new().refused_write(Target::symbol("no_such_thing").u32(1));
    assert!(reason.contains("no_such_thing"), "{reason}");
}

/// A10: bytes of the direct map, from the first to the last.
#[test]
fn addresses_of_the_direct_map_are_checked_to_the_byte() {
    let map = DirectMap {
        base: 0xffff_8880_0000_0000,
        size: 0x1000,
    };
    assert!(map.check(map.base, 4).is_ok());
    assert!(map.check(map.base + 0xffc, 4).is_ok());
    assert!(map.check(map.base, 0x1000).is_ok());
    for (kva, len, words) in [
        (map.base + 0xffd, 4, "overruns"),
        (map.base + 0x1000, 1, "overruns"),
        (map.base - 1, 4, "would wrap"),
        (u64::MAX - 2, 8, "overflow"),
    ] {
        let error = map.check(kva, len).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains(&format!("{kva:#x}")),
            "{error}"
        );
    }
    let below = map.check(map.base - 1, 4).unwrap_err().to_string();
    assert!(below.contains(&format!("{:#x}", map.base)), "{below}");
    let endless = DirectMap {
        size: u64::MAX,
        ..map
    };
    assert!(matches!(
        endless.check(map.base, 4),
        Err(RangeError::MapOverflow { .. })
    ));
}

/// A11: the kernel's half begins below any kernel's addresses, and a range has an end.
#[test]
fn an_address_that_is_not_the_kernels_is_refused_and_a_symbol_is_advised() {
    for kva in [
        KVA_FROM,
        0xff11_0000_0000_0000,
        0xffff_c900_0000_0000,
        0xffff_ffff_8100_0000,
    ] {
        assert!(check_kva(kva, 8).is_ok(), "{kva:#x}");
    }
    for kva in [0, 0x7fff_ffff_ffff, KVA_FROM - 1] {
        let error = check_kva(kva, 4).unwrap_err().to_string();
        for words in [
            format!("{kva:#x}"),
            format!("{KVA_FROM:#x}"),
            "kernel-half".into(),
            "Symbol".into(),
        ] {
            assert!(error.contains(&words), "{error}");
        }
    }
    assert!(matches!(check_kva(u64::MAX, 4), Err(RangeError::Overflow { .. })));
    // A12: it is strictly below the half of four levels of page tables.
    const { assert!(KVA_FROM < 0xffff_8000_0000_0000) };
}

/// A12: an address of the kernel's half at which nothing is.
#[test]
fn a_page_that_is_not_mapped_is_told() {
    let reason = World::new().refused_read(Target::kva(UNMAPPED.0).u32(0));
    assert!(reason.contains("page unmapped"), "{reason}");
    let reason = World::new().refused_write(Target::kva(UNMAPPED.0).u64(1));
    assert!(reason.contains("page unmapped"), "{reason}");
    let reason = World::new().refused_read(Target::kva(UNMAPPED.0).bytes(vec![0; 3]));
    assert!(reason.contains("unmapped or short"), "{reason}");
    let reason = World::new().refused_write(Target::kva(UNMAPPED.0).bytes(vec![0; 3]));
    assert!(reason.contains("unmapped or short"), "{reason}");
}

/// A13: every kind of access by address is checked, reads as well as writes.
#[test]
fn every_access_by_address_is_checked() {
    for target in [Target::direct(0x1000), Target::kva(0x1000)] {
        let writes = [
            target.clone().u32(1),
            target.clone().u64(1),
            target.clone().bytes(vec![1]),
            target.clone().or_u32(1),
        ];
        let reads = [
            target.clone().u32(0),
            target.clone().u64(0),
            target.clone().bytes(vec![0]),
        ];
        let refused = writes
            .into_iter()
            .map(|op| World::new().refused_write(op))
            .chain(reads.into_iter().map(|op| World::new().refused_read(op)));
        for reason in refused {
            assert!(reason.contains("0x1000") && reason.contains("below"), "{reason}");
        }
    }
}

/// A17: numbers of 32 and 64 bits, and no bytes; a number that is wider than the field would overwrite its neighbour.
#[test]
fn a_per_cpu_field_is_a_number_of_its_own_width() {
    let field = || Target::per_cpu("runqueues", 1, "scx.clock");
    let world = World::new();
    let reply = world.write(vec![field().u64(u64::MAX), field().u32(1)]);
    assert!(reply.success, "{reply:?}");
    let reply = world.read(vec![field().u64(0)]);
    assert_eq!(reply.read_values, [OpValue::U64(0xffff_ffff_0000_0001)]);
    let reason = World::new().refused_write(field().bytes(vec![1]));
    assert!(reason.contains("number"), "{reason}");
    let reason = World::new().refused_read(field().bytes(vec![1]));
    assert!(reason.contains("number"), "{reason}");
    let reason = World::new().refused_write(Target::per_cpu("runqueues", 1, "scx.flags").u64(1));
    assert!(reason.contains("neighbour"), "{reason}");
}

/// A18: a task's field is a number; the task is looked for first, and the field last.
#[test]
fn a_bad_field_of_a_task_that_may_not_be_written_is_not_what_is_told() {
    let field = |name: &str| Target::task(7, START, name);
    let world = World::new();
    let reply = world.write(vec![field("scx.dsq_vtime").u64(99), field("scx.weight").u32(3)]);
    assert!(reply.success, "{reply:?}");
    let reply = world.read(vec![field("scx.dsq_vtime").u64(0)]);
    assert_eq!(reply.read_values, [OpValue::U64(99)]);
    world.set("on_rq", 1);
    let reason = world.refused_write(field("no_such").u64(1));
    assert!(reason.contains("runqueue"), "{reason}");
    let reason = World::new().refused_write(field("no_such").u64(1));
    assert!(reason.contains("no_such"), "{reason}");
    let reason = World::new().refused_write(field("comm").bytes(vec![1]));
    assert!(reason.contains("number"), "{reason}");
    for symbol in ["init_task", "ext_sched_class"] {
        let reason = World::without(symbol).refused_write(Target::task(8, 0, "no_such").u64(1));
        assert!(reason.contains(symbol), "{reason}");
    }
    let reason = World::new().refused_write(Target::task(8, 0, "no_such").u64(1));
    assert!(reason.contains("no task has pid 8: 1 visited"), "{reason}");
}

/// A22: what is wrong first is told first.
#[test]
fn the_first_reason_why_a_task_may_not_be_written_is_told() {
    let op = || Target::task(7, START, "scx.dsq_vtime").u64(1);
    // From the last check to the first, each one more thing that is wrong.
    let world = World::new();
    world.set("scx.runnable_node.next", world.at("scx.runnable_node").0);
    let reply = world.write(vec![op()]);
    assert!(reply.success, "on a list of its own: {reply:?}");
    for (field, value, words) in [
        ("start_boottime", 0, "has not started"),
        ("sched_class", 0xffff_ffff_8000_0000, "SchedPolicy::Ext"),
        (
            "scx.runnable_node.next",
            0xffff_8880_0000_1000,
            "list of the runnable",
        ),
        ("scx.dsq", 0xffff_8880_0000_2000, "in the DSQ"),
        ("on_rq", 1, "on a runqueue"),
        ("__state", 0x80, "dead"),
        ("start_time", START - 1, "PID recycled"),
    ] {
        world.set(field, value);
        let reply = world.write(vec![op()]);
        assert!(reason(&reply).contains(words), "{reply:?}");
    }
    // L7, the policy, is not looked at: it says SCHED_NORMAL of most tasks that sched_ext has.
}

/// A23: a task that started within the 10 ms from the time that was told is the one.
#[test]
fn a_task_that_started_at_another_time_has_another_ones_pid() {
    const MS: i64 = 1_000_000;
    for (later, same) in [
        (-1, false),
        (0, true),
        (5 * MS, true),
        (10 * MS, false),
        (20 * MS, false),
    ] {
        let world = World::new();
        world.set("start_time", START.wrapping_add_signed(later));
        let reply = world.write(vec![Target::task(7, START, "scx.dsq_vtime").u64(1)]);
        assert_eq!(reply.success, same, "{later}: {reply:?}");
        assert!(same || reply.reason.contains("PID recycled"), "{reply:?}");
    }
}

/// A24: who is told that a task does not sleep is told what to do.
#[test]
fn a_task_that_does_not_sleep_is_given_advice() {
    for (field, value, words) in [
        ("on_rq", 1, "work that blocks"),
        ("scx.dsq", 0xffff_8880_0000_2000, "work that blocks"),
        (
            "scx.runnable_node.next",
            0xffff_8880_0000_2000,
            "work that blocks",
        ),
        ("sched_class", 0xffff_ffff_8000_0000, "SchedPolicy::Ext"),
    ] {
        let world = World::new();
        world.set(field, value);
        let reason = world.refused_write(Target::task(7, START, "scx.dsq_vtime").u64(1));
        assert!(reason.contains(words), "{reason}");
    }
}

/// A26, F14: a reason is never longer than a reply has room for.
#[test]
fn a_long_reason_is_cut() {
    let name = "é".repeat(300);
    let reply = World::new().write(vec![Target::symbol(&name).u32(1)]);
    assert!(
        reply.reason.len() <= MAX_REASON && reply.reason.starts_with("entry[0]: "),
        "{reply:?}"
    );
}

/// F14: what would not fit a reply is refused before it is read.
#[test]
fn a_read_that_exceeds_a_reply_is_refused() {
    let half = || Target::direct(0xffff_8880_0100_0000).bytes(vec![0; 600 << 10]);
    let reply = World::new().read(vec![half(), half()]);
    assert!(
        !reply.success && reply.reason.contains("ask for less"),
        "{}",
        reply.reason
    );
}

proptest! {
    /// A10, A11: whatever the address, a check gives an answer, and the right one.
    #[test]
    fn no_address_is_accepted_that_is_not_within(kva: u64, len in 0u64..1 << 40, base: u64, size: u64) {
        let within = |from: u128, to: u128| {
            u128::from(kva) >= from && u128::from(kva) + u128::from(len) <= to
        };
        let end = u128::from(base) + u128::from(size);
        let fits = end <= u128::from(u64::MAX) && within(base.into(), end);
        prop_assert_eq!(DirectMap { base, size }.check(kva, len).is_ok(), fits);
        prop_assert_eq!(check_kva(kva, len).is_ok(), within(KVA_FROM.into(), u64::MAX.into()));
    }
}
