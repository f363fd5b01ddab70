//! Paths of a kernel that somebody writes: parsed, printed, and followed in a small kernel in memory.
#![no_main]

use std::sync::LazyLock;

use introspect::bpf::Bpf;
use introspect::path::resolve;
use introspect::testing::Whole;
use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::plant;
use spec::KernelPath;

static WHOLE: LazyLock<Whole> = LazyLock::new(Whole::new);

fuzz_target!(init: plant(seeds()), |text: &str| {
    let Ok(path) = text.parse::<KernelPath>() else { return };
    let printed = path.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(&path), "{printed}");
    let kernel = WHOLE.kernel(WHOLE.memory());
    let bpf = Bpf::of(&kernel);
    if let Err(error) = resolve(&bpf, &path) {
        assert!(!error.to_string().is_empty());
    }
});

fn seeds() -> Vec<Vec<u8>> {
    let paths = [
        "runqueues[1].nr_running",
        "runqueues[2].curr->scx.dsq_list.node",
        "task[3].scx.dsq_vtime",
        "scx_root->exit_kind.counter",
        "init_task.comm[3]",
        "dsq[0x10].nr",
        "map[map1][0]",
        "jiffies:4",
        "kva[0xff00000000000000]:8",
        "direct[0xffff888000000000]",
    ];
    paths.map(|path| path.as_bytes().to_vec()).into()
}
