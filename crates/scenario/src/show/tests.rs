//! Whatever scenario there is, its file means it.

use crate::{Group, Machine, Scenario, Scheduler, Step, Verdicts, show};
use proptest::prelude::*;
use record::Attach;
use spec::{CgroupSpec, Nanos, Op, SchedulerSpec, Weight, Workers};

/// Anything that a text may hold, and TOML's own marks more often.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~äß\"'\\\\\n\t]{1,20}", "[a-z]{1,9}"]
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let works = ["spin", "burst/4ms/1ms/20%", "pingpong", "yield/20us"];
    let workers = (prop::sample::select(works.to_vec()), 1..9_u32, -20..=19_i8)
        .prop_map(|(work, count, nice)| Workers::new(work.parse::<spec::Work>().unwrap(), count).nice(nice));
    let group = (
        prop::option::of(prop::sample::select(vec!["0-1", "3", "0,2-3"])),
        1..=10_000_u32,
        prop::collection::vec(workers, 0..3),
    );
    prop::collection::vec(group, 0..4).prop_map(|groups| {
        let group = |(nth, (cpus, weight, workers)): (usize, (Option<&str>, u32, _))| Group {
            cgroup: CgroupSpec {
                name: format!("g{nth}").parse().unwrap(),
                cpus: cpus.map(|cpus| cpus.parse().unwrap()),
                weight: Weight::try_from(weight).unwrap(),
            },
            workers,
        };
        groups.into_iter().enumerate().map(group).collect()
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ops = [
        "offline 3",
        "online 3",
        "write /proc/sys/kernel/x a b  c",
        "run 10ms",
        "note key a value",
        "seed 7",
    ];
    let op = prop::sample::select(ops.to_vec()).prop_map(|op| op.parse::<Op>().unwrap());
    let step = (
        prop::option::of(text()),
        prop::collection::vec(op, 0..4),
        1..5_000_000_000_u64,
        1..=100_u32,
    );
    let step = step.prop_map(|(name, ops, run, times)| Step {
        name,
        attach: false,
        ops,
        run: Some(Nanos(run)),
        times,
    });
    prop::collection::vec(step, 1..4)
}

prop_compose! {
    fn scenarios()(
        name in text(), about in prop::option::of(text()), memory_mib in prop::option::of(256..=65_536_u32),
        kernel in prop::option::of(prop::sample::select(vec!["apt:sid", "path:/boot/vmlinuz", "host"])),
        kernel_args in "[a-z=., \"']{0,20}", shift in prop::option::of(0..=10_u8),
        sysctls in prop::collection::btree_map("[a-z]{1,8}(\\.[a-z_]{1,8}){0,2}", text(), 0..3),
        program in prop::sample::select(vec!["eevdf", "scx_mine", "./scx_mine --a 'b \"c"]),
        fresh in any::<bool>(), within in prop::option::of(1..u64::MAX / 2),
        groups in groups(), steps in steps(), held in any::<bool>(), left_out in any::<bool>(),
    ) -> Scenario {
        Scenario {
            name, about,
            machine: Machine {
                topology: "1n2l2c1t".parse().unwrap(),
                memory_mib,
                kernel: kernel.map(|kernel| kernel.parse().unwrap()),
                kernel_args, shift,
                sysctls: sysctls.into_iter().collect(),
            },
            scheduler: Scheduler {
                program: program.parse::<SchedulerSpec>().unwrap(),
                attach: if fresh { Attach::Fresh } else { Attach::Once },
                attach_within: within.map(Nanos),
            },
            groups, steps,
            verdicts: Verdicts {
                checks: if held { vec![check::parse("starvation=500ms").unwrap()] } else { Vec::new() },
                without: if left_out { vec!["stall", "kernel"] } else { Vec::new() },
            },
        }
    }
}

proptest! {
    #[test]
    fn a_scenario_is_what_its_file_means(scenario in scenarios()) {
        prop_assert_eq!(scenario.check(), Ok(()));
        let file = show::toml(&scenario);
        let read = crate::parse(&file, "x", None);
        prop_assert_eq!(read.as_ref(), Ok(&scenario), "{}", file);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\PC\n]{0,300}", cut in any::<prop::sample::Index>(), put in "\\PC{0,4}") {
        let _ = crate::parse(&text, "x", None).map_err(|mistake| mistake.to_string());
        let template = crate::TEMPLATE;
        let mut at = cut.index(template.len());
        while !template.is_char_boundary(at) {
            at -= 1;
        }
        let spoilt = format!("{}{put}{}", &template[..at], &template[at..]);
        let _ = crate::parse(&spoilt, "x", None).map_err(|mistake| mistake.to_string());
    }
}
