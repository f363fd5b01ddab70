/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of the kernel that scx_baton touches, written by hand instead of a 2 MB vmlinux.h.
 *
 * Every struct here is a *view*: `preserve_access_index` makes libbpf look up each member by name in the running
 * kernel's BTF when it loads the program, so order, size and the members left out do not matter. Kernel functions
 * (kfuncs) are `__ksym` externs, resolved by name and prototype in the same way.
 *
 * kfuncs that changed shape are declared `__weak`, once for each shape; the wrappers at the end take the newest one
 * that the kernel has. libbpf cuts a name at its last `___`, so `foo___v1` means the kernel's `foo`, and
 * `foo___v2___v2` its `foo___v2`. The verifier removes the branches that were not taken.
 */
#ifndef SCX_BATON_SCHED_EXT_H
#define SCX_BATON_SCHED_EXT_H

/* ---- Plain types, which bpf_helpers.h expects to be there already. ---- */

typedef unsigned char __u8;
typedef signed short __s16;
typedef unsigned short __u16;
typedef signed int __s32;
typedef unsigned int __u32;
typedef signed long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

typedef __u8 u8;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef _Bool bool;

#define NULL ((void *)0)
#define true 1
#define false 0

/* Values of the bpf(2) ABI (linux/bpf.h). */
enum {
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_F_NO_PREALLOC = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};

/* State of a bpf_for() loop. */
struct bpf_iter_num {
	__u64 opaque;
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* ---- Kernel types. ---- */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct cpumask {}; /* defined, though empty: libbpf takes a forward declaration for another kind of type */

struct sched_entity {
	u64 sum_exec_runtime;
};

struct sched_ext_entity {
	u32 weight;
};

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	char comm[16];
	const struct cpumask *cpus_ptr;
	struct sched_entity se;
	struct sched_ext_entity scx;
};

enum scx_exit_kind {
	SCX_EXIT_NONE,
};

struct scx_exit_info {
	enum scx_exit_kind kind;
	s64 exit_code;
	const char *reason;
	char *msg;
};

struct scx_init_task_args;

/* v6.19: the arguments of `__scx_bpf_dsq_insert_vtime()`. */
struct scx_bpf_dsq_insert_vtime_args {
	u64 dsq_id;
	u64 slice;
	u64 vtime;
	u64 enq_flags;
};

#pragma clang attribute pop

/* Members that are not used stay out; libbpf matches the others with the kernel's by name. */
struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev_cpu, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*tick)(struct task_struct *p);
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, bool runnable);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args);
	void (*enable)(struct task_struct *p);
	s32 (*init)(void);
	void (*exit)(struct scx_exit_info *info);
	u64 flags;
	u32 timeout_ms;
	char name[128];
};

enum {
	PF_KTHREAD = 0x00200000, /* include/linux/sched.h */
	SCX_KICK_IDLE = 1,
};

/* Only names are given: the values are read from the kernel's BTF, see SCX_ENUM(). */
enum scx_dsq_id_flags {
	SCX_DSQ_GLOBAL = 1,
	SCX_DSQ_LOCAL = 2,
};

enum scx_enq_flags {
	SCX_ENQ_LAST = 1LLU << 41,
};

#define SCX_ENUM(type, name) bpf_core_enum_value(enum type, name)

/* ---- kfuncs with one shape since v6.12. ---- */

extern s32 scx_bpf_create_dsq(u64 dsq_id, s32 node) __ksym;
extern s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev_cpu, u64 wake_flags, bool *is_idle) __ksym;
extern s32 scx_bpf_pick_idle_cpu(const struct cpumask *allowed, u64 flags) __ksym;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) __ksym;
extern s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym;
extern void scx_bpf_error_bstr(char *fmt, unsigned long long *data, u32 data__sz) __ksym;

extern bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *mask) __ksym; /* v6.3 */

/* ---- kfuncs with several shapes. ---- */

extern bool scx_bpf_dsq_insert___v2___v2(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym __weak; /* v6.19 */
extern void scx_bpf_dsq_insert___v1(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym __weak; /* v6.13 */
extern void scx_bpf_dispatch___v0(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym __weak; /* v6.12 */

extern bool __scx_bpf_dsq_insert_vtime(struct task_struct *p,
				       struct scx_bpf_dsq_insert_vtime_args *args) __ksym __weak; /* v6.19 */
extern void scx_bpf_dsq_insert_vtime___v1(struct task_struct *p, u64 dsq, u64 slice, u64 vtime,
					  u64 flags) __ksym __weak; /* v6.13 */
extern void scx_bpf_dispatch_vtime___v0(struct task_struct *p, u64 dsq, u64 slice, u64 vtime,
					u64 flags) __ksym __weak; /* v6.12 */

extern bool scx_bpf_dsq_move_to_local___v2___v2(u64 dsq, u64 enq_flags) __ksym __weak; /* v7.1 */
extern bool scx_bpf_dsq_move_to_local___v1(u64 dsq) __ksym __weak; /* v6.13 */
extern bool scx_bpf_consume___v0(u64 dsq) __ksym __weak; /* v6.12 */

/* Puts `p` at the tail of `dsq`. */
static __always_inline void dsq_insert(struct task_struct *p, u64 dsq, u64 slice, u64 enq_flags)
{
	if (bpf_ksym_exists(scx_bpf_dsq_insert___v2___v2))
		scx_bpf_dsq_insert___v2___v2(p, dsq, slice, enq_flags);
	else if (bpf_ksym_exists(scx_bpf_dsq_insert___v1))
		scx_bpf_dsq_insert___v1(p, dsq, slice, enq_flags);
	else
		scx_bpf_dispatch___v0(p, dsq, slice, enq_flags);
}

/* Puts `p` into `dsq` in the order of `vtime`. */
static __always_inline void dsq_insert_vtime(struct task_struct *p, u64 dsq, u64 slice, u64 vtime, u64 enq_flags)
{
	if (bpf_ksym_exists(__scx_bpf_dsq_insert_vtime)) {
		struct scx_bpf_dsq_insert_vtime_args args = {
			.dsq_id = dsq,
			.slice = slice,
			.vtime = vtime,
			.enq_flags = enq_flags,
		};

		__scx_bpf_dsq_insert_vtime(p, &args);
	} else if (bpf_ksym_exists(scx_bpf_dsq_insert_vtime___v1)) {
		scx_bpf_dsq_insert_vtime___v1(p, dsq, slice, vtime, enq_flags);
	} else {
		scx_bpf_dispatch_vtime___v0(p, dsq, slice, vtime, enq_flags);
	}
}

/*
 * Moves the first task of `dsq` that may run on this CPU to this CPU's local DSQ; false if there is none. The kernel
 * walks past tasks whose `cpus_ptr` forbids this CPU: a global queue needs no care for cpusets.
 */
static __always_inline bool dsq_move_to_local(u64 dsq)
{
	if (bpf_ksym_exists(scx_bpf_dsq_move_to_local___v2___v2))
		return scx_bpf_dsq_move_to_local___v2___v2(dsq, 0);
	if (bpf_ksym_exists(scx_bpf_dsq_move_to_local___v1))
		return scx_bpf_dsq_move_to_local___v1(dsq);
	return scx_bpf_consume___v0(dsq);
}

#endif
