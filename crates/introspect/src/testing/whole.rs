//! A kernel by hand with something in all that is walked: runqueues with trees and groups, domains, tasks and threads,
//! cgroups, a sched_ext scheduler with dispatch queues, BPF maps of several kinds.

use std::sync::Arc;

use guestmem::{GuestVirt, PhysMem};

use super::{FakeGuest, FakeKernel, place};
use crate::{DebugInfo, GuestKernel, Placement};

const CPUS: u32 = 3;
/// Threads, the leaders among them: two of each process.
const TASKS: usize = 14;

const TYPES: &str = include_str!("whole.h");

/// Functions, which have names and no code.
const FUNCTIONS: [&str; 3] = ["vprintk_emit", "scx_disable_workfn", "enqueue_task_scx"];
const FUNCTION_BYTES: u64 = 64;
/// In the direct map, above all that the kernel allocates.
const SCRATCH: GuestVirt = GuestVirt(super::DIRECT + 0x3800_0000);

/// The kernel, and its memory when nothing is wrong with it.
pub struct Whole(FakeGuest);

impl Default for Whole {
    fn default() -> Whole {
        Whole::new()
    }
}

impl Whole {
    /// Makes it.
    pub fn new() -> Whole {
        let mut kernel = FakeKernel::new(CPUS, TYPES);
        let cpus = kernel.variable("__cpu_possible_mask", "cpumask");
        kernel.set(cpus, "cpumask", "bits[0]", (1 << CPUS) - 1);
        let clock = kernel.variable("clocksource_jiffies", "clocksource");
        kernel.set(clock, "clocksource", "mult", 4_000_000 << 8);
        kernel.set(clock, "clocksource", "shift", 8);
        kernel.bytes_variable("jiffies", 8);
        let group = cgroups(&mut kernel);
        let tasks = tasks(&mut kernel);
        runqueues(&mut kernel, group, &tasks);
        scheduler(&mut kernel, &tasks);
        maps(&mut kernel);
        for function in FUNCTIONS {
            kernel.bytes_variable(function, FUNCTION_BYTES);
        }
        Whole(kernel.built())
    }

    /// Its names and types.
    pub fn info(&self) -> Arc<DebugInfo> {
        Arc::clone(&self.0.info)
    }

    /// Where it lies in its memory.
    pub fn placement(&self) -> Placement {
        place()
    }

    /// An address of RAM that nothing else uses, for what a test writes.
    pub fn scratch(&self) -> GuestVirt {
        SCRATCH
    }

    /// Its memory.
    pub fn memory(&self) -> &dyn PhysMem {
        &self.0.mem
    }

    /// The kernel as this memory has it: its own, or a damaged copy.
    pub fn kernel<'m>(&'m self, mem: &'m dyn PhysMem) -> GuestKernel<'m> {
        GuestKernel::frozen(&self.0.info, mem, place())
    }
}

/// A root cgroup with two levels below it; gives the task group of a lower one.
fn cgroups(kernel: &mut FakeKernel) -> GuestVirt {
    let root = kernel.variable("cgrp_dfl_root", "cgroup_root");
    let mut parent = kernel.at(root, "cgroup_root", "cgrp");
    let mut above = 0;
    let mut group = GuestVirt(0);
    for (level, name) in (0u64..).zip(["", "work", "batch"]) {
        let cgroup = if level == 0 {
            parent
        } else {
            kernel.alloc("cgroup")
        };
        let node = kernel.alloc("kernfs_node");
        let name = kernel.string(name);
        kernel.set(node, "kernfs_node", "name", name.0);
        kernel.set(node, "kernfs_node", "__parent", above);
        above = node.0;
        kernel.set(cgroup, "cgroup", "kn", node.0);
        kernel.set(cgroup, "cgroup", "level", level);
        kernel.set(cgroup, "cgroup", "self.flags", 2);
        kernel.list_init(kernel.at(cgroup, "cgroup", "self.children"));
        kernel.list_init(kernel.at(cgroup, "cgroup", "cset_links"));
        group = kernel.alloc("task_group");
        kernel.set(group, "task_group", "css.cgroup", cgroup.0);
        kernel.set(group, "task_group", "shares", 1 << 20);
        if level > 0 {
            let (sibling, children) = ("self.sibling", "self.children");
            let (sibling, children) = (
                kernel.at(cgroup, "cgroup", sibling),
                kernel.at(parent, "cgroup", children),
            );
            kernel.list_add_tail(sibling, children);
        }
        parent = cgroup;
    }
    group
}

/// `init_task`, and processes of two threads each.
fn tasks(kernel: &mut FakeKernel) -> Vec<GuestVirt> {
    let init = kernel.variable("init_task", "task_struct");
    kernel.set_text(init, "task_struct", "comm", "swapper/0");
    let head = kernel.at(init, "task_struct", "tasks");
    kernel.list_init(head);
    let mut tasks: Vec<GuestVirt> = Vec::new();
    for number in 0..TASKS {
        let task = kernel.alloc("task_struct");
        kernel.set(task, "task_struct", "pid", number as u64 + 1);
        kernel.set_text(task, "task_struct", "comm", &format!("worker{number}"));
        for (field, value) in [
            ("se.vruntime", 1000),
            ("se.load.weight", 1 << 20),
            ("se.on_rq", 1),
            ("scx.weight", 100),
            ("start_boottime", 5_000_000),
            ("se.sum_exec_runtime", 3_000),
            ("sched_info.last_queued", 8_000_000),
        ] {
            kernel.set(task, "task_struct", field, value + number as u64);
        }
        let mask = kernel.at(task, "task_struct", "cpus_mask");
        kernel.set(mask, "cpumask", "bits[0]", (1 << CPUS) - 1);
        kernel.set(task, "task_struct", "cpus_ptr", mask.0);
        let leader = if number % 2 == 0 { task } else { tasks[number - 1] };
        if leader == task {
            let signal = kernel.alloc("signal_struct");
            kernel.set(task, "task_struct", "signal", signal.0);
            kernel.list_init(kernel.at(signal, "signal_struct", "thread_head"));
            kernel.list_add_tail(kernel.at(task, "task_struct", "tasks"), head);
        } else {
            let signal = kernel.read_u64(kernel.at(leader, "task_struct", "signal"));
            kernel.set(task, "task_struct", "signal", signal);
        }
        kernel.set(task, "task_struct", "group_leader", leader.0);
        let signal = GuestVirt(kernel.read_u64(kernel.at(task, "task_struct", "signal")));
        let threads = kernel.at(signal, "signal_struct", "thread_head");
        kernel.list_add_tail(kernel.at(task, "task_struct", "thread_node"), threads);
        tasks.push(task);
    }
    tasks
}

/// Hangs three nodes under a root.
fn tree(kernel: &FakeKernel, nodes: [GuestVirt; 3]) -> u64 {
    let [left, middle, right] = nodes;
    kernel.set(middle, "rb_node", "rb_left", left.0);
    kernel.set(middle, "rb_node", "rb_right", right.0);
    middle.0
}

fn runqueues(kernel: &mut FakeKernel, group: GuestVirt, tasks: &[GuestVirt]) {
    let queues = kernel.per_cpu("runqueues", "rq");
    for (cpu, rq) in queues.into_iter().enumerate() {
        let own = &tasks[cpu * 4..][..4];
        for (field, value) in [
            ("cpu", cpu as u64),
            ("online", 1),
            ("nr_running", 4),
            ("clock", 9_000_000),
        ] {
            kernel.set(rq, "rq", field, value);
        }
        for pointer in ["curr", "donor", "idle"] {
            kernel.set(rq, "rq", pointer, own[3].0);
        }
        let leaves = kernel.at(rq, "rq", "leaf_cfs_rq_list");
        kernel.list_init(leaves);
        let lower = kernel.alloc("cfs_rq");
        for queue in [lower, kernel.at(rq, "rq", "cfs")] {
            kernel.set(queue, "cfs_rq", "tg", group.0);
            kernel.set(queue, "cfs_rq", "sum_weight", 3 << 10);
            kernel.list_add_tail(kernel.at(queue, "cfs_rq", "leaf_cfs_rq_list"), leaves);
        }
        let nodes = [0, 1, 2].map(|task| kernel.at(own[task], "task_struct", "se.run_node"));
        let root = tree(kernel, nodes);
        kernel.set(lower, "cfs_rq", "tasks_timeline.rb_root.rb_node", root);
        let curr = kernel.at(own[3], "task_struct", "se");
        kernel.set(lower, "cfs_rq", "curr", curr.0);
        dsq(kernel, kernel.at(rq, "rq", "scx.local_dsq"), 1 << 63, &own[..1]);
        let runnable = kernel.at(rq, "rq", "scx.runnable_list");
        kernel.list_init(runnable);
        kernel.list_add_tail(kernel.at(own[1], "task_struct", "scx.runnable_node"), runnable);
        domains(kernel, rq);
    }
}

/// Two levels, each with a ring of two groups.
fn domains(kernel: &mut FakeKernel, rq: GuestVirt) {
    let mut parent = 0;
    for name in ["PKG", "MC"] {
        let domain = kernel.alloc("sched_domain");
        let name = kernel.string(name);
        kernel.set(domain, "sched_domain", "name", name.0);
        kernel.set(domain, "sched_domain", "parent", parent);
        kernel.set(domain, "sched_domain", "span[0]", 7);
        let groups = [kernel.alloc("sched_group"), kernel.alloc("sched_group")];
        kernel.set(groups[0], "sched_group", "next", groups[1].0);
        kernel.set(groups[1], "sched_group", "next", groups[0].0);
        kernel.set(domain, "sched_domain", "groups", groups[0].0);
        parent = domain.0;
    }
    kernel.set(rq, "rq", "sd", parent);
}

/// Fills in a dispatch queue, with these tasks in its list.
fn dsq(kernel: &FakeKernel, dsq: GuestVirt, id: u64, tasks: &[GuestVirt]) {
    kernel.set(dsq, "scx_dispatch_q", "id", id);
    kernel.set(dsq, "scx_dispatch_q", "nr", tasks.len() as u64);
    let head = kernel.at(dsq, "scx_dispatch_q", "list");
    kernel.list_init(head);
    for task in tasks {
        kernel.list_add_tail(kernel.at(*task, "task_struct", "scx.dsq_list.node"), head);
    }
}

fn scheduler(kernel: &mut FakeKernel, tasks: &[GuestVirt]) {
    let state = kernel.variable("scx_enable_state_var", "atomic_t");
    kernel.set(state, "atomic_t", "counter", 1);
    let sched = kernel.alloc("scx_sched");
    let root = kernel.bytes_variable("scx_root", 8);
    kernel.write(root, &sched.0.to_le_bytes());
    let all = kernel.variable("scx_sched_all", "list_head");
    kernel.list_init(all);
    kernel.list_add_tail(kernel.at(sched, "scx_sched", "all"), all);
    kernel.list_init(kernel.at(sched, "scx_sched", "children"));
    kernel.set_text(sched, "scx_sched", "ops.name", "by_hand");
    kernel.set(sched, "scx_sched", "watchdog_timeout", 7500);
    let table = kernel.alloc_bytes(256);
    kernel.set(table, "bucket_table", "size", 4);
    kernel.set(sched, "scx_sched", "dsq_hash.tbl", table.0);
    for (bucket, tasks) in (0u64..).zip([&tasks[12..13], &tasks[9..11]]) {
        let queue = kernel.alloc("scx_dispatch_q");
        dsq(kernel, queue, 0x10 + bucket, tasks);
        let by_vtime = kernel.at(tasks[0], "task_struct", "scx.dsq_priq");
        kernel.set(queue, "scx_dispatch_q", "priq.rb_node", by_vtime.0);
        let node = kernel.at(queue, "scx_dispatch_q", "hash_node");
        kernel.set(node, "rhash_head", "next", bucket << 1 | 1);
        kernel.set(table, "bucket_table", &format!("buckets[{bucket}]"), node.0);
    }
    let (nodes, global) = (kernel.alloc_bytes(8), kernel.alloc("scx_dispatch_q"));
    dsq(kernel, global, (1 << 63) | 1, &[]);
    kernel.write(nodes, &global.0.to_le_bytes());
    kernel.set(sched, "scx_sched", "global_dsqs", nodes.0);
    let info = kernel.alloc("scx_exit_info");
    let (reason, frames) = (kernel.string("disabled"), kernel.alloc_bytes(8 * 64));
    kernel.set(info, "scx_exit_info", "reason", reason.0);
    kernel.set(info, "scx_exit_info", "bt", frames.0);
    kernel.set(info, "scx_exit_info", "bt_len", 3);
    kernel.set(sched, "scx_sched", "exit_info", info.0);
}

/// An array, a hash and a ring buffer, by way of an IDR.
fn maps(kernel: &mut FakeKernel) {
    let idr = kernel.variable("map_idr", "idr");
    let node = kernel.alloc("xa_node");
    kernel.set(idr, "idr", "idr_rt.xa_head", node.0 + 2);
    let kinds = [
        ("bpf_array", 2, 8),
        ("bpf_htab", 1, 8),
        ("bpf_ringbuf_map", 27, 4096),
    ];
    for (id, (structure, kind, most)) in (1u64..).zip(kinds) {
        // Elements follow the array.
        let map = kernel.vmalloc(1024);
        for (field, value) in [
            ("map_type", kind),
            ("key_size", 4),
            ("value_size", 4),
            ("max_entries", most),
            ("id", id),
        ] {
            kernel.set(map, "bpf_map", field, value);
        }
        kernel.set_text(map, "bpf_map", "name", &format!("map{id}"));
        kernel.set(node, "xa_node", &format!("slots[{id}]"), map.0);
        match structure {
            "bpf_array" => kernel.set(map, structure, "elem_size", 8),
            "bpf_htab" => hash(kernel, map),
            _ => {
                let ring = kernel.vmalloc(8192);
                kernel.set(map, structure, "rb", ring.0);
                kernel.set(ring, "bpf_ringbuf", "mask", 4095);
                kernel.set(ring, "bpf_ringbuf", "producer_pos", 32);
                kernel.write(kernel.at(ring, "bpf_ringbuf", "data"), &8u32.to_le_bytes());
                kernel.write(kernel.at(ring, "bpf_ringbuf", "data[16]"), &8u32.to_le_bytes());
            }
        }
    }
}

fn hash(kernel: &mut FakeKernel, map: GuestVirt) {
    let buckets = kernel.vmalloc(4 * 16);
    kernel.set(map, "bpf_htab", "buckets", buckets.0);
    kernel.set(map, "bpf_htab", "n_buckets", 4);
    for bucket in 0..4u64 {
        let element = kernel.vmalloc(64);
        kernel.write(kernel.at(element, "htab_elem", "key"), &bucket.to_le_bytes());
        kernel.set(element, "htab_elem", "hash_node.next", bucket << 1 | 1);
        kernel.set(
            buckets.wrapping_add(16 * bucket),
            "bucket",
            "head.first",
            element.0,
        );
    }
}
