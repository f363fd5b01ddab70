//! The kernel's own dump of sched_ext (`SysRq-D`, read from its tracepoint), and the same from outside.
//!
//! ```text
//!  CPU 0   : nr_run=3 flags=0x1 cpu_rel=0 ksync=66
//!            curr=b/2[128] class=ext_sched_class
//!    R b/4[130] *root -12ms
//!        scx_state/flags=4/0x3 dsq_flags=0x1 ops_state/qseq=0/0
//!        sticky/holding_cpu=-1/-1 dsq_id=0x1
//!        dsq_vtime=72340276 slice=5000000 weight=100
//! ```

use std::collections::BTreeMap;

use introspect::sched::{Rq, Scx};
use introspect::task::{self, Task};
use introspect::{GuestKernel, Object, ReadError};
use schedrig::{BodyError, Rig};

use super::truth::{Fact, Facts, Tally, Words};

/// Compares; the guest moves on for no longer than the dump takes.
pub(super) fn compare(rig: &mut Rig, tally: &mut Tally) -> Result<(), BodyError> {
    rig.put_file("/sys/kernel/tracing/trace", 0o644, b"")?;
    rig.put_file(
        "/sys/kernel/tracing/events/sched_ext/sched_ext_dump/enable",
        0o644,
        b"1",
    )?;
    let look = |kernel: &GuestKernel<'_>| Ok::<_, ReadError>((facts(kernel)?, switches(kernel)?));
    let (before, switches_before) = look(&rig.kernel()?)?;
    rig.put_file("/proc/sysrq-trigger", 0o644, b"D")?;
    let (after, switches_after) = look(&rig.kernel()?)?;
    let mut theirs = words(&rig.read_file("/sys/kernel/tracing/trace")?);
    // A task that woke and slept again meanwhile was runnable for the guest alone; its count of switches tells.
    theirs.retain(|place, _| {
        let task = place.1.split_once(' ').map(|(_, task)| task);
        let ran = task.is_some_and(|task| switches_before.get(task) != switches_after.get(task));
        before.contains_key(place) || after.contains_key(place) || !ran
    });
    tally.facts(&before, &theirs, &after);
    Ok(())
}

/// How often each task has been switched from.
fn switches(kernel: &GuestKernel<'_>) -> Result<BTreeMap<String, u64>, ReadError> {
    let of = |task: &Task<'_>| Ok((name_of(&task.object())?, task.nvcsw()? + task.nivcsw()?));
    task::all(kernel)?.tasks.iter().map(of).collect()
}

/// `comm[pid]`, as the dump has it.
fn name_of(task: &Object<'_>) -> Result<String, ReadError> {
    Ok(format!("{}[{}]", task.str("comm")?, task.i64("pid")?))
}

fn words(text: &str) -> Words {
    let mut words = Words::new();
    let (mut cpu, mut task) = (String::new(), None);
    let lines = text
        .lines()
        .filter_map(|line| line.split_once("sched_ext_dump: "));
    for (_, line) in lines {
        let fields = line.split_whitespace().filter_map(|field| field.split_once('='));
        if let Some(rest) = line.strip_prefix("CPU ").filter(|rest| rest.contains(':')) {
            cpu = format!("cpu{}", rest.split_whitespace().next().unwrap_or("?"));
            task = None;
        }
        if let Some((name, count)) = line
            .trim()
            .split_once(": ")
            .filter(|(name, _)| name.starts_with("SCX_EV_"))
        {
            words.insert((format!("event {name}"), String::new()), count.trim().to_owned());
        }
        if let Some(name) = is_task(line) {
            task = Some(format!("{cpu} {name}"));
        }
        let (subject, at) = match &task {
            Some(task) => ("scx task", task),
            None => ("scx rq", &cpu),
        };
        // Of the rescue of v7.3 the rig reads the queue alone.
        for (key, value) in fields.filter(|(key, _)| !matches!(*key, "rescue" | "budget" | "rescuing")) {
            let mut put = |key: &str, value: &str| {
                words.insert((format!("{subject} {key}"), at.clone()), value.to_owned())
            };
            // `scx_state/flags=4/0x3`, `sticky/holding_cpu=-1/-1`
            match (key.split_once('/'), value.split_once('/')) {
                (Some((key, second)), Some((value, other))) => {
                    put(key, value);
                    put(second, other);
                }
                _ => {
                    put(key, value);
                }
            }
        }
    }
    words
}

/// ` *R b/2[128] *root -20ms`: a task, and whether it runs.
fn is_task(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let state = words.next()?.trim_start_matches('*');
    let name = words
        .next()
        .filter(|name| name.ends_with(']') && !name.contains('='))?;
    (state.len() == 1).then_some(name)
}

/// The same from outside.
fn facts(kernel: &GuestKernel<'_>) -> Result<Facts, ReadError> {
    let mut facts = Facts::new();
    for rq in Rq::all(kernel)? {
        let (cpu, scx) = (format!("cpu{}", rq.cpu()?), rq.scx()?);
        let curr = rq.curr()?;
        let mut runnable = scx.runnable()?;
        // An idle CPU is left out.
        if runnable.is_empty() && curr.i64("pid")? == 0 {
            continue;
        }
        let mut put = |key: &str, fact| facts.insert((format!("scx rq {key}"), cpu.clone()), fact);
        put("nr_run", Fact::Level(scx.nr_running()?.into()));
        put("flags", Fact::Hex(scx.object().u64("flags")?));
        put("cpu_rel", Fact::Level(scx.cpu_released()?.into()));
        put("ksync", Fact::Count(scx.object().u64("kick_sync")?.into()));
        put("curr", Fact::Word(name_of(&curr)?));
        put("class", Fact::Word(class_of(&curr)?));
        facts.insert(
            ("clock".into(), cpu.clone()),
            Fact::Clock(rq.clock()?.cast_signed()),
        );
        if class_of(&curr)? == "ext_sched_class" {
            runnable.push(curr);
        }
        for task in runnable {
            let at = format!("{cpu} {}", name_of(&task)?);
            entity(&mut facts, &at, &task)?;
        }
    }
    if let Some(root) = Scx::of(kernel).root()? {
        for (name, count) in root.events()? {
            facts.insert(
                (format!("event {name}"), String::new()),
                Fact::Count(count.into()),
            );
        }
    }
    Ok(facts)
}

/// The symbol of the task's class.
pub(super) fn class_of(task: &Object<'_>) -> Result<String, ReadError> {
    let class = task.pointer("sched_class")?;
    let symbol = task.kernel().symbolize(class);
    Ok(symbol.map_or_else(|| class.to_string(), |(name, _)| name.to_owned()))
}

/// `scx_dump_task()`.
fn entity(facts: &mut Facts, at: &str, task: &Object<'_>) -> Result<(), ReadError> {
    let scx = task.field("scx")?;
    let mut put = |key: &str, fact| facts.insert((format!("scx task {key}"), at.to_owned()), fact);
    let (flags, state) = (scx.u64("flags")?, scx.u64("ops_state.counter")?);
    let constant = |name| task.btf().enum_value(None, name).map_or(0, i64::cast_unsigned);
    let mask = constant("SCX_TASK_STATE_MASK");
    put(
        "scx_state",
        Fact::Level(((flags & mask) >> constant("SCX_TASK_STATE_SHIFT")).into()),
    );
    put("flags", Fact::Hex(flags & !mask));
    let shift = constant("SCX_OPSS_QSEQ_SHIFT");
    put("ops_state", Fact::Level((state & ((1 << shift) - 1)).into()));
    put("qseq", Fact::Level((state >> shift).into()));
    let cpus = task.kernel().cpumask(task.follow("cpus_ptr")?)?;
    let mask = cpus.iter().fold(0u64, |mask, cpu| mask | 1 << cpu);
    put("cpus", Fact::Word(format!("{mask:x}")));
    put("no_mig", Fact::Level(task.u64("migration_disabled")?.into()));
    put("dsq_flags", Fact::Hex(scx.u64("dsq_flags")?));
    put("sticky", Fact::Level(scx.i64("sticky_cpu")?.into()));
    put("holding_cpu", Fact::Level(scx.i64("holding_cpu")?.into()));
    put("dsq_vtime", Fact::Level(scx.u64("dsq_vtime")?.into()));
    put("slice", Fact::Level(scx.u64("slice")?.into()));
    put("weight", Fact::Level(scx.u64("weight")?.into()));
    let dsq = match scx.follow_opt("dsq")? {
        Some(dsq) => format!("{:#x}", dsq.u64("id")?),
        None => "(n/a)".to_owned(),
    };
    put("dsq_id", Fact::Word(dsq));
    Ok(())
}
