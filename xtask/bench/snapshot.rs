//! Reading the kernel of a guest that is frozen under load.
//!
//! ```text
//! snapshot.sched   8 CPUs: runqueues, their queues and tasks, domains, sched_ext with its DSQs     (scx_baton)
//! snapshot.all     the same, and a row for each of over 200 tasks, and all maps with their contents
//! tasks.first      pid, name and state of over 1,000 tasks, the first time: every page is a fault
//! tasks.list       the same again, as for a sampler            peer: drgn, from a core file of the same guest's RAM
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use introspect::bpf::Bpf;
use introspect::{GuestKernel, ReadError, sched, task};
use schedrig::prelude::*;
use schedrig::{Keep, RunSpec};

use crate::figure::{Figure, Peer, millis};

const TOPOLOGY: &str = "1n2l4c1t";
/// The most entries shown of a map.
const MAX_ENTRIES: usize = 256;

pub(crate) fn measure(samples: u32) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    run("scx_baton", 200, |kernel| {
        let (mut queues, mut all) = (Vec::new(), Vec::new());
        for _ in 0..samples.max(2) {
            // A new reader each time, as after each stop: it caches nothing of the last.
            let fresh = GuestKernel::frozen(kernel.info(), kernel.memory(), *kernel.placement());
            queues.push(millis(|| Ok(sched::everything(&fresh)?))?);
            let fresh = GuestKernel::frozen(kernel.info(), kernel.memory(), *kernel.placement());
            all.push(millis(|| everything(&fresh))?);
        }
        figures.push(Figure::of("snapshot.sched", "ms", queues)?);
        figures.push(Figure::of("snapshot.all", "ms", all)?);
        Ok(())
    })?;
    run("eevdf", 1000, |kernel| {
        figures.extend(tasks(kernel, samples)?);
        Ok(())
    })?;
    Ok(figures)
}

fn everything(kernel: &GuestKernel<'_>) -> Result<()> {
    let maps = Bpf::of(kernel).maps_value(MAX_ENTRIES, &introspect::Limits::default());
    black_box((sched::everything(kernel)?, task::list(kernel)?, maps));
    Ok(())
}

/// Runs this many workers, and measures after they have run for a while.
fn run(scheduler: &str, workers: u32, measure: impl FnOnce(&GuestKernel<'_>) -> Result<()>) -> Result<()> {
    let mut spec = RunSpec::new("bench", TOPOLOGY.parse()?)?;
    spec.scheduler = scheduler.parse()?;
    spec.keep = Keep::None;
    let mut measured = Ok(());
    schedrig::run(&spec, &mut |_| {}, |rig| {
        rig.cgroup("busy").spawn(Spin.workers(16))?;
        let idle = Burst {
            sleep: secs(100),
            burst: schedrig::prelude::millis(1),
        };
        rig.cgroup("idle").spawn(idle.workers(workers - 16))?;
        rig.run_for(schedrig::prelude::millis(100))?;
        let kernel = rig.kernel()?;
        measured = measure(&kernel);
        rig.finish()
    })?;
    measured
}

/// The number of warm-up reads, after which the host's page tables are filled and neither side becomes faster.
const WARM_UP: u32 = 12;

fn tasks(kernel: &GuestKernel<'_>, samples: u32) -> Result<[Figure; 2]> {
    let listed = || -> Result<Vec<(i64, String, u64)>, ReadError> {
        let all = task::all(kernel)?.tasks;
        all.iter()
            .map(|task| Ok((task.pid()?, task.comm()?, task.raw_state()?)))
            .collect()
    };
    let mut ours = Vec::new();
    for _ in 0..WARM_UP + samples.max(2) {
        ours.push(millis(|| Ok(listed()?))?);
    }
    let warm = ours.split_off(WARM_UP as usize);
    let mut first = Figure::of("tasks.first", "ms", vec![ours[0]])?;
    let pids: BTreeSet<i64> = listed()?.into_iter().map(|(pid, ..)| pid).collect();
    ensure!(pids.len() >= 1000, "{} tasks", pids.len());
    let mut list = Figure::of("tasks.list", "ms", warm)?;
    match drgn(kernel, samples) {
        Ok(Drgn {
            first: value,
            median,
            pids: theirs,
        }) => {
            ensure!(
                pids == theirs,
                "drgn lists {} tasks, the rig {}",
                theirs.len(),
                pids.len()
            );
            first.peer = Some(Peer { name: "drgn", value });
            list.peer = Some(Peer {
                name: "drgn",
                value: median,
            });
        }
        Err(error) => eprintln!("without drgn: {error:#}"),
    }
    Ok([first, list])
}

/// The time of drgn, in ms, and the pids that it lists.
struct Drgn {
    first: f64,
    median: f64,
    pids: BTreeSet<i64>,
}

fn drgn(kernel: &GuestKernel<'_>, samples: u32) -> Result<Drgn> {
    let packages = packages()?;
    let directory = tempfile::tempdir()?;
    let core = directory.path().join("core");
    write_core(kernel, &core).context("write the guest's RAM as a core file")?;
    let btf = kernel.btf();
    let offset = |structure, member| btf.offset_of(structure, member);
    let request = serde_json::json!({
        "core": core,
        "init_task": kernel.symbol("init_task")?.0,
        "rounds": WARM_UP + samples.max(2),
        "sizes": {
            "task_struct": btf.size_of(btf.structure("task_struct")?),
            "signal_struct": btf.size_of(btf.structure("signal_struct")?),
        },
        "offsets": {
            "tasks": offset("task_struct", "tasks")?,
            "pid": offset("task_struct", "pid")?,
            "comm": offset("task_struct", "comm")?,
            "__state": offset("task_struct", "__state")?,
            "signal": offset("task_struct", "signal")?,
            "thread_node": offset("task_struct", "thread_node")?,
            "thread_head": offset("signal_struct", "thread_head")?,
        },
    });
    let script = include_str!("tasks_drgn.py");
    let output = Command::new("python3")
        .args(["-c", script, &request.to_string()])
        .env("PYTHONPATH", packages)
        .output()
        .context("start python3")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let mut seconds: Vec<f64> = serde_json::from_value(answer["seconds"].clone())?;
    ensure!(
        seconds.len() > WARM_UP as usize,
        "drgn listed {} times",
        seconds.len()
    );
    let warm = seconds.split_off(WARM_UP as usize);
    Ok(Drgn {
        first: seconds[0] * 1e3,
        median: Figure::of("drgn", "s", warm)?.value * 1e3,
        pids: serde_json::from_value(answer["pids"].clone())?,
    })
}

/// A directory with drgn in it, from PyPI.
fn packages() -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/drgn");
    if !directory.join("drgn").exists() {
        let output = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&directory)
            .arg("drgn")
            .output()
            .context("start python3")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "install drgn by pip (package python3-pip): {said}"
        );
    }
    Ok(directory)
}

/// The guest's RAM as an ELF core file: the direct map, and the kernel's image where it is linked to.
fn write_core(kernel: &GuestKernel<'_>, path: &Path) -> Result<()> {
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    let (memory, place) = (kernel.memory(), kernel.placement());
    let text = kernel.symbol("_text")?;
    let image = kernel.symbol("_end")?.0 - text.0;
    let data = 0x1_0000;
    let mut offset = data;
    let mut segments = Vec::new();
    let file = File::create(path)?;
    for region in memory.regions() {
        segments.push((
            place.direct.virt.0 + region.start.0 - place.direct.phys,
            offset,
            region.len,
        ));
        if let Some(phys) = place
            .text
            .translate(text)
            .filter(|phys| region.start <= *phys && phys.0 + image <= region.start.0 + region.len)
        {
            segments.push((text.0, offset + (phys.0 - region.start.0), image));
        }
        let mut page = vec![0; 1 << 20];
        for at in (0..region.len).step_by(page.len()) {
            let len = page.len().min((region.len - at) as usize);
            memory.read(guestmem::GuestPhys(region.start.0 + at), &mut page[..len])?;
            file.write_all_at(&page[..len], offset + at)?;
        }
        offset += region.len;
    }
    let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // ET_CORE, EM_X86_64, version, entry.
    head.extend(4u16.to_le_bytes());
    head.extend(62u16.to_le_bytes());
    head.extend(1u32.to_le_bytes());
    head.extend(0u64.to_le_bytes());
    head.extend(HEADER.to_le_bytes());
    head.extend([0; 12]);
    for half in [
        HEADER as u16,
        PROGRAM_HEADER as u16,
        segments.len() as u16,
        0,
        0,
        0,
    ] {
        head.extend(half.to_le_bytes());
    }
    for (virt, offset, len) in segments {
        // PT_LOAD, readable and writable.
        head.extend(1u32.to_le_bytes());
        head.extend(6u32.to_le_bytes());
        for word in [offset, virt, 0, len, len, 4096] {
            head.extend(word.to_le_bytes());
        }
    }
    file.write_all_at(&head, 0)?;
    Ok(())
}
