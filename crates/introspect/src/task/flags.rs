//! What the kernel has as macros, so that its types do not tell it: `PF_*` and `SCHED_*`.

/// `PF_*` of include/linux/sched.h: those bits that have meant the same in every kernel since v6.12.
const PF: [(u64, &str); 20] = [
    (0x1, "PF_VCPU"),
    (0x2, "PF_IDLE"),
    (0x4, "PF_EXITING"),
    (0x8, "PF_POSTCOREDUMP"),
    (0x10, "PF_IO_WORKER"),
    (0x20, "PF_WQ_WORKER"),
    (0x40, "PF_FORKNOEXEC"),
    (0x80, "PF_MCE_PROCESS"),
    (0x100, "PF_SUPERPRIV"),
    (0x200, "PF_DUMPCORE"),
    (0x400, "PF_SIGNALED"),
    (0x800, "PF_MEMALLOC"),
    (0x1000, "PF_NPROC_EXCEEDED"),
    (0x2000, "PF_USED_MATH"),
    (0x4000, "PF_USER_WORKER"),
    (0x8000, "PF_NOFREEZE"),
    (PF_KTHREAD, "PF_KTHREAD"),
    (0x0040_0000, "PF_RANDOMIZE"),
    (0x0400_0000, "PF_NO_SETAFFINITY"),
    (0x8000_0000, "PF_SUSPEND_TASK"),
];

pub(super) const PF_KTHREAD: u64 = 0x0020_0000;

/// `SCHED_*` of include/uapi/linux/sched.h: promised to programs.
const POLICIES: [(u64, &str); 7] = [
    (0, "SCHED_OTHER"),
    (1, "SCHED_FIFO"),
    (2, "SCHED_RR"),
    (3, "SCHED_BATCH"),
    (5, "SCHED_IDLE"),
    (6, "SCHED_DEADLINE"),
    (7, "SCHED_EXT"),
];

/// `PF_KTHREAD|0x800000`: those known by name, the lowest first, and the rest in hex.
pub(super) fn task_flags(bits: u64) -> String {
    let mut parts = Vec::new();
    let mut rest = bits;
    for (bit, name) in PF.iter().filter(|(bit, _)| bits & bit != 0) {
        parts.push((*name).to_owned());
        rest &= !bit;
    }
    if rest != 0 || parts.is_empty() {
        parts.push(format!("{rest:#x}"));
    }
    parts.join("|")
}

/// The name of a policy; its number where it has none.
pub(super) fn policy(number: u64) -> String {
    let named = POLICIES.iter().find(|(known, _)| *known == number);
    named.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_policies_without_a_name_stay_numbers() {
        assert_eq!(
            task_flags(0x0020_0002 | 0x0100_0000),
            "PF_IDLE|PF_KTHREAD|0x1000000"
        );
        assert_eq!(task_flags(0), "0x0");
        assert_eq!(policy(7), "SCHED_EXT");
        assert_eq!(policy(4), "4");
    }
}
