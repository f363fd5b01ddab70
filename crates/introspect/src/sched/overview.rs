//! Runqueues and dispatch queues at a glance: tables, and one CPU with all that it has.

use record::Value;

use super::names::brief_line;
use super::{CfsRq, Domain, Dsq, Entity, Rq, Scx, ScxRq, ScxSched};
use crate::{GuestKernel, Object, ReadError};

/// All CPUs, a line each, and the tasks that wait, a line each, in the order in which their queue would run them.
pub fn runqueues(kernel: &GuestKernel<'_>) -> Result<Value, ReadError> {
    let rqs = Rq::all(kernel)?;
    let mut waiting = Vec::new();
    for rq in &rqs {
        if let Err(error) = waiting_on(rq, &mut waiting) {
            let cpu = ("cpu", Value::from(rq.cpu()));
            waiting.push(Value::tree([cpu, ("task", Value::missing(&error))]));
        }
    }
    Ok(Value::tree([
        ("cpus", rqs.iter().map(line).collect()),
        ("waiting", Value::List(waiting)),
    ]))
}

/// One CPU's runqueue, with the fair class's queues and their tasks, what sched_ext keeps, and the domains.
pub fn runqueue(kernel: &GuestKernel<'_>, cpu: u32) -> Result<Value, ReadError> {
    let rq = Rq::of(kernel, cpu)?;
    let queues = all(rq.leaf_cfs_rqs(), CfsRq::value);
    let scx = rq
        .scx()
        .map_or_else(|error| Value::missing(&error), |scx| scx.value());
    let domains = all(rq.domains(), Domain::value);
    let Value::Tree(mut entries) = rq.value() else {
        return Ok(rq.value());
    };
    let parts = [("cfs", queues), ("scx", scx), ("domains", domains)];
    entries.extend(parts.map(|(name, part)| (name.into(), part)));
    Ok(Value::Tree(entries))
}

/// All CPUs' runqueues with all that they have, and sched_ext's schedulers with theirs.
pub fn everything(kernel: &GuestKernel<'_>) -> Result<Value, ReadError> {
    let cpus = kernel.possible_cpus()?;
    let cpus = cpus.iter().map(|cpu| Value::from(runqueue(kernel, cpu)));
    Ok(Value::tree([
        ("cpus", cpus.collect()),
        ("sched_ext", Scx::of(kernel).value()),
    ]))
}

/// sched_ext's schedulers, their dispatch queues, a line each, and the tasks in them, a line each in dispatch order.
pub fn dispatch_queues(kernel: &GuestKernel<'_>) -> Result<Value, ReadError> {
    let scx = Scx::of(kernel);
    let state = scx.enable_state()?;
    let mut found = Vec::new();
    for sched in scx.scheds()? {
        let of = sched.name().unwrap_or_else(|error| error.to_string());
        dsqs_of(&sched, &of, &mut found)?;
    }
    for rq in Rq::all(kernel)? {
        let of = format!("cpu{}", rq.cpu()?);
        let scx = rq.scx()?;
        let own = scx.other_dsqs().into_iter().chain([scx.local_dsq()?]);
        found.extend(own.map(|dsq| (of.clone(), dsq)));
    }
    let queues = found.iter().map(|(of, dsq)| {
        Value::tree([
            ("of", Value::from(of.as_str())),
            ("dsq", Value::from(dsq.name())),
            ("nr", Value::from(dsq.nr())),
            ("seq", Value::from(dsq.seq())),
        ])
    });
    let tasks = found.iter().flat_map(|(of, dsq)| tasks_in(of, dsq));
    Ok(Value::tree([
        ("state", Value::from(state)),
        ("schedulers", all(scx.scheds(), scheduler)),
        ("dsqs", queues.collect()),
        ("tasks", tasks.collect()),
    ]))
}

fn all<T>(found: Result<Vec<T>, ReadError>, value: impl Fn(&T) -> Value) -> Value {
    match found {
        Ok(found) => found.iter().map(value).collect(),
        Err(error) => Value::missing(&error),
    }
}

fn line(rq: &Rq<'_>) -> Value {
    Value::tree([
        ("cpu", Value::from(rq.cpu())),
        ("nr", Value::from(rq.nr_running())),
        ("cfs", Value::from(rq.cfs_nr_running())),
        ("rt", Value::from(rq.rt_nr_running())),
        ("dl", Value::from(rq.dl_nr_running())),
        (
            "ext",
            Value::from(
                rq.scx()
                    .as_ref()
                    .map_err(Clone::clone)
                    .and_then(ScxRq::nr_running),
            ),
        ),
        ("curr", Value::from(rq.curr().map(brief_line))),
        ("clock", Value::time(rq.clock())),
        ("nr_switches", Value::from(rq.nr_switches())),
        ("capacity", Value::from(rq.cpu_capacity())),
    ])
}

/// The tasks that wait in a CPU's own queues: the fair class's, and the local DSQ.
fn waiting_on(rq: &Rq<'_>, waiting: &mut Vec<Value>) -> Result<(), ReadError> {
    let cpu = rq.cpu()?;
    for queue in rq.leaf_cfs_rqs()? {
        let path = queue.path()?;
        for entity in queue.queued()? {
            if let Some(task) = entity.task()? {
                waiting.push(fair(cpu, &path, &queue, &entity, task));
            }
        }
    }
    match rq.scx() {
        Err(error) if error.is_absent() => Ok(()),
        Err(error) => Err(error),
        Ok(scx) => {
            let local = scx.local_dsq()?;
            let tasks = local.tasks()?.into_iter();
            waiting.extend(tasks.map(|task| ext(("cpu", cpu.into()), "SCX_DSQ_LOCAL", &task)));
            Ok(())
        }
    }
}

fn fair<'k>(cpu: i64, path: &str, queue: &CfsRq<'k>, entity: &Entity<'k>, task: Object<'k>) -> Value {
    let lag = queue.lag(entity);
    Value::tree([
        ("cpu", cpu.into()),
        ("queue", path.into()),
        ("task", brief_line(task).into()),
        ("vruntime", Value::time(entity.vruntime())),
        ("deadline", Value::time(entity.deadline())),
        ("slice", Value::time(entity.slice())),
        (
            "lag",
            lag.map_or_else(|error| Value::missing(&error), Value::Time),
        ),
        ("eligible", Value::from(queue.is_eligible(entity))),
        ("weight", Value::from(entity.weight())),
        ("delayed", Value::from(entity.sched_delayed())),
    ])
}

fn ext(place: (&'static str, Value), queue: &str, task: &Object<'_>) -> Value {
    Value::tree([
        place,
        ("queue", queue.into()),
        ("task", brief_line(*task).into()),
        ("vtime", Value::time(task.u64("scx.dsq_vtime"))),
        ("slice", Value::time(task.u64("scx.slice"))),
        ("weight", Value::from(task.u64("scx.weight"))),
        ("runnable_for", super::dsq::runnable_for(task)),
    ])
}

fn scheduler(sched: &ScxSched<'_>) -> Value {
    let cgroup = sched
        .cgroup_path()
        .map(|path| path.unwrap_or_else(|| "/".to_owned()));
    Value::tree([
        ("name", Value::from(sched.name())),
        ("level", Value::from(sched.level())),
        ("cgroup", Value::from(cgroup)),
        ("exit_kind", Value::from(sched.exit_kind())),
        ("bypass_depth", Value::from(sched.bypass_depth())),
        ("slice_dfl", Value::time(sched.slice_dfl())),
        ("watchdog_timeout", Value::time(sched.watchdog_timeout())),
    ])
}

fn dsqs_of<'k>(sched: &ScxSched<'k>, of: &str, found: &mut Vec<(String, Dsq<'k>)>) -> Result<(), ReadError> {
    let own = sched.user_dsqs()?.into_iter().chain(sched.global_dsqs()?);
    found.extend(own.map(|dsq| (of.to_owned(), dsq)));
    match sched.bypass_dsqs() {
        Ok(bypass) => found.extend(bypass.into_iter().map(|(_, dsq)| (of.to_owned(), dsq))),
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn tasks_in(of: &str, dsq: &Dsq<'_>) -> Vec<Value> {
    let name = dsq.name().unwrap_or_else(|error| error.to_string());
    match dsq.tasks() {
        Ok(tasks) => tasks
            .iter()
            .map(|task| ext(("of", of.into()), &name, task))
            .collect(),
        Err(error) => vec![Value::tree([
            ("of", of.into()),
            ("queue", name.into()),
            ("task", Value::missing(&error)),
        ])],
    }
}
