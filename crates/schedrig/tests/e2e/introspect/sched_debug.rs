//! `/sys/kernel/debug/sched/debug`, and the same from outside.

use introspect::sched::{CfsRq, Entity, Rq, jiffies};
use introspect::{GuestKernel, Object, ReadError};

use super::truth::{Fact, Facts, SWITCHES, Words};

pub(super) const PATH: &str = "/sys/kernel/debug/sched/debug";

/// What the kernel makes up while it prints, so that it is nowhere in its memory.
const MOMENTARY: [&str; 5] = [
    "Sched Debug Version",
    "ktime",
    "sched_clk",
    "cpu_clk",
    "sched_clock_stable()",
];

/// What the file says.
pub(super) fn words(text: &str) -> Words {
    let mut words = Words::new();
    let (mut subject, mut at, mut cpu) = (String::from("head"), String::new(), String::new());
    let mut columns: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("cpu#") {
            cpu = format!("cpu{}", number(rest));
            (subject, at) = ("rq".to_owned(), cpu.clone());
        } else if let Some((kind, rest)) = line.split_once("_rq[") {
            subject = format!("{kind}_rq");
            let path = rest.split_once("]:").map_or("", |(_, path)| path);
            at = format!("{cpu} {path}").trim_end().to_owned();
        } else if line.trim_start().starts_with("S            task") {
            columns = line.split_whitespace().collect();
        } else if let Some((key, value)) = line.split_once(": ") {
            if MOMENTARY.contains(&key.trim()) {
                continue;
            }
            // `390635024338 (38 bits)`, `1 (logarithmic)`
            let value = value.split(" (").next().unwrap_or(value).trim();
            words.insert(
                (format!("{subject} {}", key.trim()), at.clone()),
                value.to_owned(),
            );
        } else if let Some(row) = row(&columns, line) {
            task(&mut words, &cpu, &row);
        }
    }
    words
}

fn number(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("")
}

/// The columns of a task that is queued. The others are another test's.
fn row<'t>(columns: &[&'t str], line: &'t str) -> Option<Vec<(&'t str, &'t str)>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let queued = matches!(words.first(), Some(&("R" | ">R")));
    (queued && words.len() == columns.len()).then(|| columns.iter().copied().zip(words).collect())
}

fn task(words: &mut Words, cpu: &str, row: &[(&str, &str)]) {
    let column = |name| {
        row.iter()
            .find(|(column, _)| *column == name)
            .map(|(_, word)| *word)
    };
    // Below 100 are the classes above the fair one.
    if column("prio")
        .and_then(|prio| prio.parse::<u32>().ok())
        .is_none_or(|prio| prio < 100)
    {
        return;
    }
    let at = format!(
        "{cpu} {}[{}]",
        column("task").unwrap_or("?"),
        column("PID").unwrap_or("?")
    );
    for (column, word) in row {
        if !matches!(*column, "S" | "task" | "PID" | "node" | "group-id") {
            words.insert((format!("task {column}"), at.clone()), (*word).to_owned());
        }
    }
}

/// What the file says but for the tasks: those of sched_ext are in no queue of the fair class.
pub(super) fn words_of_queues(text: &str) -> Words {
    let mut words = words(text);
    words.retain(|(subject, _), _| !subject.starts_with("task "));
    words
}

/// The same from outside.
pub(super) fn facts(kernel: &GuestKernel<'_>) -> Result<Facts, ReadError> {
    let mut facts = Facts::new();
    facts.insert(
        ("head jiffies".into(), String::new()),
        Fact::Count(jiffies(kernel)?.into()),
    );
    let base_slice = kernel.read_symbol_u32("sysctl_sched_base_slice")?;
    let setting = |name: &str| {
        kernel
            .read_symbol_u32(name)
            .map(|value| Fact::Level(value.into()))
    };
    for (name, fact) in [
        ("sysctl_sched_base_slice", Fact::Span(base_slice.into())),
        ("sysctl_sched_features", setting("sysctl_sched_features")?),
        (
            "sysctl_sched_tunable_scaling",
            setting("sysctl_sched_tunable_scaling")?,
        ),
    ] {
        facts.insert((format!("head .{name}"), String::new()), fact);
    }
    for rq in Rq::all(kernel)? {
        let cpu = format!("cpu{}", rq.cpu()?);
        facts.insert(
            ("clock".into(), cpu.clone()),
            Fact::Clock(rq.clock()?.cast_signed()),
        );
        runqueue(&mut facts, &cpu, &rq)?;
        for queue in rq.leaf_cfs_rqs()? {
            let at = format!("{cpu} {}", queue.path()?);
            cfs_rq(&mut facts, &at, &queue)?;
            if let Some(entity) = queue.group_entity()? {
                group_entity(&mut facts, &at, entity.object())?;
            }
            tasks(&mut facts, &cpu, &queue)?;
        }
    }
    // Of those that sleep, too: one that is listed may have come and gone.
    for task in introspect::task::all(kernel)?.tasks {
        let switches = i128::from(task.nvcsw()?) + i128::from(task.nivcsw()?);
        let name = introspect::brief_line(task.object());
        facts.insert((SWITCHES.into(), name), Fact::Count(switches));
    }
    Ok(facts)
}

fn runqueue(facts: &mut Facts, cpu: &str, rq: &Rq<'_>) -> Result<(), ReadError> {
    let mut put = |key: &str, fact| facts.insert((format!("rq {key}"), cpu.to_owned()), fact);
    put(".nr_running", Fact::Level(rq.nr_running()?.into()));
    put(".nr_switches", Fact::Count(rq.nr_switches()?.into()));
    put(
        ".nr_uninterruptible",
        Fact::Level(rq.nr_uninterruptible()?.into()),
    );
    put(".next_balance", Fact::Span(rq.next_balance()?.cast_signed()));
    put(".curr->pid", Fact::Level(rq.curr()?.i64("pid")?.into()));
    put(".clock", Fact::Clock(rq.clock()?.cast_signed()));
    put(".clock_task", Fact::Clock(rq.clock_task()?.cast_signed()));
    put(".avg_idle", Fact::Level(rq.avg_idle()?.into()));
    put(
        ".max_idle_balance_cost",
        Fact::Level(rq.max_idle_balance_cost()?.into()),
    );
    for counter in [
        "yld_count",
        "sched_count",
        "sched_goidle",
        "ttwu_count",
        "ttwu_local",
    ] {
        put(&format!(".{counter}"), Fact::Count(rq.schedstat(counter)?.into()));
    }
    facts.insert(
        ("rt_rq .rt_nr_running".into(), cpu.to_owned()),
        Fact::Level(rq.rt_nr_running()?.into()),
    );
    let deadline = [
        ("dl_rq .dl_nr_running", i128::from(rq.dl_nr_running()?)),
        ("dl_rq .dl_bw->bw", rq.object().i64("rd->dl_bw.bw")?.into()),
        (
            "dl_rq .dl_bw->total_bw",
            rq.object().i64("rd->dl_bw.total_bw")?.into(),
        ),
    ];
    for (key, value) in deadline {
        facts.insert((key.to_owned(), cpu.to_owned()), Fact::Level(value));
    }
    Ok(())
}

fn cfs_rq(facts: &mut Facts, at: &str, queue: &CfsRq<'_>) -> Result<(), ReadError> {
    let this = queue.object();
    let queued = queue.queued()?;
    let vruntimes = queued
        .iter()
        .map(|entity| entity.vruntime().map(u64::cast_signed));
    let vruntimes: Vec<i64> = vruntimes.collect::<Result<_, _>>()?;
    let zero = queue.zero_vruntime()?.cast_signed();
    // Of a queue in which nobody waits, the kernel says -1.
    let left = vruntimes
        .iter()
        .copied()
        .min_by_key(|at| at.wrapping_sub(zero))
        .unwrap_or(-1);
    let right = vruntimes.last().copied().unwrap_or(-1);
    let deadline = queued
        .first()
        .map_or(Ok(-1), |first| first.deadline().map(u64::cast_signed))?;
    let spread = right.wrapping_sub(left);
    let mut put = |key: &str, fact| facts.insert((format!("cfs_rq {key}"), at.to_owned()), fact);
    put(".left_deadline", Fact::Span(deadline));
    put(".left_vruntime", Fact::Span(left));
    put(".right_vruntime", Fact::Span(right));
    put(".spread", Fact::Span(spread));
    put(".zero_vruntime", Fact::Span(zero));
    put(".avg_vruntime", Fact::Span(queue.avg_vruntime()?.cast_signed()));
    let mut optional = |key: &str, found: Result<i128, ReadError>| match found {
        Ok(value) => {
            facts.insert((format!("cfs_rq {key}"), at.to_owned()), Fact::Level(value));
            Ok(())
        }
        Err(error) if error.is_absent() => Ok(()),
        Err(error) => Err(error),
    };
    let number = |path: &str| this.field(path)?.number().map(i128::from);
    // Names of two eras for one number: each kernel prints its own.
    let (renamed, old) = if this.has("nr_queued") {
        (".nr_queued", "nr_queued")
    } else {
        (".nr_running", "nr_running")
    };
    optional(renamed, number(old))?;
    for path in [
        "h_nr_runnable",
        "h_nr_queued",
        "h_nr_idle",
        "h_nr_delayed",
        "idle_nr_running",
        "idle_h_nr_running",
    ] {
        optional(&format!(".{path}"), number(path))?;
    }
    if this.has("sum_shift") {
        optional(".sum_w_vruntime", queue.sum_w_vruntime().map(i128::from))?;
        optional(".sum_weight", queue.sum_weight().map(i128::from))?;
        optional(".sum_shift", queue.sum_shift().map(i128::from))?;
    }
    if this.has("h_curr") {
        optional(".h_load", number("h_load"))?;
    }
    let same = [
        (".load", "load.weight"),
        (".load_avg", "avg.load_avg"),
        (".runnable_avg", "avg.runnable_avg"),
        (".util_avg", "avg.util_avg"),
        (".util_est", "avg.util_est"),
        (".removed.load_avg", "removed.load_avg"),
        (".removed.util_avg", "removed.util_avg"),
        (".removed.runnable_avg", "removed.runnable_avg"),
        (".tg_load_avg_contrib", "tg_load_avg_contrib"),
        (".tg_load_avg", "tg->load_avg.counter"),
        (".throttled", "throttled"),
        (".throttle_count", "throttle_count"),
    ];
    same.iter()
        .try_for_each(|(key, path)| optional(key, number(path)))
}

/// `print_cfs_group_stats()`.
fn group_entity(facts: &mut Facts, at: &str, entity: Object<'_>) -> Result<(), ReadError> {
    let mut put = |key: String, fact| facts.insert((format!("cfs_rq {key}"), at.to_owned()), fact);
    for (path, kind) in [
        ("exec_start", Fact::Clock as fn(i64) -> Fact),
        ("vruntime", Fact::Span),
        ("sum_exec_runtime", Fact::Clock),
    ] {
        put(format!(".se->{path}"), kind(entity.i64(path)?));
    }
    for path in ["load.weight", "avg.load_avg", "avg.util_avg", "avg.runnable_avg"] {
        put(format!(".se->{path}"), Fact::Level(entity.u64(path)?.into()));
    }
    let stats = match entity.container_of("cfs_tg_state", "se") {
        Err(error) if error.is_absent() => entity.container_of("sched_entity_stats", "se")?,
        found => found?,
    };
    let stats = stats.field("stats")?;
    for key in ["wait_start", "sleep_start", "block_start"] {
        put(format!(".{key}"), Fact::Span(stats.i64(key)?));
    }
    for key in [
        "sleep_max",
        "block_max",
        "exec_max",
        "slice_max",
        "wait_max",
        "wait_sum",
    ] {
        put(format!(".{key}"), Fact::Clock(stats.i64(key)?));
    }
    put(
        ".wait_count".to_owned(),
        Fact::Count(stats.u64("wait_count")?.into()),
    );
    Ok(())
}

/// The rows of the tasks that compete in this queue.
fn tasks(facts: &mut Facts, cpu: &str, queue: &CfsRq<'_>) -> Result<(), ReadError> {
    let mut entities = queue.queued()?;
    entities.extend(queue.curr()?);
    for entity in entities {
        let Some(task) = entity
            .task()?
            .filter(|_| !entity.sched_delayed().unwrap_or(false))
        else {
            continue;
        };
        if entity.on_rq()? {
            row_of(facts, cpu, queue, &entity, task)?;
        }
    }
    Ok(())
}

fn row_of(
    facts: &mut Facts,
    cpu: &str,
    queue: &CfsRq<'_>,
    entity: &Entity<'_>,
    task: Object<'_>,
) -> Result<(), ReadError> {
    let at = format!("{cpu} {}[{}]", task.str("comm")?, task.i64("pid")?);
    let mut put = |column: &str, fact| facts.insert((format!("task {column}"), at.clone()), fact);
    if entity.object().has("h_load") {
        put("weight", Fact::Level(entity.weight()?.into()));
    }
    put("vruntime", Fact::Span(entity.vruntime()?.cast_signed()));
    put(
        "eligible",
        Fact::Word(if queue.is_eligible(entity)? { "E" } else { "N" }.to_owned()),
    );
    put("deadline", Fact::Span(entity.deadline()?.cast_signed()));
    put("slice", Fact::Span(entity.slice()?.cast_signed()));
    put("sum-exec", Fact::Clock(entity.sum_exec_runtime()?.cast_signed()));
    put(
        "switches",
        Fact::Count((task.u64("nvcsw")? + task.u64("nivcsw")?).into()),
    );
    put("prio", Fact::Level(task.i64("prio")?.into()));
    for (column, path) in [
        ("wait-time", "stats.wait_sum"),
        ("sum-sleep", "stats.sum_sleep_runtime"),
        ("sum-block", "stats.sum_block_runtime"),
    ] {
        put(column, Fact::Clock(task.i64(path)?));
    }
    let group = CfsRq::new(task.follow("se.cfs_rq")?).path()?;
    facts.insert(("task group-path".into(), at), Fact::Word(group));
    Ok(())
}
