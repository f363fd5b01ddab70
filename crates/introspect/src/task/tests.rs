//! Tasks of a kernel made by hand: the contracts of the walk, each broken in turn.

use guestmem::GuestVirt;

use super::walk::TasksError;
use super::*;
use crate::ReadError;
use crate::testing::{FakeGuest, FakeKernel, UNMAPPED};

/// `pid` and `on_rq` of the widths that kernels have had.
fn types(pid: &str, on_rq: &str, start: &str) -> String {
    format!(
        "struct list_head {{ struct list_head *next, *prev; }};
         struct signal_struct {{ s32 nr_threads; struct list_head thread_head; }};
         struct task_struct {{ u32 __state; {on_rq} on_rq; {pid}; s32 tgid; {start} start_time;
             {start} start_boottime; char comm[16]; struct list_head tasks; struct list_head thread_node;
             struct signal_struct *signal; struct task_struct *group_leader; }};"
    )
}

struct World {
    kernel: FakeKernel,
    init: GuestVirt,
}

impl World {
    fn new() -> World {
        World::of(&types("s32 pid", "u8", "u64"))
    }

    /// Only `init_task`.
    fn of(types: &str) -> World {
        let mut kernel = FakeKernel::new(1, types);
        let init = kernel.variable("init_task", "task_struct");
        let world = World { kernel, init };
        world
            .kernel
            .list_init(world.kernel.at(init, "task_struct", "tasks"));
        world
    }

    fn leader(&mut self, pid: u64) -> GuestVirt {
        let task = self.kernel.alloc("task_struct");
        let signal = self.kernel.alloc("signal_struct");
        let head = self.kernel.at(signal, "signal_struct", "thread_head");
        self.kernel.list_init(head);
        self.kernel.set(task, "task_struct", "pid", pid);
        self.kernel.set(task, "task_struct", "signal", signal.0);
        self.append(task, "tasks", self.at(self.init, "tasks"));
        self.append(task, "thread_node", head);
        task
    }

    fn thread(&mut self, leader: GuestVirt, pid: u64) -> GuestVirt {
        let task = self.kernel.alloc("task_struct");
        self.kernel.set(task, "task_struct", "pid", pid);
        let signal = self.kernel.get(leader, "task_struct", "signal");
        let head = self.kernel.at(GuestVirt(signal), "signal_struct", "thread_head");
        self.append(task, "thread_node", head);
        task
    }

    fn append(&self, task: GuestVirt, member: &str, head: GuestVirt) {
        self.kernel.list_add_tail(self.at(task, member), head);
    }

    fn at(&self, task: GuestVirt, member: &str) -> GuestVirt {
        self.kernel.at(task, "task_struct", member)
    }

    /// Makes a task's `next` in one of its lists lead elsewhere.
    fn lead(&self, task: GuestVirt, member: &str, to: GuestVirt) {
        self.kernel.set(self.at(task, member), "list_head", "next", to.0);
    }

    fn built(self) -> FakeGuest {
        self.kernel.built()
    }
}

fn pids(guest: &FakeGuest) -> (Vec<i64>, Vec<ReadError>) {
    let kernel = guest.kernel();
    let found = all(&kernel).unwrap();
    let pids = found.tasks.iter().map(|task| task.pid().unwrap());
    (pids.collect(), found.problems)
}

fn broken(guest: &FakeGuest, pid: i64) -> TasksError {
    match by_pid(&guest.kernel(), pid) {
        Err(ReadError::Tasks(error)) => *error,
        other => panic!("{other:?}"),
    }
}

/// A19: leaders by `init_task.tasks`, then each leader's threads; the leader once, `init_task` never.
#[test]
fn a_walk_visits_each_leader_once_and_its_threads_and_never_init_task() {
    let mut world = World::new();
    let one = world.leader(1);
    let two = world.leader(20);
    world.thread(one, 2);
    world.thread(two, 21);
    world.thread(one, 3);
    let guest = world.built();
    assert_eq!(pids(&guest), (vec![1, 2, 3, 20, 21], Vec::new()));
    let kernel = guest.kernel();
    let thread = by_pid(&kernel, 21).unwrap();
    assert_eq!(thread.pid(), Ok(21));
    assert_eq!(broken(&guest, 0), TasksError::NotFound { pid: 0, visited: 5 });
}

/// A20: one cap for both tiers together.
#[test]
fn a_walk_ends_at_its_cap_which_leaders_and_threads_share() {
    let mut world = World::new();
    let one = world.leader(1);
    let threads = MOST_TASKS as u64 - 2;
    for pid in 0..threads {
        world.thread(one, 10 + pid);
    }
    world.leader(2);
    world.leader(3);
    let guest = world.built();
    assert!(by_pid(&guest.kernel(), 2).is_ok());
    let visited = MOST_TASKS;
    assert_eq!(broken(&guest, 3), TasksError::TooMany { visited });
}

/// A20: an empty list.
#[test]
fn a_kernel_without_tasks_is_told_as_such() {
    let world = World::new();
    let head = world.at(world.init, "tasks");
    assert_eq!(broken(&world.built(), 1), TasksError::Empty { head });
}

/// A20: a zero `next` of a leader.
#[test]
fn a_list_of_leaders_that_ends_in_zero_is_an_error() {
    let mut world = World::new();
    let one = world.leader(1);
    world.lead(one, "tasks", GuestVirt(0));
    let at = world.at(one, "tasks");
    assert_eq!(broken(&world.built(), 9), TasksError::ZeroNext { at, visited: 1 });
}

/// A20: a leader that is not mapped.
#[test]
fn a_leader_that_is_not_mapped_is_an_error() {
    let mut world = World::new();
    let one = world.leader(1);
    world.lead(one, "tasks", UNMAPPED);
    let error = broken(&world.built(), 9);
    assert!(
        matches!(error, TasksError::UnmappedLeader { at, visited: 2, .. } if at == UNMAPPED),
        "{error}"
    );
}

/// A20: a thread of which only the list node is mapped is left out, and the walk goes on behind it.
#[test]
fn a_thread_that_is_not_mapped_is_left_out_and_told() {
    let layout = types("s32 pid", "u8", "u64");
    let layout = layout.replace(
        "struct list_head thread_node;",
        "u8 stack[8192]; struct list_head thread_node;",
    );
    let mut world = World::of(&layout);
    let one = world.leader(1);
    let hidden = world.thread(one, 2);
    world.thread(one, 3);
    world.leader(4);
    let node = world.at(hidden, "thread_node");
    // A node at the direct map's start: the pid of its task would be below.
    let edge = world.kernel.direct_map_start();
    world.kernel.write(edge, &[0; 16]);
    let next = world.kernel.get(node, "list_head", "next");
    world.kernel.set(edge, "list_head", "next", next);
    world.lead(one, "thread_node", edge);
    let (found, problems) = pids(&world.built());
    assert_eq!(found, [1, 3, 4]);
    assert!(matches!(problems[..], [ReadError::Memory { .. }]), "{problems:?}");
}

/// A20: a broken list of threads ends that leader's threads, not the walk.
#[test]
fn a_broken_list_of_threads_leads_to_the_next_leader() {
    for next in [GuestVirt(0), UNMAPPED] {
        let mut world = World::new();
        let one = world.leader(1);
        let thread = world.thread(one, 2);
        world.thread(one, 3);
        world.leader(4);
        world.lead(thread, "thread_node", next);
        let (found, problems) = pids(&world.built());
        assert_eq!(found, [1, 2, 4]);
        assert!(!problems.is_empty(), "{next}");
    }
}

/// A20: without a `signal`, a leader has no threads to be seen.
#[test]
fn a_leader_without_a_signal_struct_costs_its_threads_alone() {
    let mut world = World::new();
    let one = world.leader(1);
    world.thread(one, 2);
    world.leader(3);
    world.kernel.set(one, "task_struct", "signal", 0);
    let (found, problems) = pids(&world.built());
    assert_eq!(found, [1, 3]);
    assert!(matches!(problems[..], [ReadError::Null { .. }]), "{problems:?}");
}

/// A20: not found tells how many were visited.
#[test]
fn a_pid_that_no_task_has_is_told_with_the_tasks_visited() {
    let mut world = World::new();
    let one = world.leader(1);
    world.thread(one, 2);
    let error = broken(&world.built(), 7);
    assert_eq!(error, TasksError::NotFound { pid: 7, visited: 2 });
    assert_eq!(error.to_string(), "no task has pid 7: 2 visited");
}

/// A21: a circle of leaders.
#[test]
fn leaders_in_a_circle_are_an_error() {
    let mut world = World::new();
    let one = world.leader(1);
    let two = world.leader(2);
    world.lead(two, "tasks", world.at(one, "tasks"));
    let at = world.at(one, "tasks");
    assert_eq!(broken(&world.built(), 9), TasksError::Cycle { at, visited: 2 });
}

/// A21: a circle of threads ends that leader's threads, not the walk. The image is slid in all of these, so the lists'
/// heads are found at their run-time addresses.
#[test]
fn threads_in_a_circle_lead_to_the_next_leader() {
    let mut world = World::new();
    let one = world.leader(1);
    let thread = world.thread(one, 2);
    world.leader(3);
    world.lead(thread, "thread_node", world.at(thread, "thread_node"));
    let (found, problems) = pids(&world.built());
    assert_eq!(found, [1, 2, 3]);
    assert!(matches!(problems[..], [ReadError::Cycle { .. }]), "{problems:?}");
}

/// A22, A23: a task that started outside the 10 ms that were told is another one.
#[test]
fn a_recycled_pid_is_refused() {
    const MS: u64 = 1_000_000;
    let mut world = World::new();
    let one = world.leader(5);
    world.kernel.set(one, "task_struct", "start_boottime", 700 * MS);
    let guest = world.built();
    let kernel = guest.kernel();
    for (expected, found) in [
        (700 * MS, true),
        (700 * MS + 1, false),
        (695 * MS, true),
        (690 * MS, false),
        (690 * MS + 1, true),
        (680 * MS, false),
        (u64::MAX, false),
    ] {
        let task = by_identity(&kernel, 5, expected);
        assert_eq!(task.is_ok(), found, "{expected}");
        if let Err(error) = task {
            assert!(error.to_string().contains("recycled"), "{error}");
        }
    }
}

/// A25: fields that have changed their width are read as wide as the types say.
#[test]
fn fields_are_read_as_wide_as_the_types_say() {
    for (signed, unsigned) in [("s8", "u8"), ("s16", "u16"), ("s32", "u32"), ("s64", "u64")] {
        let mut world = World::of(&types(&format!("{signed} pid"), unsigned, unsigned));
        let one = world.leader(77);
        for (field, value) in [("on_rq", 1), ("start_boottime", 0x81), ("start_time", 0x82)] {
            world.kernel.set(one, "task_struct", field, value);
        }
        let guest = world.built();
        let kernel = guest.kernel();
        let task = by_pid(&kernel, 77).unwrap();
        assert_eq!(task.on_rq(), Ok(1), "{unsigned}");
        assert_eq!(task.start_boottime(), Ok(0x81), "{unsigned}");
        assert_eq!(task.start_time(), Ok(0x82), "{unsigned}");
    }
}

/// A25: bitfields and other widths are refused.
#[test]
fn a_field_that_is_a_bitfield_or_no_number_is_refused() {
    let mut world = World::of(&types("s32 pid : 20", "u8", "u64"));
    world.leader(1);
    let error = by_pid(&world.built().kernel(), 1).unwrap_err();
    assert!(error.to_string().contains("bitfield"), "{error}");
    let mut world = World::of(&types("s32 pid", "struct list_head", "u64"));
    world.leader(1);
    let guest = world.built();
    let kernel = guest.kernel();
    let error = by_pid(&kernel, 1).unwrap().on_rq().unwrap_err();
    assert!(error.to_string().contains("an integer"), "{error}");
}

/// What this kernel lacks is missing with its reason, not zero.
#[test]
fn what_a_kernel_lacks_is_told_in_a_tasks_value() {
    let mut world = World::new();
    let one = world.leader(1);
    world.kernel.set_text(one, "task_struct", "comm", "worker");
    let guest = world.built();
    let kernel = guest.kernel();
    let task = by_comm(&kernel, "worker").unwrap()[0];
    let value = task.value().to_string();
    assert!(value.contains("worker"), "{value}");
    assert!(task.scx().is_err_and(|error| error.is_absent()));
}
