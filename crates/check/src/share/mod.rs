//! Fair shares: on-CPU time in proportion to weight, among groups and inside one.
//!
//! What a competitor is due is a max-min fair division ([`maxmin`]): in proportion to its weight ([`weight`]), on the CPUs
//! that it may use, and no more than it wanted ([`demand`]). What is divided is what the competitors got together, so what
//! others used is nobody's due.
//!
//! ```text
//!  windows ──► Competitor: got, waited, tasks ─┐
//!  groups, nice values, cgroup_mode ──► weight ┼─► maxmin::divide ──► due ──► compare: (got - due) / due
//!  cpusets ──► CPUs ───────────────────────────┘
//! ```
//!
//! Where nobody waited for as much as [`CONTENDED`] of the time there was nothing to divide, and the check is Inconclusive.

mod maxmin;
mod weight;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use record::{EventKind, Evidence, Percent, Verdict, Window};
use spec::{CgroupSpec, GroupName, Nanos, WorkerId, WorkerReport};

use crate::{Outcome, machine, task};

use maxmin::Claim;
pub(crate) use weight::of_nice as nice_weight;

use weight::CgroupMode;

/// Who waited for less of the time than this had a CPU whenever it wanted one.
const CONTENDED: f64 = 0.01;

/// One of those who compete: its share is compared with its due.
struct Competitor {
    name: String,
    /// Its share is judged; the others' only counts.
    judged: bool,
    got: Nanos,
    /// The part of the time in which it waited: of a group, that of the worker that waited the most.
    waited: f64,
    claim: Claim,
    /// Where it was last seen.
    cpu: Option<u32>,
}

/// Groups get on-CPU time in proportion to their `cpu.weight`.
pub(crate) fn groups(evidence: &Evidence, names: &[GroupName], within: Percent) -> Outcome {
    let mut outcome = competing_groups(evidence, names)
        .and_then(|competitors| compare(evidence, &competitors, within))
        .unwrap_or_else(Outcome::inconclusive);
    if let (Verdict::Fail, Some(why)) = (outcome.verdict, knows_no_weights(evidence)) {
        outcome.reason += &format!("; {why}");
    }
    outcome
}

/// The callbacks by which a sched_ext scheduler is told a cgroup's weight (`struct sched_ext_ops`).
const WEIGHT_CALLBACKS: [&str; 2] = ["cgroup_init", "cgroup_set_weight"];

/// Why the scheduler cannot honour weights that differ, if it cannot.
fn knows_no_weights(evidence: &Evidence) -> Option<String> {
    let mut weights = evidence.groups.iter().map(|group| group.weight);
    let first = weights.next()?;
    if weights.all(|weight| weight == first) {
        return None;
    }
    evidence.events.iter().find_map(|event| match &event.what {
        EventKind::SchedulerAttached {
            ops,
            callbacks: Some(set),
            ..
        } if !WEIGHT_CALLBACKS
            .iter()
            .any(|name| set.iter().any(|set| set == name)) =>
        {
            Some(format!(
                "`{ops}` has no {} callback, so it is not told that the groups' weights differ",
                WEIGHT_CALLBACKS.join(" or ")
            ))
        }
        _ => None,
    })
}

/// The workers of a group get on-CPU time in proportion to their nice weights.
pub(crate) fn workers(evidence: &Evidence, group: &GroupName, within: Percent) -> Outcome {
    competing_workers(evidence, group)
        .and_then(|competitors| compare(evidence, &competitors, within))
        .unwrap_or_else(Outcome::inconclusive)
}

/// Why no share of the machine is promised in that mode.
const UP: &str = "sched/cgroup_mode is `up`: EEVDF then divides each CPU for itself, and a group's share of the machine \
                  depends on where its tasks are; set smp, concur, max or tasks";

/// All groups: those that are not named compete, too.
fn competing_groups(evidence: &Evidence, names: &[GroupName]) -> Result<Vec<Competitor>, String> {
    for name in names {
        group(evidence, name)?;
    }
    let (span, mode, online) = (span(evidence)?, mode(evidence)?, machine::cpus(evidence)?);
    machine::groups_unchanged(evidence)?;
    let competitor = |group: &CgroupSpec| {
        let members = members(evidence, &group.name);
        let wants = Nanos(members.values().map(|member| member.wants.0).sum());
        let cpus = machine::allowed(group, &online);
        let runnable: u64 = members
            .values()
            .map(|member| member.got.0 + member.waited.0)
            .sum();
        let tasks = Nanos(runnable).as_secs_f64() / span.as_secs_f64();
        let weight = mode.weight(group.weight, tasks, cpus.len()).ok_or(UP)?;
        Ok(Competitor {
            name: format!("group {}", group.name),
            judged: names.contains(&group.name),
            got: Nanos(members.values().map(|member| member.got.0).sum()),
            waited: members
                .values()
                .map(|member| member.waited_of(span))
                .fold(0.0, f64::max),
            claim: Claim { weight, wants, cpus },
            cpu: None,
        })
    };
    evidence.groups.iter().map(competitor).collect()
}

/// The workers of one group. They share what the group got, so nobody else competes.
fn competing_workers(evidence: &Evidence, name: &GroupName) -> Result<Vec<Competitor>, String> {
    let group = group(evidence, name)?;
    machine::groups_unchanged(evidence)?;
    let cpus = machine::allowed(group, &machine::cpus(evidence)?);
    let (span, nice) = (span(evidence)?, machine::nice_values(evidence));
    let competitor = |(id, member): (&WorkerId, Member<'_>)| Competitor {
        name: task(member.last),
        judged: true,
        got: member.got,
        waited: member.waited_of(span),
        claim: Claim {
            weight: nice_weight(nice.get(id).copied().unwrap_or(0)),
            wants: member.wants,
            cpus: cpus.clone(),
        },
        cpu: Some(member.last.last_cpu),
    };
    Ok(members(evidence, name).into_iter().map(competitor).collect())
}

fn group<'r>(evidence: &'r Evidence, name: &GroupName) -> Result<&'r CgroupSpec, String> {
    let mut groups = evidence.groups.iter();
    let found = groups.find(|group| group.name == *name);
    found.ok_or_else(|| format!("there is no group `{name}`"))
}

/// Compares what each competitor that is judged got with its due.
///
/// # Errors
/// Why there is nothing to compare.
fn compare(evidence: &Evidence, competitors: &[Competitor], within: Percent) -> Result<Outcome, String> {
    let judged: Vec<&Competitor> = competitors
        .iter()
        .filter(|competitor| competitor.judged)
        .collect();
    let count = judged.len();
    let span = span(evidence)?;
    let total = Nanos(competitors.iter().map(|competitor| competitor.got.0).sum());
    if total == Nanos::ZERO {
        return Err("no competitor had any on-CPU time".into());
    }
    if count < 2 {
        return Ok(Outcome::skip(format!(
            "{}; a share needs two",
            crate::count(count, "competitor")
        )));
    }
    let most = judged
        .iter()
        .map(|competitor| competitor.waited)
        .fold(0.0, f64::max);
    if most < CONTENDED {
        return Err(format!(
            "nobody competed: the longest that one of them waited is {:.1} % of the time",
            most * 100.0
        ));
    }
    let claims: Vec<Claim> = competitors
        .iter()
        .map(|competitor| competitor.claim.clone())
        .collect();
    let dues = maxmin::divide(&claims, total, span);
    let due = competitors.iter().zip(dues);
    let due = due.filter(|(competitor, due)| competitor.judged && *due > Nanos::ZERO);
    let mut rows: Vec<(f64, String)> = due.map(|(competitor, due)| competitor.row(due)).collect();
    // Of two that are equally far off, the one that got less.
    let far = |row: &(f64, String)| ((row.0.abs() * -1000.0).round(), row.0);
    rows.sort_by(|one, other| far(one).partial_cmp(&far(other)).unwrap_or(Ordering::Equal));
    let (worst, line) = rows.first().ok_or("no competitor was due anything")?;
    if worst.abs() <= within.fraction() {
        return Ok(Outcome::pass(format!(
            "{count} competitors within {within}; the farthest: {line}"
        )));
    }
    let until = evidence.windows.last();
    let until = until.map_or_else(String::new, |window| format!(" until {}", window.to));
    let reason = format!("{line}{until}; allowed are ±{within}");
    Ok(Outcome::fail(
        reason,
        rows.into_iter().map(|(_, line)| line).collect(),
    ))
}

impl Competitor {
    /// How far it is off its due, and that in words.
    fn row(&self, due: Nanos) -> (f64, String) {
        let (got, due) = (self.got.as_secs_f64(), due.as_secs_f64());
        let off = (got - due) / due;
        let cpu = self
            .cpu
            .map_or_else(String::new, |cpu| format!(", last on CPU {cpu}"));
        let line = format!(
            "{} got {got:.3}s of its due {due:.3}s ({:+.1} %){cpu}",
            self.name,
            off * 100.0
        );
        (off, line)
    }
}

/// A worker over all windows.
struct Member<'r> {
    got: Nanos,
    waited: Nanos,
    wants: Nanos,
    last: &'r WorkerReport,
}

impl Member<'_> {
    fn waited_of(&self, span: Nanos) -> f64 {
        self.waited.as_secs_f64() / span.as_secs_f64()
    }
}

fn members<'r>(evidence: &'r Evidence, group: &GroupName) -> BTreeMap<&'r WorkerId, Member<'r>> {
    let mut members = BTreeMap::new();
    for window in &evidence.windows {
        let span = window.to.since(window.from);
        for worker in window.workers.iter().filter(|worker| worker.id.group == *group) {
            let member = members.entry(&worker.id).or_insert(Member {
                got: Nanos::ZERO,
                waited: Nanos::ZERO,
                wants: Nanos::ZERO,
                last: worker,
            });
            member.got.0 += worker.on_cpu.0;
            member.waited.0 += machine::waited(worker).0;
            member.wants.0 += demand(worker, span).0;
            member.last = worker;
        }
    }
    members
}

/// The CPU time that a worker would have used in that time if it had never waited: as much as it ran for each moment that it
/// did not want to run. A worker that always wants to wants all of the time; one that sleeps and computes in turn does not
/// compute more for having waited.
///
/// Never more than on-CPU time plus run delay, which is what is taken for a program: it can have several tasks.
fn demand(worker: &WorkerReport, span: Nanos) -> Nanos {
    let wanted = worker
        .on_cpu
        .0
        .saturating_add(machine::waited(worker).0)
        .min(span.0.max(worker.on_cpu.0));
    let asleep = span.0.saturating_sub(wanted);
    let is_one_task = worker.longest_gap.is_some();
    if !is_one_task || worker.on_cpu == Nanos::ZERO {
        return Nanos(wanted);
    }
    let (ran, of) = (u128::from(worker.on_cpu.0), u128::from(worker.on_cpu.0 + asleep));
    let demand = u64::try_from(u128::from(span.0) * ran / of).unwrap_or(u64::MAX);
    Nanos(demand.min(wanted).max(worker.on_cpu.0))
}

/// The length of all windows.
fn span(evidence: &Evidence) -> Result<Nanos, String> {
    let length = |window: &Window| window.to.since(window.from).0;
    match evidence.windows.iter().map(length).sum() {
        0 => Err("the workers never ran".into()),
        span => Ok(Nanos(span)),
    }
}

/// The rule by which EEVDF weighed the groups. A sched_ext scheduler weighs them as it likes: it is held to the plain one.
fn mode(evidence: &Evidence) -> Result<CgroupMode, String> {
    let words = evidence
        .windows
        .iter()
        .map(|window| match window.under_scheduler {
            true => "smp",
            false => window.cgroup_mode.as_deref().unwrap_or("smp"),
        });
    let mut words: Vec<&str> = words.collect();
    words.dedup();
    match words[..] {
        [] => Ok(CgroupMode::Smp),
        [word] => CgroupMode::named(word).ok_or_else(|| {
            format!("sched/cgroup_mode is `{word}`, which this version does not know; it knows up, smp, concur, max, tasks")
        }),
        _ => Err(format!("sched/cgroup_mode changed between windows: {}", words.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use record::Event;
    use spec::op::Write;
    use spec::{GuestTime, Op};

    use super::*;
    use crate::fixtures::{run, worker};

    /// Two seconds, each with its name, on-CPU time and run delay in ms.
    fn ran(workers: &[(&str, u64, u64)], cpus: u32) -> Evidence {
        let mut count = BTreeMap::new();
        let reports = workers.iter().map(|(name, on_cpu, run_delay)| {
            let index = count.entry(*name).or_insert(0);
            let mut report = worker(name, *index);
            *index += 1;
            report.on_cpu = Nanos::from_millis(*on_cpu);
            report.run_delay = Nanos::from_millis(*run_delay);
            report
        });
        let mut evidence = run(reports.collect());
        evidence.events.push(Event {
            at: GuestTime::default(),
            what: EventKind::Booted {
                release: "7.2".into(),
                cpus,
            },
        });
        evidence
    }

    fn confine(evidence: &mut Evidence, cpusets: &[&str]) {
        for (group, cpus) in evidence.groups.iter_mut().zip(cpusets) {
            group.cpus = Some(cpus.parse().unwrap());
        }
    }

    fn name(name: &str) -> GroupName {
        name.parse().unwrap()
    }

    #[track_caller]
    fn judged(outcome: &Outcome, verdict: Verdict, part: &str) {
        assert_eq!(outcome.verdict, verdict, "{}", outcome.reason);
        assert!(outcome.reason.contains(part), "{}", outcome.reason);
    }

    #[test]
    fn a_scheduler_that_is_not_told_the_weights_is_said_to_be() {
        let mut evidence = ran(&[("a", 1000, 1000), ("b", 1000, 1000)], 1);
        evidence.groups[0].weight = 300.try_into().unwrap();
        judged(&share(&evidence), Verdict::Fail, "allowed are ±10 %");
        let mut attach = |callbacks: &[&str]| {
            let what = EventKind::SchedulerAttached {
                ops: "plain".into(),
                pid: 9,
                enable_seq: None,
                callbacks: Some(callbacks.iter().map(|name| (*name).to_owned()).collect()),
            };
            let at = GuestTime::default();
            evidence
                .events
                .retain(|event| !matches!(event.what, EventKind::SchedulerAttached { .. }));
            evidence.events.push(Event { at, what });
            share(&evidence)
        };
        judged(
            &attach(&["enqueue"]),
            Verdict::Fail,
            "`plain` has no cgroup_init or cgroup_set_weight callback",
        );
        let told = attach(&["enqueue", "cgroup_set_weight"]);
        assert!(!told.reason.contains("callback"), "{}", told.reason);
    }

    fn share(evidence: &Evidence) -> Outcome {
        groups(evidence, &[name("a"), name("b")], Percent(10.0))
    }

    fn fair(evidence: &Evidence, within: f64) -> Outcome {
        workers(evidence, &name("a"), Percent(within))
    }

    #[test]
    fn equal_workers_pass_and_one_that_is_off_is_named() {
        let spin = |on_cpu| ("a", on_cpu, 2_000 - on_cpu);
        judged(
            &fair(&ran(&[500, 510, 495, 495].map(spin), 1), 10.0),
            Verdict::Pass,
            "4 competitors",
        );
        let unfair = fair(&ran(&[500, 500, 500, 300].map(spin), 1), 10.0);
        judged(
            &unfair,
            Verdict::Fail,
            "a/3 (pid 103) got 0.300s of its due 0.450s (-33.3 %)",
        );
        assert!(unfair.reason.contains("CPU 0") && unfair.reason.contains("[    3.000000]"));
    }

    #[test]
    fn nice_weights_count() {
        let mut evidence = ran(&[("a", 1_507, 493), ("a", 493, 1_507)], 1);
        for (event, value) in evidence.events.iter_mut().zip([0, 5]) {
            let EventKind::Spawned { nice, .. } = &mut event.what else {
                panic!("only spawns")
            };
            *nice = value;
        }
        judged(&fair(&evidence, 1.0), Verdict::Pass, "");
    }

    #[test]
    fn groups_are_compared_by_their_cgroup_weight() {
        let mut evidence = ran(&[("a", 1_500, 500), ("b", 500, 1_500)], 1);
        judged(
            &share(&evidence),
            Verdict::Fail,
            "group b got 0.500s of its due 1.000s",
        );
        evidence.groups[0].weight = 300.try_into().unwrap();
        judged(&share(&evidence), Verdict::Pass, "2 competitors");
    }

    #[test]
    fn a_group_is_due_no_more_than_its_cpus_have() {
        let six = [("a", 666, 1_334); 6];
        let three = [("b", 667, 1_333); 3];
        let mut evidence = ran(&[&six[..], &three[..]].concat(), 3);
        confine(&mut evidence, &["0-1", "2"]);
        judged(&share(&evidence), Verdict::Pass, "");
        let taken = [("b", 400, 1_600); 3];
        let mut evidence = ran(&[&six[..], &taken[..]].concat(), 3);
        confine(&mut evidence, &["0-1", "2"]);
        judged(&share(&evidence), Verdict::Fail, "group b got 1.200s");
    }

    #[test]
    fn who_hardly_waited_has_its_due() {
        let spinners = [("a", 1_930, 70); 4];
        let burst = [("b", 264, 41)];
        judged(
            &share(&ran(&[&spinners[..], &burst[..]].concat(), 4)),
            Verdict::Pass,
            "",
        );
    }

    #[test]
    fn who_sleeps_wants_no_more_for_having_waited() {
        let check = |on_cpu: u64, run_delay: u64, expect: u64| {
            let mut worker = worker("a", 0);
            (worker.on_cpu, worker.run_delay) = (Nanos::from_millis(on_cpu), Nanos::from_millis(run_delay));
            assert_eq!(
                demand(&worker, Nanos::from_secs(2)),
                Nanos::from_millis(expect),
                "{on_cpu} {run_delay}"
            );
        };
        check(500, 1_500, 2_000);
        // 5 ms of work, 5 ms of sleep, and 2 ms of waiting before each: without waiting it would run half of the time.
        check(750, 500, 1_000);
        check(0, 700, 700);
        check(2_000, 0, 2_000);
    }

    #[test]
    fn who_still_waits_when_the_window_ends_wanted_to_run() {
        let mut evidence = ran(&[("a", 1_000, 1_000), ("a", 1_000, 1_000), ("a", 0, 0)], 1);
        let starved = &mut evidence.windows[0].workers[2];
        starved.longest_gap = Some(spec::Gap {
            span: Nanos::from_millis(1_990),
            from: GuestTime(Nanos::from_secs(1)),
            cpu: 0,
            open: true,
        });
        judged(
            &fair(&evidence, 10.0),
            Verdict::Fail,
            "a/2 (pid 102) got 0.000s of its due 0.66",
        );
    }

    #[test]
    fn where_nobody_waits_there_is_nothing_to_divide() {
        let bursts = [("a", 900, 1), ("a", 1_700, 2), ("a", 1_300, 1), ("a", 1_900, 9)];
        judged(
            &fair(&ran(&bursts, 4), 10.0),
            Verdict::Inconclusive,
            "nobody competed",
        );
    }

    #[test]
    fn a_competitor_that_is_not_named_competes_too() {
        let evidence = ran(&[("a", 700, 1_300), ("b", 700, 1_300), ("c", 600, 1_400)], 1);
        judged(&share(&evidence), Verdict::Pass, "2 competitors");
    }

    #[test]
    fn the_kernels_mode_decides_what_a_group_weighs() {
        let check = |mode: &str, one: u64, verdict: Verdict, part: &str| {
            let each = (4_000 - one) / 8;
            let many = [("b", each, 2_000 - each); 8];
            let mut evidence = ran(&[&[("a", one, 2_000 - one)][..], &many[..]].concat(), 2);
            evidence.windows[0].cgroup_mode = Some(mode.to_owned());
            judged(&share(&evidence), verdict, part);
        };
        check("smp", 1_992, Verdict::Pass, "");
        check(
            "smp",
            1_340,
            Verdict::Fail,
            "group a got 1.340s of its due 1.998s",
        );
        check("max", 1_992, Verdict::Pass, "");
        check("concur", 1_340, Verdict::Pass, "due 1.332s");
        check(
            "concur",
            1_992,
            Verdict::Fail,
            "group a got 1.992s of its due 1.333s (+49.4 %)",
        );
        check("tasks", 456, Verdict::Pass, "due 0.444s");
        check("up", 1_640, Verdict::Inconclusive, "divides each CPU for itself");
        check(
            "flat",
            1_640,
            Verdict::Inconclusive,
            "`flat`, which this version does not know",
        );
    }

    #[test]
    fn a_mode_that_changes_has_no_one_rule_and_a_scheduler_has_none() {
        let mut evidence = ran(&[("a", 1_500, 500), ("b", 500, 1_500)], 1);
        let mut second = evidence.windows[0].clone();
        second.cgroup_mode = Some("max".into());
        evidence.windows.push(second);
        judged(&share(&evidence), Verdict::Inconclusive, "smp, max");
        let mut evidence = ran(&[("a", 1_000, 1_000), ("b", 1_000, 1_000)], 1);
        evidence.windows[0].cgroup_mode = Some("up".into());
        evidence.windows[0].under_scheduler = true;
        judged(&share(&evidence), Verdict::Pass, "");
    }

    #[test]
    fn groups_that_were_changed_meanwhile_have_no_one_due() {
        let mut evidence = ran(&[("a", 1_500, 500), ("b", 500, 1_500)], 1);
        let write = |path: &str| Event {
            at: GuestTime::default(),
            what: EventKind::Applied {
                op: Op::Write(Write::new(path, 300)),
            },
        };
        evidence.events.push(write("/proc/sys/kernel/pid_max"));
        judged(&share(&evidence), Verdict::Fail, "");
        evidence.events.push(write("/sys/fs/cgroup/a/cpu.weight"));
        judged(
            &share(&evidence),
            Verdict::Inconclusive,
            "/sys/fs/cgroup/a/cpu.weight",
        );
    }

    #[test]
    fn a_share_without_competitors_is_inconclusive() {
        judged(
            &fair(&ran(&[("a", 500, 1_500)], 1), 10.0),
            Verdict::Skip,
            "a share needs two",
        );
        judged(
            &fair(&ran(&[("a", 0, 2_000); 2], 1), 10.0),
            Verdict::Inconclusive,
            "on-CPU time",
        );
        let nobody = groups(&ran(&[("a", 1, 1)], 1), &[name("z")], Percent(10.0));
        judged(&nobody, Verdict::Inconclusive, "no group `z`");
    }
}
