//! Workers that did not live until the end.

use record::{EventKind, Evidence, Window};
use spec::WorkerReport;

use crate::{Outcome, task};

/// Every worker is still there at the end of the last window.
pub(crate) fn none_lost(evidence: &Evidence) -> Outcome {
    let spawned = evidence
        .events
        .iter()
        .filter(|event| matches!(event.what, EventKind::Spawned { .. }))
        .count();
    if spawned == 0 {
        return Outcome::skip("no workers were made");
    }
    let Some(window) = evidence.windows.last() else {
        return Outcome::skip("the workers never ran");
    };
    let lost: Vec<String> = window
        .workers
        .iter()
        .filter_map(|worker| {
            let exit = worker
                .exit
                .filter(|exit| worker.longest_gap.is_some() || !exit.success())?;
            let (task, cpu, to) = (task(worker), worker.last_cpu, window.to);
            Some(format!("{task} ended with {exit} before {to}, last on CPU {cpu}"))
        })
        .collect();
    match lost.first() {
        None if spawned == 1 => Outcome::pass("the worker lived until the end"),
        None => Outcome::pass(format!("all {spawned} workers lived until the end")),
        Some(first) => Outcome::fail(
            format!("{} of {spawned} workers were lost: {first}", lost.len()),
            [lost.clone(), last_output(evidence, window)].concat(),
        ),
    }
}

/// Lines that programs wrote last, where one of them was lost.
const MAX_OUTPUT: usize = 12;

/// What programs wrote last: they write to the console, on which the kernel's lines begin with their time.
fn last_output(evidence: &Evidence, window: &Window) -> Vec<String> {
    let is_program = |worker: &WorkerReport| worker.longest_gap.is_none() && worker.exit.is_some();
    if !window.workers.iter().any(is_program) {
        return Vec::new();
    }
    let lines = evidence.console.lines().map(str::trim_end);
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('['))
        .collect();
    let last = &lines[lines.len().saturating_sub(MAX_OUTPUT)..];
    last.iter().map(|line| format!("output: {line}")).collect()
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use spec::ExitStatus;

    use super::*;
    use crate::fixtures::{run, worker};

    #[test]
    fn a_program_that_fails_is_shown_with_what_it_wrote_last() {
        let mut evidence = run(vec![worker("a", 0)]);
        evidence.console = "[    1.0] booted\nfio: engine libaio not loadable\n[    2.0] x\n".into();
        evidence.windows[0].workers[0].longest_gap = None;
        evidence.windows[0].workers[0].exit = Some(ExitStatus::Code(1));
        let outcome = none_lost(&evidence);
        assert_eq!(outcome.verdict, Verdict::Fail);
        assert_eq!(outcome.details[1..], ["output: fio: engine libaio not loadable"]);
    }

    #[test]
    fn a_worker_that_was_killed_is_named() {
        let mut evidence = run(vec![worker("a", 0), worker("a", 1)]);
        assert_eq!(none_lost(&evidence).verdict, Verdict::Pass);
        evidence.windows[0].workers[1].exit = Some(ExitStatus::Signal(9));
        let outcome = none_lost(&evidence);
        assert_eq!(outcome.verdict, Verdict::Fail);
        assert!(
            outcome.reason.contains("a/1 (pid 101) ended with signal 9"),
            "{}",
            outcome.reason
        );
    }

    #[test]
    fn a_program_may_end_well() {
        let mut evidence = run(vec![worker("a", 0)]);
        let program = &mut evidence.windows[0].workers[0];
        (program.longest_gap, program.exit) = (None, Some(ExitStatus::Code(0)));
        assert_eq!(none_lost(&evidence).verdict, Verdict::Pass);
        evidence.windows[0].workers[0].exit = Some(ExitStatus::Code(3));
        assert_eq!(none_lost(&evidence).verdict, Verdict::Fail);
    }
}
