//! Paths in a kernel made by hand.

use proptest::prelude::*;

use super::*;
use crate::testing::Whole;

/// The number that a path leads to.
fn number(whole: &Whole, path: &str) -> Result<u64, String> {
    let kernel = whole.kernel(whole.memory());
    let bpf = Bpf::of(&kernel);
    let path: KernelPath = path.parse().map_err(|error| format!("{error}"))?;
    let place = resolve(&bpf, &path).map_err(|error| error.to_string())?;
    let number = match place {
        Place::Typed(object) => object.bits(),
        Place::Bytes { at, bytes } => {
            let mut word = [0; 8];
            let read = kernel.read(at, &mut word[..bytes as usize]);
            read.map(|()| u64::from_le_bytes(word))
        }
    };
    number.map_err(|error| error.to_string())
}

#[test]
fn each_spelling_leads_to_its_place() {
    let whole = Whole::new();
    let kernel = whole.kernel(whole.memory());
    let root = kernel.symbol("scx_root").unwrap();
    let sched = kernel.read_u64(root).unwrap();
    for (path, expect) in [
        ("runqueues[1].nr_running", 4),
        ("runqueues[2].cpu", 2),
        ("runqueues[1].curr->pid", 8),
        ("task[3].pid", 3),
        ("task[3].scx.weight", 102),
        ("task[3].group_leader->pid", 3),
        ("init_task.pid", 0),
        ("scx_root->watchdog_timeout", 7500),
        ("scx_root->exit_kind.counter", 0),
        ("scx_root", sched),
        ("scx_root:1", sched & 0xff),
        ("jiffies", 0),
        ("nr_cpu_ids:4", 3),
        ("dsq[0x10].nr", 1),
        ("dsq[17].nr", 2),
        ("dsq[0x8000000000000001].nr", 0),
        (&format!("kva[{:#x}]", root.0), sched),
        (&format!("direct[{sched:#x}]:1"), u64::from(b'b')),
    ] {
        assert_eq!(number(&whole, path), Ok(expect), "{path}");
    }
}

#[test]
fn a_path_that_leads_nowhere_says_what_to_write_instead() {
    let whole = Whole::new();
    for (path, expect) in [
        ("no_such_symbol", "no symbol no_such_symbol"),
        ("jiffies.low", "no type of `jiffies`"),
        ("scx_root.exit_kind", "write `scx_root->FIELD`"),
        ("task[3]->pid", "is no pointer"),
        ("task[99].pid", "99"),
        ("runqueues[7].nr_running", "CPU 7 has no per-CPU area"),
        ("runqueues[1].no_such", "no_such"),
        ("dsq[0x99].nr", "they have 0x10, 0x11, 0x8000000000000001"),
        ("map[none][0]", "no BPF map none is loaded"),
        ("map[map2]", "holds 4 entries: give a key as in `map[map2][0]`"),
        ("map[map2][9]", "has no entry with the key 9"),
        ("kva[0x1000]", "kernel-half"),
        ("direct[0x1000]", "direct map"),
    ] {
        let error = number(&whole, path).unwrap_err();
        assert!(error.contains(expect), "{path}: {error}");
    }
}

proptest! {
    /// Whatever somebody writes, a kernel gives an answer or a reason.
    #[test]
    fn no_path_panics(
        root in prop::sample::select(vec!["runqueues", "task[3]", "dsq[16]", "map[map2]", "scx_root", "init_task", "jiffies"]),
        steps in prop::collection::vec(prop::sample::select(vec!["[1]", ".scx", "->pid", ".curr", "[77777777]", ".list.next->next"]), 0..5),
    ) {
        let whole = Whole::new();
        let _ = number(&whole, &format!("{root}{}", steps.concat()));
    }
}
