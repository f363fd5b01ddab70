//! BPF programs and maps, against `bpftool` in the guest, and against system calls of the maps' own where it has none.

mod ours;
mod theirs;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use introspect::bpf::{Arena, Bpf, Held, Key, RingBuf};
use introspect::collections::{containers, list};
use introspect::{GuestKernel, Limits};
use schedrig::prelude::*;
use schedrig::{BodyError, Rig};

use super::truth::Tally;
use crate::stage::{LONGTERM, NEWEST, STANDARD, pass, spec};
use ours::Seen;
use theirs::Tool;

/// Maps of the kinds that the scheduler has none of: name, type, and the sizes of keys, values and the whole.
const MADE: [(&str, &str, [u32; 3]); 10] = [
    ("an_array", "array", [4, 12, 5]),
    ("per_cpu_array", "percpu_array", [4, 8, 3]),
    ("a_hash", "hash", [4, 8, 16]),
    ("loose_hash", "hash", [6, 3, 16]),
    ("lru_hash", "lru_hash", [8, 4, 16]),
    ("per_cpu_hash", "percpu_hash", [4, 8, 16]),
    ("lru_per_cpu", "lru_percpu_hash", [4, 4, 16]),
    ("loose_per_cpu", "percpu_hash", [4, 8, 16]),
    ("mapped_array", "array", [4, 6, 700]),
    ("a_queue", "queue", [0, 4, 4]),
];
/// `BPF_F_NO_PREALLOC`
const LOOSE: &str = "1";
/// `BPF_F_MMAPABLE`
const MAPPED: &str = "1024";

/// Keys that are put into the maps, and those that are taken out again.
const PUT: [u8; 6] = [4, 2, 0, 1, 3, 200];
const TAKEN: [u8; 1] = [2];

/// Pages of the arena that user space touches, and words in the ring buffer that it fills.
const TOUCHED: [&str; 3] = ["0", "7", "31"];
const WORDS: [&str; 3] = ["one", "a longer one", "eight by"];

fn directory(name: &str) -> String {
    format!("/sys/fs/bpf/{name}")
}

/// Makes and fills the maps.
fn make(rig: &mut Rig, tool: &Tool) -> Result<(), BodyError> {
    for (name, kind, [key, value, entries]) in MADE {
        let sizes = [key, value, entries].map(|size| size.to_string());
        let path = directory(name);
        let mut create = vec!["map", "create", &path, "type", kind, "key", &sizes[0]];
        create.extend(["value", &sizes[1], "entries", &sizes[2], "name", name]);
        let flags = if name.starts_with("loose") { LOOSE } else { MAPPED };
        if name.starts_with("loose") || name.starts_with("mapped") {
            create.extend(["flags", flags]);
        }
        tool.run(rig, &create)?;
        if kind == "queue" {
            continue;
        }
        let bytes = |first: u8, len: u32| -> Vec<String> {
            (0..len as u8)
                .map(|index| format!("{:#04x}", first.wrapping_mul(index + 1)))
                .collect()
        };
        let key_of = |number: u8| -> Vec<String> {
            (0..key)
                .map(|index| {
                    if index == 0 {
                        format!("{number:#04x}")
                    } else {
                        "0x00".to_owned()
                    }
                })
                .collect()
        };
        for number in PUT
            .into_iter()
            .filter(|number| u32::from(*number) < entries || !kind.contains("array"))
        {
            let (key, value) = (key_of(number), bytes(number.wrapping_add(3), value));
            let mut update = vec!["map", "update", "pinned", &path, "key"];
            update.extend(key.iter().map(String::as_str));
            update.push("value");
            update.extend(value.iter().map(String::as_str));
            tool.run(rig, &update)?;
        }
        for number in TAKEN.into_iter().filter(|_| !kind.contains("array")) {
            let key = key_of(number);
            let mut delete = vec!["map", "delete", "pinned", &path, "key"];
            delete.extend(key.iter().map(String::as_str));
            tool.run(rig, &delete)?;
        }
    }
    let (inner, outer) = (directory("a_hash"), directory("outer"));
    let create = [
        "map",
        "create",
        &outer,
        "type",
        "array_of_maps",
        "key",
        "4",
        "value",
        "4",
    ];
    let of = ["entries", "3", "name", "outer", "inner_map", "pinned", &inner];
    tool.run(rig, &[&create[..], &of[..]].concat())?;
    let update = ["map", "update", "pinned", &outer, "key", "1", "0", "0", "0"];
    tool.run(rig, &[&update[..], &["value", "pinned", &inner]].concat())?;
    Ok(())
}

/// A small program for what bpftool cannot do, compiled for the host and so for the guest. It stays, so that records can
/// be made again.
fn helper() -> &'static Path {
    static HELPER: OnceLock<PathBuf> = OnceLock::new();
    HELPER.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("maps-helper");
        let made = target.with_extension(std::process::id().to_string());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/introspect/maps/helper.c");
        let status = Command::new("cc")
            .arg("-O1")
            .arg("-o")
            .arg(&made)
            .arg(source)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "cc does not compile the helper"
        );
        std::fs::rename(&made, &target).unwrap();
        target
    })
}

fn run(rig: &mut Rig, argv: &[&str]) -> Result<String, BodyError> {
    let (status, stdout, stderr) = rig.exec(argv, secs(20))?;
    if !status.success() {
        return Err(format!("{argv:?}: {}", String::from_utf8_lossy(&stderr)).into());
    }
    Ok(String::from_utf8(stdout)?)
}

/// The values that tasks have, by system calls.
fn storage(rig: &mut Rig, helper: &str, tally: &mut Tally) -> Result<(), BodyError> {
    let before = Seen::of(&rig.kernel()?)?;
    for (id, map) in before.maps.iter().filter(|(_, map)| map.kind == "task_storage") {
        let pids: Vec<String> = map.entries.keys().map(|key| ours::pid(key).to_string()).collect();
        let (id_text, size) = (id.to_string(), map.value_size.to_string());
        let mut argv = vec![helper, "storage", &id_text, &size];
        argv.extend(pids.iter().map(String::as_str));
        let said = run(rig, &argv)?;
        let after = Seen::of(&rig.kernel()?)?;
        let after = &after.maps[id];
        let mut told = Vec::new();
        for line in said.lines() {
            let (pid, hex) = line.split_once(' ').ok_or("no value")?;
            let key = ours::pid_key(pid.parse()?);
            let (Some(before), Some(after)) = (map.entries.get(&key), after.entries.get(&key)) else {
                continue;
            };
            let theirs = theirs::words(&theirs::unhex(hex)?);
            let (before, after) = (theirs::words(&before.raw[""]), theirs::words(&after.raw[""]));
            let at = format!("map {id} task {pid}");
            for index in 0..theirs.len() {
                tally.value("task storage", &at, &before[index], &theirs[index], &after[index]);
            }
            told.push(key);
        }
        tally.exact("tasks with storage", &id_text, &(told.len() > 10), &true);
        for key in map.entries.keys().filter(|key| !told.contains(key)) {
            let at = format!("map {id} task {}", ours::pid(key));
            tally.exact(
                "tasks with storage",
                &at,
                &after.entries.contains_key(key),
                &false,
            );
        }
    }
    Ok(())
}

/// `verified_insns` is told by the kernel's own files alone: those of the scheduler's open programs.
fn verified(rig: &mut Rig, tally: &mut Tally) -> Result<(), BodyError> {
    let (pid, ours) = {
        let kernel = rig.kernel()?;
        let bpf = Bpf::of(&kernel);
        let mut ours = Vec::new();
        for prog in bpf.progs()? {
            ours.push((
                prog.id()?,
                prog.verified_insns()?,
                prog.tag()?,
                prog.pages()? * 4096,
            ));
        }
        (pid_of(&kernel, "scx_baton")?, ours)
    };
    let mut seen = 0;
    for fd in 3..200 {
        let Ok(text) = rig.read_file(&format!("/proc/{pid}/fdinfo/{fd}")) else {
            continue;
        };
        let word = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1).map(str::to_owned)
        };
        let Some(id) = word("prog_id:").and_then(|id| id.parse::<u64>().ok()) else {
            continue;
        };
        let (_, insns, tag, memlock) = ours.iter().find(|prog| prog.0 == id).ok_or("a new program")?;
        let at = format!("prog {id}");
        tally.exact(
            "prog verified_insns",
            &at,
            &Some(insns.to_string()),
            &word("verified_insns:"),
        );
        tally.exact("prog tag", &at, &Some(tag.clone()), &word("prog_tag:"));
        tally.exact("prog memlock", &at, &Some(memlock.to_string()), &word("memlock:"));
        seen += 1;
    }
    tally.exact("prog verified_insns", "found", &(seen >= 10), &true);
    Ok(())
}

fn pid_of(kernel: &GuestKernel<'_>, comm: &str) -> Result<i64, BodyError> {
    let head = kernel.variable("init_task", "task_struct")?.field("tasks")?;
    for task in containers(list(head, 10_000), "task_struct", "tasks") {
        let task = task?;
        if task.str("comm")? == comm {
            return Ok(task.i64("pid")?);
        }
    }
    Err(format!("no task {comm}").into())
}

/// The map of that name.
fn id_of(rig: &mut Rig, name: &str) -> Result<u64, BodyError> {
    let kernel = rig.kernel()?;
    let bpf = Bpf::of(&kernel);
    let maps = bpf.maps_named(name)?;
    Ok(maps.first().ok_or_else(|| format!("no map {name}"))?.id()?)
}

/// An arena with some pages, and a ring buffer with some records, that user space has made.
fn shared(rig: &mut Rig, helper: &str, tally: &mut Tally) -> Result<(), BodyError> {
    let mut argv = vec![helper, "arena", "/sys/fs/bpf/an_arena", "32"];
    argv.extend(TOUCHED);
    let bounds = run(rig, &argv)?;
    let mut argv = vec![helper, "ring", "/sys/fs/bpf/a_ring"];
    argv.extend(WORDS);
    let filled = run(rig, &argv)?;
    let kernel = rig.kernel()?;
    let bpf = Bpf::of(&kernel);
    let arena = Arena::of(&bpf.maps_named("an_arena")?[0])?;
    let ours = format!("{:x} {:x}", arena.user_vm_start()?.0, arena.user_vm_end()?.0);
    tally.exact("arena bounds", "an_arena", &ours.as_str(), &bounds.trim());
    tally.exact(
        "arena pages",
        "an_arena",
        &arena.pages()?,
        &(TOUCHED.len() as u64),
    );
    tally.exact("arena max pages", "an_arena", &arena.max_pages()?, &32);
    for page in TOUCHED {
        let text = kernel.read_cstr(arena.page(page.parse()?)?, 16)?;
        tally.exact("arena contents", page, &text.as_slice(), &page.as_bytes());
    }
    let map = bpf.maps_named("a_ring")?[0];
    let ring = RingBuf::of(&map)?;
    tally.exact(
        "ring producer_pos",
        "a_ring",
        &ring.producer_pos()?.to_string().as_str(),
        &filled.trim(),
    );
    tally.exact("ring size", "a_ring", &ring.size()?, &4096);
    let contents = map.contents(10)?;
    tally.exact("ring records", "a_ring", &contents.total, &(WORDS.len() as u64));
    for (entry, word) in contents.entries.iter().zip(WORDS) {
        let (Key::Index(pos), Held::One(data)) = (&entry.key, &entry.value) else {
            return Err("a record of another kind".into());
        };
        tally.exact(
            "ring records",
            &pos.to_string(),
            &data.bytes()?.as_slice(),
            &word.as_bytes(),
        );
    }
    Ok(())
}

/// Values that cgroups have.
fn cgroups(rig: &mut Rig, helper: &str, tally: &mut Tally) -> Result<(), BodyError> {
    let (root, path) = ("/sys/fs/cgroup", "/sys/fs/bpf/of_cgroups");
    let groups = [root.to_owned(), format!("{root}/a"), format!("{root}/b")];
    let mut argv = vec![helper, "cgroup", path, "-40"];
    argv.extend(groups.iter().map(String::as_str));
    let said = run(rig, &argv)?;
    let mut theirs: Vec<_> = said.lines().map(str::to_owned).collect();
    let kernel = rig.kernel()?;
    let bpf = Bpf::of(&kernel);
    let contents = bpf.maps_named("of_cgroups")?[0].contents(10)?;
    let mut ours = Vec::new();
    for entry in &contents.entries {
        let Key::Owner(owner) = &entry.key else {
            return Err("a cgroup's value without the cgroup".into());
        };
        let value = entry.value.value(&Limits::default());
        let value = value.as_i64().ok_or("no number")?;
        ours.push(format!("{} {value}", owner.u64("kn->id")?));
    }
    ours.sort();
    theirs.sort();
    tally.exact("cgroup storage", "of_cgroups", &ours, &theirs);
    Ok(())
}

/// The scheduler's own ring buffer.
fn positions(rig: &mut Rig, helper: &str, tally: &mut Tally) -> Result<(), BodyError> {
    let exits = id_of(rig, "exits")?.to_string();
    let positions = run(rig, &[helper, "positions", &exits])?;
    let kernel = rig.kernel()?;
    let bpf = Bpf::of(&kernel);
    let ring = RingBuf::of(&bpf.maps_named("exits")?[0])?;
    let ours = format!("{} {}", ring.consumer_pos()?, ring.producer_pos()?);
    tally.exact("ring positions", "exits", &ours.as_str(), &positions.trim());
    Ok(())
}

/// Variables by their names, and how long all maps take.
fn show(kernel: &GuestKernel<'_>, scheduled: bool) -> Result<(), BodyError> {
    let begin = Instant::now();
    let bpf = Bpf::of(kernel);
    let maps = bpf.maps_value(256, &Limits::default());
    println!("all maps in {:?}", begin.elapsed());
    let begin = Instant::now();
    let progs = bpf.progs_value();
    println!("all programs in {:?}", begin.elapsed());
    if std::env::var_os("SCHEDRIG_SHOW").is_some() {
        println!("{}\n{}", maps.to_text(), progs.to_text());
    }
    if scheduled {
        assert!(bpf.global("nr_enqueued")?.bits()? > 0);
        assert_eq!(bpf.global("slice_ns")?.bits()?, 5_000_000);
    }
    Ok(())
}

fn equal_what_the_guest_says(kernel: &str, scheduler: &str, least: usize) {
    let mut tally = Tally::default();
    let helper = helper();
    let scheduled = scheduler == "scx_baton";
    pass(&spec("maps", "1n1l2c1t", kernel, scheduler), |rig| {
        rig.put_file("/proc/sys/kernel/bpf_stats_enabled", 0o644, b"1")?;
        let tool = Tool::put(rig)?;
        let helper = rig.put_program(helper)?;
        rig.cgroup("a").spawn(Spin.workers(3))?;
        rig.cgroup("b").weight(300).spawn(Spin.workers(3))?;
        rig.run_for(millis(50))?;
        make(rig, &tool)?;
        shared(rig, &helper, &mut tally)?;
        cgroups(rig, &helper, &mut tally)?;
        for _ in 0..2 {
            rig.run_for(millis(40))?;
            tool.compare_progs(rig, &mut tally)?;
            tool.compare_maps(rig, &mut tally)?;
            if scheduled {
                storage(rig, &helper, &mut tally)?;
            }
        }
        if scheduled {
            positions(rig, &helper, &mut tally)?;
            verified(rig, &mut tally)?;
        }
        tool.compare_others(rig, &mut tally)?;
        show(&rig.kernel()?, scheduled)?;
        rig.finish()
    });
    tally.finish(&format!("BPF programs and maps, {kernel}"), least);
}

/// Without `sched_ext` there are the maps alone that the test makes.
#[test]
fn of_a_long_term_kernel_equal_what_bpftool_says() {
    equal_what_the_guest_says(LONGTERM, "eevdf", 300);
}

#[test]
fn of_the_standard_kernel_equal_what_bpftool_says() {
    equal_what_the_guest_says(STANDARD, "scx_baton", 3000);
}

#[test]
fn of_the_newest_kernel_equal_what_bpftool_says() {
    equal_what_the_guest_says(NEWEST, "scx_baton", 3000);
}
