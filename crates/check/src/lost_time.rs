//! CPU time that is lost: tasks wait while CPUs idle that they may use.
//!
//! Totals do not show when a task waited and when a CPU idled. But they show how much of both must have coincided. Let *m*
//! CPUs be given, and tasks that may use all of them and no others, over a time *T*. At each instant, of the *k* ≤ *m* tasks
//! that wanted to run the most, each runs, waits, or does not want to; and each CPU runs one of them, runs something else,
//! or idles. So
//!
//! ```text
//!  lost  ≥  Σ (on-CPU time + run delay)  +  Σ idle  -  m · T
//!           over those k tasks              over those m CPUs
//! ```
//!
//! where lost is the integral over time of the lower of two numbers: tasks that wait, CPUs that idle. The bound is exact
//! where the tasks always want to run; where they do not, or others use the CPUs, it is below: it can miss a loss, and raises
//! no false alarm. Every term that is not known exactly is taken from its lower side.

use std::collections::BTreeMap;

use record::{Evidence, Percent, Window};
use spec::{CpuSet, Nanos, WorkerReport};

use crate::user_space::UserSpace;
use crate::{Outcome, Run, machine, task};

/// A loss below this is what a balancer needs to spread workers that have just begun.
const SMALL: Nanos = Nanos::from_millis(250);

/// Workers that may use the same CPUs, and what they lost.
#[derive(Default)]
struct Loss<'r> {
    /// The least that was lost.
    lost: u64,
    /// What they wanted: on-CPU time and run delay.
    wanted: u64,
    waited: u64,
    idle: u64,
    workers: usize,
    /// Who waited the most.
    most: Option<&'r WorkerReport>,
}

/// Workers that wait while CPUs idle that they may use lose no more than that part of the time in which they want to run.
pub(crate) fn bounded(run: Run<'_>, limit: Percent) -> Outcome {
    let evidence = run.evidence;
    if evidence.windows.iter().all(|window| window.idle.is_none()) {
        return Outcome::skip("it is not known how long CPUs idled");
    }
    if let Err(why) = machine::groups_unchanged(evidence) {
        return Outcome::skip(format!(
            "a task that is throttled or frozen waits for no CPU: {why}"
        ));
    }
    let mut losses: BTreeMap<CpuSet, Loss<'_>> = BTreeMap::new();
    for window in &evidence.windows {
        add(evidence, window, &mut losses);
    }
    let worst = losses
        .iter()
        .max_by(|one, other| one.1.part().total_cmp(&other.1.part()));
    let Some((cpus, loss)) = worst.filter(|(_, loss)| loss.wanted > 0) else {
        return Outcome::skip("no worker wanted to run, of those that are single tasks");
    };
    if loss.wanted < SMALL.0 {
        return Outcome::skip(format!(
            "the workers wanted to run for {} in all; less than {SMALL} is not judged",
            Nanos(loss.wanted)
        ));
    }
    let said = format!(
        "at least {} of {} ({:.1} %) in which {} workers wanted to run, because they waited while CPUs of {cpus} idled",
        Nanos(loss.lost),
        Nanos(loss.wanted),
        loss.part() * 100.0,
        loss.workers,
    );
    if loss.lost == 0 {
        let wanted = Nanos(loss.wanted);
        return Outcome::pass(format!(
            "no loss can be shown: the workers on CPUs {cpus} wanted {wanted}, waited for {} of it, and the CPUs idled for {}",
            Nanos(loss.waited),
            Nanos(loss.idle)
        ));
    }
    if loss.part() <= limit.fraction() {
        return Outcome::pass(format!("lost: {said}; the limit is {limit}"));
    }
    if loss.lost < SMALL.0 {
        return Outcome::pass(format!("lost: {said}; losses below {SMALL} are not judged"));
    }
    if let Some(program) = UserSpace::of(run).filter(UserSpace::decides) {
        return Outcome::inconclusive(format!("lost: {said}; the limit is {limit}; {}", program.words()));
    }
    let most = loss.most.map_or_else(String::new, |worker| {
        format!("; the most waited {}: {}", task(worker), machine::waited(worker))
    });
    let details = losses.iter().map(|(cpus, loss)| {
        format!(
            "CPUs {cpus}: {} workers wanted {}, waited {}; the CPUs idled for {}; lost at least {}",
            loss.workers,
            Nanos(loss.wanted),
            Nanos(loss.waited),
            Nanos(loss.idle),
            Nanos(loss.lost)
        )
    });
    Outcome::fail(
        format!("lost: {said}; the limit is {limit}{most}"),
        details.collect(),
    )
}

/// Adds what was lost in a window.
fn add<'r>(evidence: &'r Evidence, window: &'r Window, losses: &mut BTreeMap<CpuSet, Loss<'r>>) {
    let Some(idle) = &window.idle else { return };
    let online = idle.cpus();
    let span = idle.to.since(idle.from);
    let mut sets: BTreeMap<CpuSet, Vec<&WorkerReport>> = BTreeMap::new();
    for worker in &window.workers {
        let group = evidence.groups.iter().find(|group| group.name == worker.id.group);
        // A program can have several tasks, on CPUs of its own choice.
        if let (Some(group), true) = (group, worker.longest_gap.is_some()) {
            sets.entry(machine::allowed(group, &online))
                .or_default()
                .push(worker);
        }
    }
    for (cpus, workers) in sets {
        let wants = |worker: &&WorkerReport| {
            worker
                .on_cpu
                .0
                .saturating_add(machine::waited(worker).0)
                .min(span.0)
        };
        let mut wanted: Vec<u64> = workers.iter().map(wants).collect();
        wanted.sort_unstable_by_key(|wants| std::cmp::Reverse(*wants));
        let idled = idle.at_least(&cpus).0;
        let had = span.0.saturating_mul(cpus.len() as u64);
        let busiest: u64 = wanted.iter().take(cpus.len()).sum();
        let loss = losses.entry(cpus).or_default();
        loss.lost += (busiest + idled).saturating_sub(had);
        loss.wanted += wanted.iter().sum::<u64>();
        loss.waited += workers
            .iter()
            .map(|worker| machine::waited(worker).0)
            .sum::<u64>();
        loss.idle += idled;
        loss.workers = loss.workers.max(workers.len());
        let waits = |worker: &&WorkerReport| machine::waited(worker);
        loss.most = workers.into_iter().chain(loss.most).max_by_key(waits);
    }
}

impl Loss<'_> {
    /// The part of what they wanted that was lost.
    fn part(&self) -> f64 {
        self.lost as f64 / self.wanted.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use record::Verdict;
    use spec::{CpuIdle, IdleTimes};

    use super::*;
    use crate::fixtures::{run, worker};

    const LIMIT: Percent = Percent(10.0);

    /// A run of two seconds on those CPUs: each worker's on-CPU time and run delay, each CPU's idle time, in ms.
    fn evidence(workers: &[(u64, u64)], idle: &[u64]) -> Evidence {
        let reports = workers.iter().enumerate().map(|(index, (on_cpu, run_delay))| {
            let mut report = worker("a", index as u32);
            report.on_cpu = Nanos::from_millis(*on_cpu);
            report.run_delay = Nanos::from_millis(*run_delay);
            report
        });
        let mut evidence = run(reports.collect());
        let window = &mut evidence.windows[0];
        let cpus = idle.iter().enumerate().map(|(cpu, idle)| CpuIdle {
            cpu: cpu as u32,
            idle: Nanos::from_millis(*idle),
        });
        window.idle = Some(IdleTimes {
            from: window.from,
            to: window.to,
            cpus: cpus.collect(),
        });
        evidence
    }

    fn judged(evidence: &Evidence) -> Outcome {
        let series = None;
        bounded(Run { evidence, series }, LIMIT)
    }

    #[test]
    fn four_spinners_that_wait_beside_idle_cpus_fail() {
        let half = evidence(&[(1080, 915); 4], &[920; 4]);
        let outcome = judged(&half);
        assert_eq!(outcome.verdict, Verdict::Fail, "{}", outcome.reason);
        for word in ["3.66s of 7.98s (45.9 %)", "CPUs of 0-3", "10 %", "a/"] {
            assert!(outcome.reason.contains(word), "{word} in {}", outcome.reason);
        }
    }

    #[test]
    fn who_waits_for_cpus_that_are_busy_loses_nothing() {
        let check = |workers: &[(u64, u64)], idle: &[u64]| {
            let outcome = judged(&evidence(workers, idle));
            assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.reason);
        };
        check(&[(1000, 1000); 4], &[0, 0]);
        // They all want to run at once, and sleep together: half of the time is idle, and nothing is lost.
        check(&[(500, 500); 4], &[1000, 1000]);
        // Another program has half of the CPUs.
        check(&[(1000, 1000); 2], &[0, 0]);
        check(&[(1990, 10); 2], &[0, 0]);
    }

    #[test]
    fn without_idle_times_or_workers_nothing_is_known() {
        let check = |evidence: &Evidence, part: &str| {
            let outcome = judged(evidence);
            assert_eq!(outcome.verdict, Verdict::Skip, "{}", outcome.reason);
            assert!(outcome.reason.contains(part), "{}", outcome.reason);
        };
        check(&run(vec![worker("a", 0)]), "how long CPUs idled");
        check(&evidence(&[], &[0]), "no worker wanted to run");
    }

    /// Per step of ten milliseconds: the tasks that want to run, and how many of them the CPUs run. Gives each task's
    /// on-CPU time and run delay, each CPU's idle time, and what was lost.
    fn simulate(steps: &[(Vec<bool>, usize, usize)], cpus: usize) -> (Vec<(u64, u64)>, Vec<u64>, u64) {
        let mut tasks = vec![(0, 0); steps.first().map_or(0, |step| step.0.len())];
        let (mut idle, mut lost) = (vec![0; cpus], 0);
        for (wants, most, others) in steps {
            let busy = (*others).min(cpus);
            let mut room = (*most).min(cpus - busy);
            let mut waiting = 0;
            for (task, wants) in tasks.iter_mut().zip(wants) {
                match (wants, room > 0) {
                    (false, _) => {}
                    (true, true) => (task.0, room) = (task.0 + 10, room - 1),
                    (true, false) => (task.1, waiting) = (task.1 + 10, waiting + 1),
                }
            }
            let ran = wants.iter().filter(|wants| **wants).count() - waiting;
            let idles = cpus - busy - ran;
            idle.iter_mut().take(idles).for_each(|idle| *idle += 10);
            lost += 10 * waiting.min(idles) as u64;
        }
        (tasks, idle, lost)
    }

    fn any_steps() -> impl Strategy<Value = (usize, Vec<(Vec<bool>, usize, usize)>)> {
        (1..5_usize, 1..5_usize).prop_flat_map(|(cpus, tasks)| {
            let step = (prop::collection::vec(any::<bool>(), tasks), 0..=cpus, 0..=cpus);
            (Just(cpus), prop::collection::vec(step, 200))
        })
    }

    proptest! {
        #[test]
        fn never_more_is_reported_than_was_lost((cpus, steps) in any_steps()) {
            let (tasks, idle, lost) = simulate(&steps, cpus);
            let evidence = evidence(&tasks, &idle);
            let mut losses = BTreeMap::new();
            add(&evidence, &evidence.windows[0], &mut losses);
            for loss in losses.values() {
                prop_assert!(loss.lost <= lost * 1_000_000, "{} of {lost} ms", loss.lost);
            }
        }

        #[test]
        fn what_spinners_lose_is_found((cpus, steps) in any_steps()) {
            let always = |(wants, most, _): (Vec<bool>, usize, usize)| (vec![true; wants.len()], most, 0);
            let steps: Vec<_> = steps.into_iter().map(always).collect();
            let (tasks, idle, lost) = simulate(&steps, cpus);
            let evidence = evidence(&tasks, &idle);
            let mut losses = BTreeMap::new();
            add(&evidence, &evidence.windows[0], &mut losses);
            let found: u64 = losses.values().map(|loss| loss.lost).sum();
            prop_assert!(found + 1 >= lost * 1_000_000, "{found} of {lost} ms");
        }
    }
}
