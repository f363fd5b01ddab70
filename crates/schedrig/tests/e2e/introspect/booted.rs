//! What a guest that was booted as usual says of its kernel, against what is found in its memory.

use std::collections::BTreeMap;
use std::error::Error;

use introspect::sched::Rq;
use introspect::task::{self, Task};
use introspect::{GuestKernel, Placement, ReadError};

use super::plain::{CPUS, Guest, Shape};
use super::schedstat;
use super::truth::Tally;

/// One in so many lines of `/proc/kallsyms` is compared; all of them would take a minute on the console.
const SYMBOLS: u32 = 128;

/// Boots it, and compares all. Fails when KASLR is not as expected.
pub(super) fn compare(shape: &Shape, moved: bool) {
    let mut guest = Guest::boot(shape);
    let mut tally = Tally::default();
    placed(&mut guest, &mut tally, moved).unwrap();
    tasks(&mut guest, &mut tally).unwrap();
    counts(&mut guest, &mut tally).unwrap();
    queues(&guest, &mut tally).unwrap();
    tally.finish(&format!("{shape:?}"), 1500);
    guest.let_run();
    let mut live = Tally::default();
    tasks(&mut guest, &mut live).unwrap();
    counts(&mut guest, &mut live).unwrap();
    live.finish(&format!("{shape:?}, while it runs"), 800);
}

/// Banner, symbols, and all ways to the kernel.
fn placed(guest: &mut Guest, tally: &mut Tally, moved: bool) -> Result<(), Box<dyn Error>> {
    let version = guest.ask("cat /proc/version");
    let listed = guest.ask(&format!("awk 'NR % {SYMBOLS} == 1' /proc/kallsyms"));
    let kernel = guest.kernel();
    let place = *kernel.placement();
    println!("{place:x?}");
    assert_eq!(place.slide != 0, moved, "KASLR");
    for (way, found) in [
        ("VMCOREINFO", Placement::of_vmcoreinfo(guest.info(), guest.ram())?),
        ("banner", Placement::of_banner(guest.info(), guest.ram())?),
    ] {
        tally.exact("ways to the kernel", way, &found, &place);
    }
    let mut banner = kernel.read_cstr(kernel.symbol("linux_banner")?, 512)?;
    banner.pop();
    tally.exact(
        "banner",
        "",
        &String::from_utf8(banner)?,
        &version.trim_end().to_owned(),
    );
    for line in listed.lines() {
        // Those of BPF programs have a fourth word.
        let [address, _, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            continue;
        };
        let theirs = u64::from_str_radix(address, 16)?;
        // Static functions can have one name.
        let all = kernel
            .info()
            .symbols
            .all(name)
            .map(|symbol| place.slid(symbol.address).0);
        let all: Vec<u64> = all.collect();
        let ours = all.iter().find(|ours| **ours == theirs).or(all.first());
        tally.exact("symbols", name, &ours.copied(), &Some(theirs));
    }
    Ok(())
}

/// The parent of the kernel's threads.
const KTHREADD: i128 = 2;

/// Numbers of a task, by their names.
type Numbers = BTreeMap<&'static str, i128>;

/// `/proc/PID/stat` and `/proc/PID/schedstat` of all processes.
fn tasks(guest: &mut Guest, tally: &mut Tally) -> Result<(), Box<dyn Error>> {
    let before = processes(&guest.kernel())?;
    let stat = guest.ask("cat /proc/[0-9]*/stat; grep . /proc/[0-9]*/schedstat");
    let after = processes(&guest.kernel())?;
    let mut theirs: BTreeMap<i64, (String, Numbers)> = BTreeMap::new();
    for line in stat.lines() {
        if let Some((pid, comm, numbers)) = stat_line(line) {
            theirs.insert(pid, (comm, numbers));
        } else if let Some((pid, numbers)) = schedstat_line(line)
            && let Some((_, all)) = theirs.get_mut(&pid)
        {
            all.extend(numbers);
        }
    }
    for (pid, (comm, was)) in &before {
        // What ended meanwhile can be in its words or not.
        let Some((_, is)) = after.get(pid) else { continue };
        let at = format!("{pid} {comm}");
        let (their_comm, says) = theirs.get(pid).ok_or_else(|| format!("the guest has no {at}"))?;
        // Of its own threads the kernel knows longer names, and adds what workers do (`proc_task_name`).
        let kthread = was["ppid"] == KTHREADD;
        let their_comm = match kthread && their_comm.starts_with(comm.as_str()) {
            true => comm,
            false => their_comm,
        };
        tally.exact("comm", &at, comm, their_comm);
        let stood = was["switches"] == is["switches"];
        for (name, theirs) in says {
            let (was, is) = (&was[name], &is[name]);
            if stood || !["processor", "state"].contains(name) {
                tally.value(name, &at, was, theirs, is);
            }
        }
    }
    for name in ["init", "spin-one", "spin-two", "spin-three"] {
        assert!(
            before.values().any(|(comm, _)| comm == name),
            "no {name}: {before:?}"
        );
    }
    Ok(())
}

fn processes(kernel: &GuestKernel<'_>) -> Result<BTreeMap<i64, (String, Numbers)>, ReadError> {
    let all = task::all(kernel)?;
    assert!(
        all.problems.is_empty() || !kernel.is_frozen(),
        "{:?}",
        all.problems
    );
    let number = |task: &Task<'_>| -> Result<(i64, (String, Numbers)), ReadError> {
        let letter = task.state()?.to_string().bytes().next().unwrap_or_default();
        let numbers = [
            ("state", letter.into()),
            ("ppid", task.object().i64("real_parent->tgid")?.into()),
            ("pgrp", task.pgrp()?.into()),
            ("session", task.session()?.into()),
            ("minflt", task.object().u64("min_flt")?.into()),
            ("priority", task.proc_priority()?.into()),
            ("nice", task.nice()?.into()),
            ("num_threads", task.nr_threads()?.into()),
            ("starttime", (task.start_boottime()? / 10_000_000).into()),
            ("processor", task.cpu()?.into()),
            ("rt_priority", task.rt_priority()?.into()),
            ("policy", task.object().u64("policy")?.into()),
            ("sum_exec_runtime", task.sum_exec_runtime()?.into()),
            ("run_delay", task.run_delay()?.into()),
            ("pcount", task.pcount()?.into()),
            ("switches", (task.nvcsw()? + task.nivcsw()?).into()),
        ];
        Ok((task.pid()?, (task.comm()?, numbers.into())))
    };
    let leader = |task: &&Task<'_>| matches!((task.pid(), task.tgid()), (Ok(pid), Ok(tgid)) if pid == tgid);
    all.tasks.iter().filter(leader).map(number).collect()
}

/// `1 (init) S 0 …`, by the numbers of the fields in proc_pid_stat(5).
fn stat_line(line: &str) -> Option<(i64, String, Numbers)> {
    const FIELDS: [(&str, usize); 11] = [
        ("ppid", 4),
        ("pgrp", 5),
        ("session", 6),
        ("minflt", 10),
        ("priority", 18),
        ("nice", 19),
        ("num_threads", 20),
        ("starttime", 22),
        ("processor", 39),
        ("rt_priority", 40),
        ("policy", 41),
    ];
    let (pid, rest) = line.split_once(" (")?;
    let (comm, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let state = fields.first()?.bytes().next()?;
    let number = |(name, field): (&'static str, usize)| Some((name, fields.get(field - 3)?.parse().ok()?));
    let mut numbers: Numbers = FIELDS.into_iter().map(number).collect::<Option<_>>()?;
    numbers.insert("state", state.into());
    Some((pid.parse().ok()?, comm.to_owned(), numbers))
}

/// `/proc/1/schedstat:12 34 5`
fn schedstat_line(line: &str) -> Option<(i64, Numbers)> {
    let (pid, rest) = line.strip_prefix("/proc/")?.split_once("/schedstat:")?;
    let values = rest.split(' ').map(|word| word.parse().ok());
    let names = ["sum_exec_runtime", "run_delay", "pcount"].into_iter();
    let numbers = names.zip(values).map(|(name, value)| Some((name, value?)));
    Some((pid.parse().ok()?, numbers.collect::<Option<_>>()?))
}

/// `/proc/schedstat` and context switches.
fn counts(guest: &mut Guest, tally: &mut Tally) -> Result<(), Box<dyn Error>> {
    let look = |kernel: &GuestKernel<'_>| -> Result<_, ReadError> {
        let switches = Rq::all(kernel)?
            .iter()
            .map(Rq::nr_switches)
            .sum::<Result<u64, _>>()?;
        Ok((schedstat::facts(kernel)?, switches))
    };
    let before = look(&guest.kernel())?;
    let said = guest.ask("cat /proc/schedstat; grep ctxt /proc/stat");
    let after = look(&guest.kernel())?;
    let (said, switches) = said.split_once("ctxt ").ok_or("no ctxt")?;
    tally.facts(&before.0, &schedstat::words(said), &after.0);
    tally.value(
        "nr_switches",
        "all",
        &before.1,
        &switches.trim().parse()?,
        &after.1,
    );
    Ok(())
}

/// Queues against the tasks that are in them.
fn queues(guest: &Guest, tally: &mut Tally) -> Result<(), Box<dyn Error>> {
    let kernel = guest.kernel();
    let tasks = task::all(&kernel)?.tasks;
    for cpu in 0..CPUS {
        let rq = Rq::of(&kernel, cpu)?;
        let mut queued = Vec::new();
        for task in &tasks {
            if task.cpu()? == u64::from(cpu) && task.on_rq()? == 1 {
                queued.push(task.comm()?);
            }
        }
        let curr = Task::new(rq.curr()?);
        // A task that is about to end is queued, and not listed any more (`release_task`).
        let listed = tasks
            .iter()
            .any(|task| task.object().address() == curr.object().address());
        if !listed && curr.pid()? != 0 && curr.on_rq()? == 1 {
            queued.push(curr.comm()?);
        }
        println!(
            "cpu{cpu}: {} running {queued:?}, curr {}",
            rq.nr_running()?,
            curr.comm()?
        );
        let at = format!("cpu{cpu}");
        tally.exact("rq.cpu", &at, &rq.cpu()?, &cpu.into());
        tally.exact("rq.nr_running", &at, &rq.nr_running()?, &(queued.len() as u64));
        // In the middle of a switch the task before is still on the CPU, and the next one is or is not yet: `rq->curr` is set
        // first, then `on_cpu` of the next, then that of the one before is taken away (`__schedule`, `prepare_task`,
        // `finish_task`).
        let mut before = tasks.iter().filter(|task| {
            let is_there = task.cpu().is_ok_and(|at| at == u64::from(cpu));
            is_there && task.on_cpu().unwrap_or(false) && task.object().address() != curr.object().address()
        });
        let on_cpu = before.next().is_none() || curr.on_cpu()?;
        tally.exact(
            "rq.curr",
            &at,
            &(curr.on_cpu()?, curr.cpu()?),
            &(on_cpu, cpu.into()),
        );
        let pinned: &[&str] = match cpu {
            1 => &["spin-one", "spin-two"],
            2 => &["spin-three"],
            _ => &[],
        };
        let spins: Vec<_> = queued.iter().filter(|comm| comm.starts_with("spin-")).collect();
        assert_eq!(spins, pinned, "{at}");
    }
    Ok(())
}
