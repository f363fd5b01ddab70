//! Tasks, cgroups and interrupts, at several points of a loaded run.

use std::collections::BTreeSet;

use introspect::cgroup::Cgroup;
use introspect::irq::CpuCounts;
use introspect::workqueue::WorkerPool;
use introspect::{GuestKernel, ReadError, task};
use schedrig::prelude::*;
use schedrig::{BodyError, Rig};

use super::proc_task::{FILES, NS_PER_TICK, facts, words};
use super::truth::{Fact, Facts, Tally, Words};
use crate::stage::{LONGTERM, NEWEST, pass, spec};

const CGROUPS: &str = "/sys/fs/cgroup";

/// Every file of every task.
fn tasks(rig: &mut Rig, tally: &mut Tally) -> Result<(), BodyError> {
    let who: Vec<(i64, i64)> = {
        let kernel = rig.kernel()?;
        let found = task::all(&kernel)?;
        tally.exact("broken lists of tasks", "", &found.problems, &Vec::new());
        let ids = found.tasks.iter().map(|task| Ok((task.tgid()?, task.pid()?)));
        ids.collect::<Result<_, ReadError>>()?
    };
    let mut look = 0;
    for (tgid, pid) in who {
        for file in FILES {
            let mut ours = |rig: &mut Rig| -> Result<Facts, BodyError> {
                look += 1;
                let kernel = rig.kernel()?;
                Ok(match task::by_pid(&kernel, pid) {
                    Ok(task) => facts(&kernel, &task, file, look)?,
                    Err(_) => Facts::new(),
                })
            };
            let before = ours(rig)?;
            // A task can end before its file is read.
            let theirs = rig.read_file(&format!("/proc/{tgid}/task/{pid}/{file}"));
            let after = ours(rig)?;
            match theirs {
                Ok(text) => tally.facts(&before, &words(file, pid, &text), &after),
                Err(_) => tally.exact("a task that is gone", &pid.to_string(), &after.len(), &0),
            }
        }
    }
    Ok(())
}

/// The tasks that the kernel lists in its cgroups, and no other pid.
fn listed(rig: &mut Rig, tally: &mut Tally) -> Result<(), BodyError> {
    fn pids(kernel: &GuestKernel<'_>) -> Result<BTreeSet<i64>, ReadError> {
        task::all(kernel)?.tasks.iter().map(task::Task::pid).collect()
    }
    let before = pids(&rig.kernel()?)?;
    let mut theirs = BTreeSet::new();
    for group in ["", "/a", "/b"] {
        let text = rig.read_file(&format!("{CGROUPS}{group}/cgroup.threads"))?;
        theirs.extend(text.lines().filter_map(|line| line.parse::<i64>().ok()));
    }
    let last = before.last().copied().unwrap_or(0);
    for pid in (1..last + 8).filter(|pid| !before.contains(pid)) {
        if rig.read_file(&format!("/proc/{pid}/stat")).is_ok() {
            theirs.insert(pid);
        }
    }
    let after = pids(&rig.kernel()?)?;
    for pid in before.union(&after).chain(&theirs).collect::<BTreeSet<_>>() {
        let at = pid.to_string();
        let ours = (before.contains(pid), after.contains(pid));
        tally.value("listed", &at, &ours.0, &theirs.contains(pid), &ours.1);
    }
    Ok(())
}

fn cgroup_words(rig: &mut Rig, group: &str) -> Result<Words, BodyError> {
    let mut words = Words::new();
    let mut say = |name: &str, word: &str| {
        words.insert((name.to_owned(), group.to_owned()), word.to_owned());
    };
    for line in rig.read_file(&format!("{CGROUPS}{group}/cpu.stat"))?.lines() {
        match line.split_once(' ') {
            Some((name, word)) if !name.contains("burst") && !name.starts_with("core_") => {
                say(&format!("cpu.stat {name}"), word);
            }
            _ => {}
        }
    }
    for name in ["cpu.max", "cpu.weight"] {
        say(name, rig.read_file(&format!("{CGROUPS}{group}/{name}"))?.trim());
    }
    let events = rig.read_file(&format!("{CGROUPS}{group}/cgroup.events"))?;
    let populated = events.lines().find_map(|line| line.strip_prefix("populated "));
    say("populated", populated.unwrap_or("?"));
    let threads = rig.read_file(&format!("{CGROUPS}{group}/cgroup.threads"))?;
    say("nr_tasks", &threads.lines().count().to_string());
    Ok(words)
}

fn cgroup_facts(kernel: &GuestKernel<'_>, path: &str) -> Result<Facts, BodyError> {
    let all = Cgroup::all(kernel)?;
    let group = all
        .iter()
        .find(|group| group.path().is_ok_and(|found| found == path))
        .ok_or("no such cgroup")?;
    let usage = group.usage()?;
    let bandwidth = group.bandwidth()?.ok_or("no CPU controller")?;
    let count = |number: u64| Fact::Count(number.into());
    let quota = bandwidth.quota.map(|ns| (ns / 1000).to_string());
    let max = format!(
        "{} {}",
        quota.unwrap_or_else(|| "max".to_owned()),
        bandwidth.period / 1000
    );
    let facts = [
        ("cpu.stat usage_usec", count(usage.usage / 1000)),
        // Their proportion can change until it is told: neither only grows.
        ("cpu.stat user_usec", Fact::Level((usage.user / 1000).into())),
        ("cpu.stat system_usec", Fact::Level((usage.system / 1000).into())),
        ("cpu.stat nice_usec", count(usage.nice / 1000)),
        ("cpu.stat nr_periods", count(bandwidth.nr_periods)),
        ("cpu.stat nr_throttled", count(bandwidth.nr_throttled)),
        ("cpu.stat throttled_usec", count(bandwidth.throttled_time / 1000)),
        ("cpu.max", Fact::Word(max)),
        ("cpu.weight", count(group.weight()?.ok_or("no CPU controller")?)),
        ("populated", Fact::Level(group.populated()?.into())),
        ("nr_tasks", Fact::Level(group.nr_tasks()?.into())),
    ];
    let mut facts: Facts = facts
        .into_iter()
        .map(|(name, fact)| ((name.to_owned(), path.to_owned()), fact))
        .collect();
    // It stood still if it has run for no ns.
    facts.insert(("clock".to_owned(), String::new()), count(usage.usage));
    Ok(facts)
}

fn cgroups(rig: &mut Rig, tally: &mut Tally) -> Result<(), BodyError> {
    for group in ["/a", "/b"] {
        let before = cgroup_facts(&rig.kernel()?, group)?;
        let theirs = cgroup_words(rig, group)?;
        let after = cgroup_facts(&rig.kernel()?, group)?;
        tally.facts(&before, &theirs, &after);
    }
    Ok(())
}

/// With groups that stand still, so that their times can be compared exactly.
fn frozen_cgroups(rig: &mut Rig, tally: &mut Tally) -> Result<(), BodyError> {
    let freeze = |rig: &mut Rig, on: &[u8]| -> Result<(), BodyError> {
        for group in ["/a", "/b"] {
            rig.put_file(&format!("{CGROUPS}{group}/cgroup.freeze"), 0o644, on)?;
        }
        Ok(())
    };
    freeze(rig, b"1")?;
    for group in ["/a", "/b"] {
        let events = format!("{CGROUPS}{group}/cgroup.events");
        let mut left = 20;
        while !rig.read_file(&events)?.contains("frozen 1") {
            // A worker must run to stop, also on the agent's CPU.
            rig.run_for(millis(10))?;
            left -= 1;
            if left == 0 {
                return Err(format!("{group} does not freeze").into());
            }
        }
    }
    cgroups(rig, tally)?;
    freeze(rig, b"0")
}

/// `/proc/stat`, `/proc/softirqs` and `/proc/interrupts`, as far as they are each CPU's counts.
fn cpu_words(rig: &mut Rig) -> Result<Words, BodyError> {
    let mut words = Words::new();
    let names = [
        "user",
        "nice",
        "system",
        "",
        "",
        "irq",
        "softirq",
        "steal",
        "guest",
        "guest_nice",
    ];
    for line in rig.read_file("/proc/stat")?.lines() {
        let mut fields = line.split_whitespace();
        let cpu = fields.next().unwrap_or("");
        if cpu.starts_with("cpu") && cpu != "cpu" {
            // What an idle CPU has idled so far is made up while it is printed.
            for (name, word) in names.iter().zip(fields).filter(|(name, _)| !name.is_empty()) {
                words.insert((format!("stat {name}"), cpu.to_owned()), word.to_owned());
            }
        }
    }
    for line in rig.read_file("/proc/softirqs")?.lines().skip(1) {
        let (name, counts) = line.split_once(':').unwrap_or(("?", ""));
        for (cpu, word) in counts.split_whitespace().enumerate() {
            let subject = format!("softirq {}", name.trim());
            words.insert((subject, format!("cpu{cpu}")), word.to_owned());
        }
    }
    let mut sums: Vec<u64> = Vec::new();
    let interrupts = rig.read_file("/proc/interrupts")?;
    let cpus = interrupts.lines().next().unwrap_or("").split_whitespace().count();
    sums.resize(cpus, 0);
    for line in interrupts.lines().skip(1) {
        let (irq, counts) = line.split_once(':').unwrap_or(("?", ""));
        if irq.trim().parse::<u32>().is_ok() {
            for (sum, word) in sums.iter_mut().zip(counts.split_whitespace()) {
                *sum += word.parse::<u64>()?;
            }
        }
    }
    for (cpu, sum) in sums.iter().enumerate() {
        words.insert(("interrupts".to_owned(), format!("cpu{cpu}")), sum.to_string());
    }
    Ok(words)
}

fn cpu_facts(kernel: &GuestKernel<'_>) -> Result<Facts, ReadError> {
    let mut facts = Facts::new();
    for counts in CpuCounts::all(kernel)? {
        let at = format!("cpu{}", counts.cpu());
        let mut add = |subject: String, count: u64| {
            facts.insert((subject, at.clone()), Fact::Count(count.into()));
        };
        for (name, ns) in counts.times()? {
            if !["idle", "iowait"].contains(&name) {
                add(format!("stat {name}"), ns / NS_PER_TICK);
            }
        }
        for (name, count) in counts.softirqs()? {
            add(format!("softirq {name}"), count);
        }
        add("interrupts".to_owned(), counts.irqs_sum()?);
    }
    Ok(facts)
}

/// A pool's counts are those of what it has.
fn pools_agree(kernel: &GuestKernel<'_>, tally: &mut Tally) -> Result<(), ReadError> {
    for pool in WorkerPool::all(kernel)? {
        let at = pool.object().i64("id")?.to_string();
        let workers = pool.workers()?;
        tally.exact(
            "pool nr_workers",
            &at,
            &(workers.len() as i64),
            &pool.nr_workers()?,
        );
        // One that begins or ends is neither.
        let idle = workers.len() as i64 - pool.busy()?.len() as i64;
        tally.exact("pool nr_idle", &at, &(pool.nr_idle()? <= idle), &true);
        for worker in workers {
            // Those of bottom halves have no task.
            if let Some(task) = worker.follow_opt("task")? {
                let comm = task.str("comm")?;
                tally.exact("pool worker", &at, &comm.starts_with("kworker/"), &true);
            }
        }
    }
    Ok(())
}

fn equals_what_the_guest_says(kernel: &str, scheduler: &str, least: usize) {
    let mut spec = spec("tasks", "1n2l2c1t", kernel, scheduler);
    spec.kernel_args = "schedstats=enable".into();
    let mut tally = Tally::default();
    pass(&spec, |rig| {
        rig.cgroup("a").spawn(Spin.workers(3))?;
        rig.cgroup("b").cpus("1-2").weight(300).spawn(Spin.workers(3))?;
        for point in 0..3 {
            rig.run_for(millis(37))?;
            tasks(rig, &mut tally)?;
            listed(rig, &mut tally)?;
            cgroups(rig, &mut tally)?;
            let before = cpu_facts(&rig.kernel()?)?;
            let theirs = cpu_words(rig)?;
            let after = cpu_facts(&rig.kernel()?)?;
            tally.facts(&before, &theirs, &after);
            pools_agree(&rig.kernel()?, &mut tally)?;
            if point == 0 {
                rig.put_file(&format!("{CGROUPS}/b/cpu.max"), 0o644, b"150000 100000")?;
            }
        }
        frozen_cgroups(rig, &mut tally)?;
        rig.finish()
    });
    tally.finish(&format!("tasks, {kernel}, {scheduler}"), least);
}

#[test]
fn of_a_long_term_kernel_are_what_the_guest_says() {
    equals_what_the_guest_says(LONGTERM, "eevdf", 17_000);
}

#[test]
fn of_the_newest_kernel_are_what_the_guest_says() {
    equals_what_the_guest_says(NEWEST, "eevdf", 17_000);
}

#[test]
fn of_the_newest_kernel_under_sched_ext_are_what_the_guest_says() {
    equals_what_the_guest_says(NEWEST, "scx_baton", 17_000);
}
