//! Runqueues, their queues, domains and sched_ext's state, at several points of a loaded run.

use introspect::GuestKernel;
use introspect::sched::{Dsq, Rq, Scx, ScxSched};
use schedrig::prelude::*;
use schedrig::{Rig, RigError};

use super::truth::{Facts, Tally, Words};
use super::{domains, sched_debug, schedstat, scx_dump};
use crate::stage::{LONGTERM, NEWEST, STANDARD, pass, spec};

type Read = fn(&GuestKernel<'_>) -> Result<Facts, introspect::ReadError>;

/// Looks, lets the guest say it, looks again.
fn compare(
    rig: &mut Rig,
    tally: &mut Tally,
    ours: Read,
    theirs: impl FnOnce(&mut Rig) -> Result<Words, RigError>,
) -> Result<(), schedrig::BodyError> {
    let before = ours(&rig.kernel()?)?;
    let theirs = theirs(rig)?;
    let after = ours(&rig.kernel()?)?;
    tally.facts(&before, &theirs, &after);
    Ok(())
}

fn file(path: &'static str, words: fn(&str) -> Words) -> impl FnOnce(&mut Rig) -> Result<Words, RigError> {
    move |rig| Ok(words(&rig.read_file(path)?))
}

/// The files that hold one value each, of what the rig has read.
fn files(rig: &mut Rig, directory: &str, ours: Read) -> Result<Words, RigError> {
    let places: Vec<_> = ours(&rig.kernel()?).unwrap_or_default().into_keys().collect();
    let mut words = Words::new();
    for (name, at) in places {
        let text = rig.read_file(&format!("{directory}/{at}/{name}"))?;
        words.insert((name, at), text.trim().to_owned());
    }
    Ok(words)
}

/// What sysfs says of sched_ext as a whole.
fn scx_facts(kernel: &GuestKernel<'_>) -> Result<Facts, introspect::ReadError> {
    use super::truth::Fact;
    let scx = Scx::of(kernel);
    let state = scx.enable_state()?;
    let state = state.strip_prefix("SCX_").unwrap_or(&state).to_lowercase();
    let mut facts = Facts::from([
        (("state".into(), String::new()), Fact::Word(state)),
        (
            ("switch_all".into(), String::new()),
            Fact::Level(scx.switching_all()?.into()),
        ),
        (
            ("nr_rejected".into(), String::new()),
            Fact::Count(scx.nr_rejected()?.into()),
        ),
        (
            ("hotplug_seq".into(), String::new()),
            Fact::Count(scx.hotplug_seq()?.into()),
        ),
        (
            ("enable_seq".into(), String::new()),
            Fact::Count(scx.enable_seq()?.into()),
        ),
    ]);
    if let Some(root) = scx.root()? {
        facts.insert(("ops".into(), "root".into()), Fact::Word(root.name()?));
    }
    Ok(facts)
}

/// Every task in a queue knows the queue, and every count is that of what it counts.
fn dsqs_agree(kernel: &GuestKernel<'_>, tally: &mut Tally) -> Result<(), introspect::ReadError> {
    for sched in Scx::of(kernel).scheds()? {
        for (at, dsq) in dsqs_of(kernel, &sched)? {
            let tasks = dsq.tasks()?;
            tally.exact("dsq nr", &at, &(tasks.len() as u64), &dsq.nr()?);
            for task in &tasks {
                tally.exact(
                    "dsq of its task",
                    &at,
                    &task.pointer("scx.dsq")?,
                    &dsq.object().address(),
                );
            }
            let vtimes: Result<Vec<_>, _> = dsq
                .by_vtime()?
                .iter()
                .map(|task| task.u64("scx.dsq_vtime"))
                .collect();
            let vtimes = vtimes?;
            let mut sorted = vtimes.clone();
            sorted.sort_by(|a, b| a.wrapping_sub(*b).cast_signed().cmp(&0));
            tally.exact("dsq order by vtime", &at, &vtimes, &sorted);
        }
    }
    for rq in Rq::all(kernel)? {
        let scx = rq.scx()?;
        let at = format!("cpu{}", rq.cpu()?);
        // The watchdog does not look at the one that runs.
        let runs = scx_dump::class_of(&rq.curr()?)? == "ext_sched_class";
        let runnable = scx.runnable()?.len() as u64 + u64::from(runs);
        tally.exact("scx nr_running", &at, &runnable, &scx.nr_running()?);
        let all = rq.cfs_nr_running()? + rq.rt_nr_running()? + rq.dl_nr_running()? + scx.nr_running()?;
        tally.exact("nr_running of all classes", &at, &all, &rq.nr_running()?);
    }
    Ok(())
}

fn dsqs_of<'k>(
    kernel: &'k GuestKernel<'k>,
    sched: &ScxSched<'k>,
) -> Result<Vec<(String, Dsq<'k>)>, introspect::ReadError> {
    let mut all = sched.user_dsqs()?;
    all.extend(sched.global_dsqs()?);
    for rq in Rq::all(kernel)? {
        all.push(rq.scx()?.local_dsq()?);
    }
    all.into_iter().map(|dsq| Ok((dsq.name()?, dsq))).collect()
}

fn equals_what_the_guest_says(kernel: &str, scheduler: &str, least: usize) {
    let mut spec = spec("rqs", "1n2l2c1t", kernel, scheduler);
    spec.kernel_args = "schedstats=enable sched_verbose".into();
    let mut tally = Tally::default();
    let has_scx = kernel != LONGTERM;
    pass(&spec, |rig| {
        rig.cgroup("a").spawn(Spin.workers(5))?;
        rig.cgroup("b").weight(300).spawn(Spin.workers(5))?;
        for _ in 0..5 {
            rig.run_for(millis(37))?;
            let words = if scheduler == "eevdf" {
                sched_debug::words
            } else {
                sched_debug::words_of_queues
            };
            compare(
                rig,
                &mut tally,
                sched_debug::facts,
                file(sched_debug::PATH, words),
            )?;
            compare(
                rig,
                &mut tally,
                schedstat::facts,
                file(schedstat::PATH, schedstat::words),
            )?;
            compare(rig, &mut tally, domains::facts, |rig| {
                files(rig, "/sys/kernel/debug/sched/domains", domains::facts)
            })?;
            if has_scx {
                compare(rig, &mut tally, scx_facts, |rig| {
                    files(rig, "/sys/kernel/sched_ext", scx_facts)
                })?;
                dsqs_agree(&rig.kernel()?, &mut tally)?;
            }
            if scheduler != "eevdf" {
                scx_dump::compare(rig, &mut tally)?;
            }
        }
        rig.finish()
    });
    tally.finish(&format!("runqueues, {kernel}, {scheduler}"), least);
}

#[test]
fn of_a_long_term_kernel_are_what_the_guest_says() {
    equals_what_the_guest_says(LONGTERM, "eevdf", 3500);
}

#[test]
fn of_the_standard_kernel_under_sched_ext_are_what_the_guest_says() {
    equals_what_the_guest_says(STANDARD, "scx_baton", 4000);
}

#[test]
fn of_the_newest_kernel_are_what_the_guest_says() {
    equals_what_the_guest_says(NEWEST, "eevdf", 3500);
}

#[test]
fn of_the_newest_kernel_under_sched_ext_are_what_the_guest_says() {
    equals_what_the_guest_says(NEWEST, "scx_baton", 4000);
}
