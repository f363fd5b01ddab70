//! The kernel is found in the guest's memory, and its own tables agree.

use introspect::collections::{containers, list};
use introspect::{Hints, Placement};
use schedrig::prelude::*;

use crate::stage::{LONGTERM, STANDARD, pass, spec};

fn found(request: &str) {
    let mut spec = spec("placement", "1n1l2c1t", request, "eevdf");
    spec.kernel_args = "nokaslr".into();
    pass(&spec, |rig| {
        rig.cgroup("a").spawn(Spin.workers(1))?;
        rig.run_for(millis(10))?;
        let listed = rig.read_file("/proc/kallsyms")?;
        let text = listed
            .lines()
            .find(|line| line.ends_with(" T _text"))
            .ok_or("no _text")?;
        let text = u64::from_str_radix(&text[..16], 16)?;
        let begin = std::time::Instant::now();
        let kernel = rig.kernel()?;
        println!("found in {:?}: {:x?}", begin.elapsed(), kernel.placement());
        assert_eq!(kernel.symbol("_text")?.0, text);
        let (info, memory) = (kernel.info(), kernel.memory());
        let by_banner = Placement::of_banner(info, memory)?;
        assert_eq!(by_banner, *kernel.placement());
        let hints = Hints {
            text: Some(guestmem::GuestVirt(text)),
            cr3: kernel.cr3(),
        };
        assert_eq!(Placement::find(info, memory, &hints)?, by_banner);
        let wrong = Hints {
            text: Some(guestmem::GuestVirt(text + 4096)),
            cr3: None,
        };
        let error = Placement::find(info, memory, &wrong).unwrap_err().to_string();
        assert!(error.contains("disagree about the slide"), "{error}");

        assert_eq!(
            kernel.variable("init_task", "task_struct")?.str("comm")?,
            "swapper/0"
        );
        let head = kernel.variable("init_task", "task_struct")?.field("tasks")?;
        let tasks: Result<Vec<_>, _> = containers(list(head, 1000), "task_struct", "tasks").collect();
        let pids: Result<Vec<_>, _> = tasks?.iter().map(|task| task.i64("pid")).collect();
        println!("{pids:?}");
        assert!(pids?.contains(&1));
        println!("{:?} {:?}", kernel.possible_cpus()?, kernel.nr_cpu_ids()?);
        for cpu in 0..2 {
            let rq = kernel.per_cpu("runqueues", cpu)?;
            println!(
                "cpu{cpu}: {} running, curr {}",
                rq.u64("nr_running")?,
                rq.str("curr->comm")?
            );
        }
        rig.finish()
    });
}

#[test]
fn the_longterm_kernel_is_found_in_every_way() {
    found(LONGTERM);
}

#[test]
fn the_standard_kernel_is_found_in_every_way() {
    found(STANDARD);
}
