//! The problems that the kernel reports on its console.

use record::Evidence;

use crate::{Outcome, count};

/// What begins the report of a problem, as `kernel/watchdog.c`, `kernel/rcu/tree_stall.h`, `kernel/hung_task.c`, lockdep and the oops
/// code print it.
const REPORTS: [&str; 10] = [
    "WARNING: possible ",
    "WARNING: bad unlock",
    "BUG: ",
    "kernel BUG at ",
    "Oops: ",
    "Oops[",
    "general protection fault",
    "rcu: INFO: rcu_",
    "blocked for more than ",
    "Kernel panic - ",
];

/// Does this line of the kernel's log, without or with its time, report that something is wrong?
pub fn is_complaint(line: &str) -> bool {
    is_warn(line) || REPORTS.iter().any(|start| line.contains(start))
}

/// A `WARN` of any kind (`__warn()` in `kernel/panic.c`): `WARNING: CPU: 1 PID: 2 at FILE:LINE FUNCTION` in 6.12,
/// `WARNING: FILE:LINE at FUNCTION, CPU#1: COMM/PID` in 7.2. Other lines that begin with the word are chatter.
fn is_warn(line: &str) -> bool {
    line.split_once("WARNING: ")
        .is_some_and(|(_, rest)| rest.starts_with("CPU: ") || rest.contains(", CPU#"))
}

/// No warning, oops, lockup or stall report.
pub(crate) fn clean(evidence: &Evidence) -> Outcome {
    if evidence.console.is_empty() {
        return Outcome::inconclusive(
            "the kernel wrote nothing to its console, so it cannot be judged by that",
        );
    }
    let complaints: Vec<&str> = evidence
        .console
        .lines()
        .filter(|line| is_complaint(line))
        .collect();
    match complaints.first() {
        None => Outcome::pass("no warning, oops, lockup or stall on the console"),
        Some(first) => {
            let details = complaints
                .iter()
                .map(|line| format!("console: {}", line.trim_end()))
                .collect();
            let problems = count(complaints.len(), "problem");
            Outcome::fail(
                format!("the kernel reported {problems}, first: {}", first.trim()),
                details,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use record::Verdict;

    use super::*;

    fn verdict(console: &str) -> Verdict {
        clean(&Evidence {
            console: console.into(),
            ..Evidence::default()
        })
        .verdict
    }

    #[test]
    fn complaints_fail_and_chatter_passes() {
        assert_eq!(
            verdict("[    0.1] Linux version 7.2\n[    1.0] sched_ext: BPF scheduler \"x\" enabled\n"),
            Verdict::Pass
        );
        for line in [
            "[    1.2] WARNING: CPU: 1 PID: 2 at kernel/sched/ext.c:1 f+0x1/0x2",
            "[    1.2] WARNING: kernel/sched/ext.c:1 at f+0x1/0x2, CPU#1: swapper/1/0",
            "[    1.2] watchdog: BUG: soft lockup - CPU#1 stuck for 22s!",
            "[    1.2] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[    1.2] INFO: task x:1 blocked for more than 120 seconds.",
            "[    1.2] Oops: 0000 [#1] SMP",
        ] {
            assert_eq!(verdict(&format!("boot\n{line}\n")), Verdict::Fail, "{line}");
        }
    }

    #[test]
    fn what_only_begins_with_the_word_is_chatter() {
        for line in [
            "[    0.1] WARNING: Unprivileged eBPF is enabled with eIBRS+LFENCE mitigation and SMT",
            "[    0.1] WARNING: Flushing system-wide workqueues will be prohibited in near future.",
        ] {
            assert_eq!(verdict(&format!("{line}\n")), Verdict::Pass, "{line}");
        }
    }

    #[test]
    fn an_empty_console_proves_nothing() {
        assert_eq!(verdict(""), Verdict::Inconclusive);
    }
}
