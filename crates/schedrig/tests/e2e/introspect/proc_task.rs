//! The files of a task in `/proc/PID/task/TID`, and the same from outside.

use introspect::task::Task;
use introspect::{GuestKernel, ReadError};

use super::truth::{Fact, Facts, Words};

/// The files that are compared.
pub(super) const FILES: [&str; 5] = ["stat", "status", "sched", "schedstat", "cgroup"];

/// `USER_HZ` is 100.
pub(super) const NS_PER_TICK: u64 = 10_000_000;

/// The fields of `stat`, by their place behind the name, the state being 0.
const STAT: [(usize, &str); 15] = [
    (0, "state"),
    (1, "ppid"),
    (2, "pgrp"),
    (3, "session"),
    (6, "flags"),
    (11, "utime"),
    (12, "stime"),
    (15, "priority"),
    (16, "nice"),
    (17, "num_threads"),
    (19, "starttime"),
    (35, "exit_signal"),
    (36, "processor"),
    (37, "rt_priority"),
    (38, "policy"),
];

/// The lines of `status`.
const STATUS: [&str; 8] = [
    "State",
    "Tgid",
    "Pid",
    "PPid",
    "Threads",
    "Cpus_allowed_list",
    "voluntary_ctxt_switches",
    "nonvoluntary_ctxt_switches",
];

/// What of `sched` is counted by the kernel while it prints, or is no part of scheduling.
const MOMENTARY: [&str; 8] = [
    "avg_atom",
    "avg_per_cpu",
    "clock-delta",
    "uclamp",
    "effective uclamp",
    "mm->numa_scan_seq",
    "numa_pages_migrated",
    "total_numa_faults",
];

/// What of `struct sched_statistics` is ns, printed by `SPLIT_NS`, and what is a number.
const SPANS: [&str; 12] = [
    "sum_sleep_runtime",
    "sum_block_runtime",
    "wait_start",
    "sleep_start",
    "block_start",
    "sleep_max",
    "block_max",
    "exec_max",
    "slice_max",
    "wait_max",
    "wait_sum",
    "iowait_sum",
];
const NUMBERS: [&str; 16] = [
    "wait_count",
    "iowait_count",
    "nr_migrations_cold",
    "nr_failed_migrations_affine",
    "nr_failed_migrations_running",
    "nr_failed_migrations_hot",
    "nr_forced_migrations",
    "nr_wakeups",
    "nr_wakeups_sync",
    "nr_wakeups_migrate",
    "nr_wakeups_local",
    "nr_wakeups_remote",
    "nr_wakeups_affine",
    "nr_wakeups_affine_attempts",
    "nr_wakeups_passive",
    "nr_wakeups_idle",
];

/// What a file says of the task with this pid.
pub(super) fn words(file: &str, pid: i64, text: &str) -> Words {
    let mut words = Words::new();
    let mut say = |name: &str, word: &str| {
        words.insert((format!("{file} {name}"), pid.to_string()), word.to_owned());
    };
    match file {
        "stat" => {
            let fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let fields: Vec<&str> = fields.split_whitespace().collect();
            for (index, name) in STAT {
                say(name, fields.get(index).copied().unwrap_or("?"));
            }
        }
        "status" => {
            for (name, word) in text.lines().filter_map(|line| line.split_once(":\t")) {
                if STATUS.contains(&name) {
                    say(name, word);
                }
            }
        }
        "sched" => {
            say("head", text.lines().next().unwrap_or(""));
            for (name, word) in text.lines().filter_map(|line| line.rsplit_once(" :")) {
                let name = name.trim();
                if !MOMENTARY.iter().any(|other| name.starts_with(other)) {
                    say(name, word.trim());
                }
            }
        }
        "schedstat" => {
            for (name, word) in ["runtime", "run_delay", "pcount"]
                .iter()
                .zip(text.split_whitespace())
            {
                say(name, word);
            }
        }
        _ => {
            let path = text.lines().find_map(|line| line.strip_prefix("0::"));
            say("path", path.unwrap_or("?"));
        }
    }
    words
}

/// The same from outside. `look` is another number each time that the rig looks: one that runs never stood still.
pub(super) fn facts(
    kernel: &GuestKernel<'_>,
    task: &Task<'_>,
    file: &str,
    look: u64,
) -> Result<Facts, ReadError> {
    let at = task.pid()?.to_string();
    let clock = match task.on_cpu()? {
        true => format!("look {look}"),
        false => {
            let cpu = task.cpu()?;
            let rq = introspect::sched::Rq::of(kernel, cpu as u32)?;
            format!("cpu{cpu} {} {}", rq.clock()?, task.on_rq()?)
        }
    };
    let mut facts: Facts = match file {
        "stat" => stat(task)?,
        "status" => status(task)?,
        "sched" => sched(task)?,
        "schedstat" => vec![
            ("runtime".to_owned(), count(task.sum_exec_runtime()?)),
            ("run_delay".to_owned(), count(task.run_delay()?)),
            ("pcount".to_owned(), count(task.pcount()?)),
        ],
        _ => vec![("path".to_owned(), Fact::Word(task.cgroup()?.path()?))],
    }
    .into_iter()
    .map(|(name, fact)| ((format!("{file} {name}"), at.clone()), fact))
    .collect();
    facts.insert(("clock".to_owned(), at), Fact::Word(clock));
    Ok(facts)
}

fn count(number: u64) -> Fact {
    Fact::Count(number.into())
}

fn level(number: i64) -> Fact {
    Fact::Level(number.into())
}

fn named<const N: usize>(facts: [(&str, Fact); N]) -> Vec<(String, Fact)> {
    facts.map(|(name, fact)| (name.to_owned(), fact)).into()
}

/// `do_task_stat()` of fs/proc/array.c, of one thread.
fn stat(task: &Task<'_>) -> Result<Vec<(String, Fact)>, ReadError> {
    let time = task.cputime()?;
    let object = task.object();
    Ok(named([
        ("state", Fact::Word(task.state()?.letter.to_string())),
        ("ppid", level(task.parent()?.tgid()?)),
        ("pgrp", level(task.pgrp()?)),
        ("session", level(task.session()?)),
        ("flags", level(object.i64("flags")?)),
        // Their proportion can change until it is told: neither only grows.
        ("utime", Fact::Level((time.utime / NS_PER_TICK).into())),
        ("stime", Fact::Level((time.stime / NS_PER_TICK).into())),
        ("priority", level(task.proc_priority()?)),
        ("nice", level(task.nice()?)),
        ("num_threads", level(task.nr_threads()?)),
        ("starttime", count(task.start_boottime()? / NS_PER_TICK)),
        ("exit_signal", level(object.i64("exit_signal")?)),
        ("processor", level(task.cpu()?.cast_signed())),
        ("rt_priority", level(task.rt_priority()?.cast_signed())),
        ("policy", level(object.i64("policy")?)),
    ]))
}

/// `proc_pid_status()`.
fn status(task: &Task<'_>) -> Result<Vec<(String, Fact)>, ReadError> {
    Ok(named([
        ("State", Fact::Word(task.state()?.to_string())),
        ("Tgid", level(task.tgid()?)),
        ("Pid", level(task.pid()?)),
        ("PPid", level(task.parent()?.tgid()?)),
        ("Threads", level(task.nr_threads()?)),
        ("Cpus_allowed_list", Fact::Word(task.cpus_allowed()?.to_string())),
        ("voluntary_ctxt_switches", count(task.nvcsw()?)),
        ("nonvoluntary_ctxt_switches", count(task.nivcsw()?)),
    ]))
}

/// `proc_sched_show_task()` of kernel/sched/debug.c.
fn sched(task: &Task<'_>) -> Result<Vec<(String, Fact)>, ReadError> {
    let object = task.object();
    let head = format!(
        "{} ({}, #threads: {})",
        task.comm()?,
        task.pid()?,
        task.nr_threads()?
    );
    let switches = task.nvcsw()? + task.nivcsw()?;
    let mut facts = named([
        ("head", Fact::Word(head)),
        ("nr_switches", count(switches)),
        ("nr_voluntary_switches", count(task.nvcsw()?)),
        ("nr_involuntary_switches", count(task.nivcsw()?)),
        ("policy", level(object.i64("policy")?)),
        ("prio", level(task.prio()?)),
        (
            "se.sum_exec_runtime",
            Fact::Clock(task.sum_exec_runtime()?.cast_signed()),
        ),
        ("se.nr_migrations", count(object.u64("se.nr_migrations")?)),
        ("numa_preferred_nid", level(object.i64("numa_preferred_nid")?)),
    ]);
    let mut add = |name: &str, fact| facts.push((name.to_owned(), fact));
    for name in ["se.exec_start", "se.vruntime"] {
        add(name, Fact::Span(object.i64(name)?));
    }
    let averages = [
        "load_sum",
        "runnable_sum",
        "util_sum",
        "load_avg",
        "runnable_avg",
        "util_avg",
        "last_update_time",
    ];
    for name in averages {
        let name = format!("se.avg.{name}");
        add(&name, level(object.i64(&name)?));
    }
    // Without `UTIL_AVG_UNCHANGED`.
    add(
        "se.avg.util_est",
        level(object.i64("se.avg.util_est")? & 0x7fff_ffff),
    );
    add("se.load.weight", level(object.i64("se.load.weight")?));
    // `fair_policy()`
    if ["SCHED_OTHER", "SCHED_BATCH", "SCHED_EXT"].contains(&task.policy()?.as_str()) {
        add("se.slice", level(object.i64("se.slice")?));
    }
    if object.has("scx") {
        add("ext.enabled", level((task.sched_class()? == "ext").into()));
    }
    for name in SPANS {
        add(name, Fact::Span(object.i64(&format!("stats.{name}"))?));
    }
    for name in NUMBERS {
        let path = format!("stats.{name}");
        if object.has(&path) {
            add(name, level(object.i64(&path)?));
        }
    }
    Ok(facts)
}
