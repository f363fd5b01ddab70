// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * scx_baton: one queue for the whole machine, ordered by weighted virtual time.
 *
 *               select_cpu: an idle CPU?            ops.dispatch, when a CPU has nothing left
 *   wakeup ──────────┬───── yes ──► local DSQ ◄───────────────┐
 *                    └───── no ───► SHARED (by vtime) ────────┘
 *   slice used up ────────────────►
 *
 * A task's vtime advances while it runs, slower the heavier it is: 100 / weight nanoseconds for each nanosecond.
 * SHARED hands out the task with the least vtime first, so in the long run each runnable task gets CPU time in
 * proportion to its weight (nice 0 is 100). Cgroup weights are ignored.
 *
 * Each CPU's clock is the greatest vtime with which a task has started there; a task's clock is the latest of the CPUs
 * on which it may run. A task that slept comes back at most one slice behind its clock: it runs soon, but cannot claim
 * the time that it did not ask for. One clock for all would not do: where cpusets split the machine and one part has
 * less work for each CPU, that part would pull the tasks of all others up to its own clock, and their weights be lost.
 *
 * Misbehaviour, only when user space asks for it (see the `const volatile` knobs):
 *
 *   LIMBO     takes the starved tasks; no CPU serves it.
 *   LIFELINE  takes the tasks that a rig needs (`exempt`), and is served before everything else.
 *
 * Both are empty in normal operation.
 */
#include "sched_ext.h"
#include "exit_record.h"

char _license[] SEC("license") = "GPL";

/* DSQ ids: any number with bit 63 clear. */
enum {
	SHARED = 1,
	LIMBO = 2,
	LIFELINE = 3,
};

enum {
	/* Beyond these bounds (nice 10 and -10) a light task would wait for more than ten rounds of all others. */
	MIN_WEIGHT = 10,
	WEIGHT_NICE_0 = 100,
	MAX_WEIGHT = 1000,
	MAX_CHARGED_SLICES = 4,
	/* The farthest that a task can get ahead of its clock by one charge. */
	MAX_SLICES_AHEAD = MAX_CHARGED_SLICES * WEIGHT_NICE_0 / MIN_WEIGHT,
	MAX_CPUS = 1024,
};

/* ---- Knobs, set by user space before the program is loaded; 0 or false is off. ---- */

const volatile u64 slice_ns = 5000000;
const volatile bool ignore_weight;
const volatile u32 starve_nth;
const volatile u64 stall_after_ns;
const volatile u64 error_after_ns;
const volatile bool error_at_init;
const volatile s32 own_tgid;
const volatile s32 nr_cpus = 1;

/* ---- State that user space, or a rig from outside, can read. ---- */

u64 nr_enqueued; /* tasks put into SHARED */
u64 nr_dispatched; /* tasks moved from SHARED or LIFELINE to a local DSQ */
u64 nr_direct; /* wakeups dispatched directly to an idle CPU */
u64 nr_limbo; /* tasks put into LIMBO */
u64 nr_starved; /* tasks chosen by --starve-nth */
u64 cpu_vtime[MAX_CPUS]; /* each CPU's clock */
u64 attached_at_ns; /* CLOCK_MONOTONIC at ops.init */

static u32 nr_candidates;

struct task_ctx {
	u64 vtime;
	u64 started_at_ns; /* se.sum_exec_runtime when it got the CPU */
	bool exempt;
	bool starved;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_ctx);
} task_ctxs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024); /* a multiple of every page size */
} exits SEC(".maps");

#define OPS(name, args...) SEC("struct_ops/" #name) BPF_PROG(name, ##args)
#define OPS_SLEEPABLE(name, args...) SEC("struct_ops.s/" #name) BPF_PROG(name, ##args)

static struct task_ctx *task_ctx(struct task_struct *p)
{
	return bpf_task_storage_get(&task_ctxs, p, NULL, 0);
}

static void count(u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static bool before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

static bool passed(u64 after_ns)
{
	return after_ns && bpf_ktime_get_ns() - attached_at_ns >= after_ns;
}

static bool may_withhold(void)
{
	return starve_nth || stall_after_ns;
}

/* The DSQ in which `p` has to wait for a CPU. */
static u64 queue_of(const struct task_ctx *tc)
{
	if (!may_withhold())
		return SHARED;
	if (tc->exempt)
		return LIFELINE;
	return tc->starved || passed(stall_after_ns) ? LIMBO : SHARED;
}

/*
 * Adds what `p` has run since it got the CPU. The slice ends at a tick and so may be overrun somewhat; a run that is
 * much longer means that no other task wanted the CPU, and is not charged to `p` in full.
 */
static void charge(struct task_struct *p, struct task_ctx *tc)
{
	u64 weight = ignore_weight ? WEIGHT_NICE_0 : p->scx.weight;
	u64 ran = p->se.sum_exec_runtime - tc->started_at_ns;

	if (ran > MAX_CHARGED_SLICES * slice_ns)
		ran = MAX_CHARGED_SLICES * slice_ns;
	if (weight < MIN_WEIGHT)
		weight = MIN_WEIGHT;
	if (weight > MAX_WEIGHT)
		weight = MAX_WEIGHT;
	tc->vtime += ran * WEIGHT_NICE_0 / weight;
}

static u64 clock_of(const struct task_struct *p)
{
	u64 latest = slice_ns; /* so that one slice behind is not below zero */
	s32 cpu;

	bpf_for(cpu, 0, nr_cpus)
		if (cpu < MAX_CPUS && bpf_cpumask_test_cpu(cpu, p->cpus_ptr) && before(latest, cpu_vtime[cpu]))
			latest = cpu_vtime[cpu];
	return latest;
}

static void advance_clock(const struct task_struct *p, const struct task_ctx *tc)
{
	u32 cpu = scx_bpf_task_cpu(p);

	if (cpu < MAX_CPUS && before(cpu_vtime[cpu], tc->vtime))
		cpu_vtime[cpu] = tc->vtime;
}

/* Bounds the vtime of `p`: neither too far behind, after a sleep, nor too far ahead, after a move to busier CPUs. */
static void keep_near_clock(const struct task_struct *p, struct task_ctx *tc)
{
	u64 clock = clock_of(p);

	if (before(tc->vtime, clock - slice_ns))
		tc->vtime = clock - slice_ns;
	if (before(clock + MAX_SLICES_AHEAD * slice_ns, tc->vtime))
		tc->vtime = clock + MAX_SLICES_AHEAD * slice_ns;
}

static void fail_on_purpose(struct task_struct *p, const struct task_ctx *tc)
{
	static char fmt[] = "deliberate error on cpu %d: task %s[%d] was running %llu ms after attach";

	if (tc->exempt || !passed(error_after_ns))
		return;

	unsigned long long args[] = {
		bpf_get_smp_processor_id(),
		(unsigned long)p->comm,
		p->pid,
		(bpf_ktime_get_ns() - attached_at_ns) / 1000000,
	};
	scx_bpf_error_bstr(fmt, args, sizeof(args));
}

/* Selects a CPU for a task that woke up. An idle one gets the task at once, without going through SHARED. */
s32 OPS(baton_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	struct task_ctx *tc = task_ctx(p);
	bool is_idle = false;
	s32 cpu;

	if (tc && queue_of(tc) == LIMBO)
		return prev_cpu;

	cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);
	if (is_idle) {
		count(&nr_direct);
		dsq_insert(p, SCX_ENUM(scx_dsq_id_flags, SCX_DSQ_LOCAL), slice_ns, 0);
	}
	return cpu;
}

/* `p` is runnable and has no CPU: it woke up when none was idle, or its slice is used up. */
void OPS(baton_enqueue, struct task_struct *p, u64 enq_flags)
{
	struct task_ctx *tc = task_ctx(p);
	u64 queue;
	s32 cpu;

	if (!tc) { /* cannot happen: init_task created it. The kernel's global queue loses no task. */
		dsq_insert(p, SCX_ENUM(scx_dsq_id_flags, SCX_DSQ_GLOBAL), slice_ns, enq_flags);
		return;
	}

	queue = queue_of(tc);
	if (queue == LIMBO) {
		count(&nr_limbo);
		dsq_insert(p, LIMBO, slice_ns, enq_flags);
		return;
	}

	/* No other task wants this CPU. Only called with SCX_OPS_ENQ_LAST, that is, if may_withhold(). */
	if (enq_flags & SCX_ENUM(scx_enq_flags, SCX_ENQ_LAST)) {
		dsq_insert(p, SCX_ENUM(scx_dsq_id_flags, SCX_DSQ_LOCAL), slice_ns, enq_flags);
		scx_bpf_kick_cpu(scx_bpf_task_cpu(p), 0);
		return;
	}

	keep_near_clock(p, tc);

	if (queue == LIFELINE) {
		dsq_insert(p, LIFELINE, slice_ns, enq_flags);
	} else {
		count(&nr_enqueued);
		dsq_insert_vtime(p, SHARED, slice_ns, tc->vtime, enq_flags);
	}

	/* A CPU may have gone idle since select_cpu, and would not check the queue again by itself. */
	cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	if (cpu >= 0)
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
}

/* `cpu` has nothing left to run. */
void OPS(baton_dispatch, s32 cpu, struct task_struct *prev)
{
	if (may_withhold() && dsq_move_to_local(LIFELINE)) {
		count(&nr_dispatched);
		return;
	}
	if (passed(stall_after_ns))
		return;
	if (dsq_move_to_local(SHARED))
		count(&nr_dispatched);
}

void OPS(baton_running, struct task_struct *p)
{
	struct task_ctx *tc = task_ctx(p);

	if (!tc)
		return;
	tc->started_at_ns = p->se.sum_exec_runtime;
	advance_clock(p, tc);
	fail_on_purpose(p, tc);
}

/* A task may run for long without being switched out: check the time here too. */
void OPS(baton_tick, struct task_struct *p)
{
	struct task_ctx *tc = task_ctx(p);

	if (tc)
		fail_on_purpose(p, tc);
}

void OPS(baton_stopping, struct task_struct *p, bool runnable)
{
	struct task_ctx *tc = task_ctx(p);

	if (tc)
		charge(p, tc);
}

/* `p` is new, or existed when the scheduler was attached. */
s32 OPS_SLEEPABLE(baton_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	struct task_ctx *tc = bpf_task_storage_get(&task_ctxs, p, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!tc)
		return -12; /* ENOMEM */
	tc->exempt = p->flags & PF_KTHREAD || p->tgid == 1 || p->tgid == own_tgid;
	if (starve_nth && !tc->exempt && (__sync_fetch_and_add(&nr_candidates, 1) + 1) % starve_nth == 0) {
		tc->starved = true;
		count(&nr_starved);
	}
	return 0;
}

/* `p` joins this scheduler, neither ahead nor behind. */
void OPS(baton_enable, struct task_struct *p)
{
	struct task_ctx *tc = task_ctx(p);

	if (tc)
		tc->vtime = clock_of(p);
}

s32 OPS_SLEEPABLE(baton_init)
{
	s32 err;

	attached_at_ns = bpf_ktime_get_ns();
	err = scx_bpf_create_dsq(SHARED, -1);
	if (!err && may_withhold())
		err = scx_bpf_create_dsq(LIMBO, -1);
	if (!err && may_withhold())
		err = scx_bpf_create_dsq(LIFELINE, -1);
	if (error_at_init) {
		static char fmt[] = "deliberate error while starting";
		unsigned long long none = 0;

		scx_bpf_error_bstr(fmt, &none, 0);
	}
	return err;
}

void OPS_SLEEPABLE(baton_exit, struct scx_exit_info *info)
{
	struct exit_record *record = bpf_ringbuf_reserve(&exits, sizeof(*record), 0);

	if (!record)
		return;
	record->kind = info->kind;
	record->exit_code = info->exit_code;
	bpf_probe_read_kernel_str(record->reason, sizeof(record->reason), info->reason);
	bpf_probe_read_kernel_str(record->message, sizeof(record->message), info->msg);
	bpf_ringbuf_submit(record, 0);
}

SEC(".struct_ops.link")
struct sched_ext_ops baton = {
	.select_cpu = (void *)baton_select_cpu,
	.enqueue = (void *)baton_enqueue,
	.dispatch = (void *)baton_dispatch,
	.tick = (void *)baton_tick,
	.running = (void *)baton_running,
	.stopping = (void *)baton_stopping,
	.init_task = (void *)baton_init_task,
	.enable = (void *)baton_enable,
	.init = (void *)baton_init,
	.exit = (void *)baton_exit,
	.timeout_ms = 5000,
	.name = "baton",
};
