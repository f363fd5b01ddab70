//! Every worker that wants to run does so in time: stall (no worker runs) and starvation (one does not, others do).
//!
//! The evidence is each worker's longest gap in a window: the longest time it wanted to run and did not.

use record::{Evidence, Window};
use spec::{GuestTime, Nanos, WorkerReport};

use crate::competition::Competition;
use crate::{Outcome, STARVATION_LIMIT, machine, task};

/// At no time did all workers wait at once for as long as `limit`.
pub(crate) fn no_stall(evidence: &Evidence, limit: Nanos) -> Outcome {
    if let Err(why) = machine::groups_unchanged(evidence) {
        return Outcome::skip(format!(
            "a task that is throttled or frozen does not wait for a CPU: {why}"
        ));
    }
    if measured(evidence) == 0 {
        return Outcome::skip("no worker measures its gaps");
    }
    match evidence.windows.iter().find_map(|window| stall(window, limit)) {
        None if machine::longest_window(evidence) < limit => too_short(evidence, limit),
        None => Outcome::pass(format!("no stall: at no time did all workers wait for {limit}")),
        Some(stall) => {
            let details = stall.workers.iter().map(|worker| describe(worker)).collect();
            let first = stall
                .workers
                .first()
                .map_or_else(String::new, |worker| describe(worker));
            Outcome::fail(
                format!(
                    "no worker ran for {} from {} on: {} workers waited, first {first}",
                    stall.span,
                    stall.from,
                    stall.workers.len()
                ),
                details,
            )
        }
    }
}

/// No worker waited for as long as `limit` while others ran, or as long as it must by arithmetic: see [`Competition`].
pub(crate) fn no_starvation(evidence: &Evidence, limit: Nanos) -> Outcome {
    if let Err(why) = machine::groups_unchanged(evidence) {
        return Outcome::skip(format!(
            "a task that is throttled or frozen does not wait for a CPU: {why}"
        ));
    }
    if measured(evidence) == 0 {
        return Outcome::skip("no worker measures its gaps");
    }
    let mut longest: Option<(Nanos, &WorkerReport)> = None;
    let mut starved: Vec<(Nanos, String)> = Vec::new();
    let mut stalled = false;
    for window in &evidence.windows {
        if stall(window, limit).is_some() {
            stalled = true;
            continue;
        }
        let competition = Competition::of(evidence, window);
        for worker in &window.workers {
            let Some(gap) = worker.longest_gap else { continue };
            if longest.is_none_or(|(span, _)| gap.span > span) {
                longest = Some((gap.span, worker));
            }
            // A limit that somebody has chosen for a few competitors is meant as it is.
            let crowded = competition.longest_wait(&worker.id);
            let limit = if crowded > STARVATION_LIMIT {
                limit.max(crowded)
            } else {
                limit
            };
            if gap.span >= limit {
                starved.push((gap.span, format!("{}; the limit is {limit}", describe(worker))));
            }
        }
    }
    starved.sort_by_key(|(span, _)| std::cmp::Reverse(*span));
    match (starved.first(), longest) {
        (Some((_, first)), _) => Outcome::fail(
            format!("starved: {first}"),
            starved.iter().map(|(_, line)| line.clone()).collect(),
        ),
        (None, _) if stalled => Outcome::inconclusive(
            "all workers waited at the same time (see `stall`), so none was starved by another",
        ),
        (None, Some(_)) if machine::longest_window(evidence) < limit => too_short(evidence, limit),
        (None, Some((span, worker))) if span >= limit => Outcome::pass(format!(
            "the longest wait was {span}, of {}; the limit is {limit}, or what it has to wait by arithmetic",
            task(worker)
        )),
        (None, Some((span, worker))) => Outcome::pass(format!(
            "the longest wait was {span}, of {}; the limit is {limit}",
            task(worker)
        )),
        (None, None) => Outcome::skip("no worker measures its gaps"),
    }
}

/// No worker can have waited for as long as the limit.
fn too_short(evidence: &Evidence, limit: Nanos) -> Outcome {
    let longest = machine::longest_window(evidence);
    Outcome::skip(format!(
        "the workers were measured for {longest} at a time, which is less than the limit of {limit}"
    ))
}

struct Stall<'r> {
    from: GuestTime,
    span: Nanos,
    workers: Vec<&'r WorkerReport>,
}

/// The time in which all the workers' longest gaps overlap, if it is as long as `limit`. A lone worker can be
/// starved but not stalled, since nothing shows whether others would have run.
fn stall(window: &Window, limit: Nanos) -> Option<Stall<'_>> {
    let workers: Vec<&WorkerReport> = window
        .workers
        .iter()
        .filter(|worker| worker.longest_gap.is_some() && worker.exit.is_none())
        .collect();
    if workers.len() < 2 {
        return None;
    }
    let gaps = || workers.iter().filter_map(|worker| worker.longest_gap);
    let from = gaps().map(|gap| gap.from).max()?;
    let to = gaps().map(|gap| gap.from.0.0.saturating_add(gap.span.0)).min()?;
    let span = Nanos(to).saturating_sub(from.0);
    (span >= limit).then_some(Stall { from, span, workers })
}

fn describe(worker: &WorkerReport) -> String {
    let task = task(worker);
    match worker.longest_gap {
        None => task,
        Some(gap) => {
            let so_far = if gap.open {
                " and still did when the window ended"
            } else {
                ""
            };
            format!(
                "{task} waited {} from {} on, last on CPU {}{so_far}",
                gap.span, gap.from, gap.cpu
            )
        }
    }
}

fn measured(evidence: &Evidence) -> usize {
    evidence
        .windows
        .iter()
        .flat_map(|window| &window.workers)
        .filter(|worker| worker.longest_gap.is_some())
        .count()
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use spec::Gap;

    use super::*;
    use crate::fixtures::{run, worker};

    const LIMIT: Nanos = Nanos::from_secs(1);

    fn gap(from_ms: u64, span_ms: u64) -> Option<Gap> {
        let from = GuestTime(Nanos::from_millis(from_ms));
        Some(Gap {
            span: Nanos::from_millis(span_ms),
            from,
            cpu: 2,
            open: span_ms > 1_000,
        })
    }

    fn gaps(spans: &[(u64, u64)]) -> Evidence {
        let workers = spans.iter().enumerate().map(|(index, (from, span))| {
            let mut report = worker("a", index as u32);
            report.longest_gap = gap(*from, *span);
            report
        });
        run(workers.collect())
    }

    #[test]
    fn a_worker_that_waits_while_others_run_is_starved_and_named() {
        let evidence = gaps(&[(2_000, 10), (2_000, 1_500)]);
        let outcome = no_starvation(&evidence, LIMIT);
        assert_eq!(outcome.verdict, Verdict::Fail);
        for word in ["a/1 (pid 101)", "1.5s", "[    2.000000]", "CPU 2"] {
            assert!(outcome.reason.contains(word), "{word} in {}", outcome.reason);
        }
        assert_eq!(no_stall(&evidence, LIMIT).verdict, Verdict::Pass);
    }

    #[test]
    fn a_thousand_on_one_cpu_wait_long_and_are_not_starved() {
        let mut evidence = gaps(&[(2_000, 4_000), (2_000, 10)]);
        let waiter = evidence.windows[0].workers[1].clone();
        for index in 2..1_000 {
            let mut waiter = waiter.clone();
            waiter.id.index = index;
            evidence.windows[0].workers.push(waiter);
        }
        evidence.groups[0].cpus = Some("0".parse().unwrap());
        let outcome = no_starvation(&evidence, LIMIT);
        assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.reason);
        assert!(outcome.reason.contains("by arithmetic"), "{}", outcome.reason);
        evidence.windows[0].workers[0].longest_gap = gap(2_000, 20_000);
        let outcome = no_starvation(&evidence, LIMIT);
        assert_eq!(outcome.verdict, Verdict::Fail, "{}", outcome.reason);
        assert!(
            outcome.reason.contains("the limit is 19.98s"),
            "{}",
            outcome.reason
        );
    }

    #[test]
    fn when_all_wait_at_once_it_is_a_stall_and_not_starvation() {
        let evidence = gaps(&[(2_000, 1_500), (2_100, 1_400)]);
        let outcome = no_stall(&evidence, LIMIT);
        assert_eq!(outcome.verdict, Verdict::Fail);
        assert!(
            outcome.reason.contains("for 1.4s from [    2.100000]"),
            "{}",
            outcome.reason
        );
        assert!(outcome.reason.contains("CPU 2"), "{}", outcome.reason);
        assert_eq!(no_starvation(&evidence, LIMIT).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn waits_one_after_the_other_are_no_stall() {
        let evidence = gaps(&[(2_000, 1_500), (4_000, 1_500)]);
        assert_eq!(no_stall(&evidence, LIMIT).verdict, Verdict::Pass);
        assert_eq!(no_starvation(&evidence, LIMIT).verdict, Verdict::Fail);
    }

    #[test]
    fn what_is_shorter_than_the_limit_shows_nothing() {
        let mut evidence = gaps(&[(1, 3), (1, 8)]);
        let window = &mut evidence.windows[0];
        window.to = GuestTime(Nanos(window.from.0.0 + 999_000_000));
        for outcome in [no_stall(&evidence, LIMIT), no_starvation(&evidence, LIMIT)] {
            assert_eq!(outcome.verdict, Verdict::Skip);
            assert!(
                outcome.reason.contains("for 999ms at a time"),
                "{}",
                outcome.reason
            );
        }
        let outcome = no_starvation(&evidence, Nanos::from_millis(5));
        assert_eq!(outcome.verdict, Verdict::Fail, "{}", outcome.reason);
    }

    #[test]
    fn short_waits_pass_and_the_longest_is_named() {
        let outcome = no_starvation(&gaps(&[(1, 3), (1, 8)]), LIMIT);
        assert_eq!(outcome.verdict, Verdict::Pass);
        assert!(outcome.reason.contains("8ms, of a/1"), "{}", outcome.reason);
        assert_eq!(no_stall(&run(Vec::new()), LIMIT).verdict, Verdict::Skip);
    }
}
