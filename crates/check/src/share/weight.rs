//! What weighs how much, by the kernel's own rules.

use spec::Weight;

/// `sched_prio_to_weight` of `kernel/sched/core.c`: the weight of nice -20 … 19.
const NICE_WEIGHTS: [u32; 40] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121,
    2501, 1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29,
    23, 18, 15,
];

/// What a group of `cpu.weight` 100 weighs: a task of nice 0 (`sched_weight_from_cgroup`).
const NICE_0: f64 = 1024.0;

/// What a task of that nice value weighs.
pub(crate) fn of_nice(nice: i8) -> f64 {
    let index = (i32::from(nice) + 20).clamp(0, 39) as usize;
    f64::from(NICE_WEIGHTS[index])
}

/// How EEVDF makes what a group weighs on the whole machine from its `cpu.weight`: `sched/cgroup_mode` in debugfs, which
/// Linux has from 7.3 on (`__sched_cgroup_mode_update` and the functions that it chooses from, `kernel/sched/fair.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CgroupMode {
    /// `smp`, and kernels before 7.3: `cpu.weight`, divided among the CPUs on which the group has tasks.
    Smp,
    /// `concur`, the default: `cpu.weight` for each CPU that the group can keep busy.
    Concur,
    /// `max`: `cpu.weight` for each CPU that the group may use.
    Max,
    /// `tasks`: `cpu.weight` for each task.
    Tasks,
    /// `up`: `cpu.weight` on each CPU on which the group has a task, whatever it has on others.
    Up,
}

impl CgroupMode {
    /// By the kernel's word for it.
    pub(super) fn named(word: &str) -> Option<CgroupMode> {
        match word {
            "smp" => Some(CgroupMode::Smp),
            "concur" => Some(CgroupMode::Concur),
            "max" => Some(CgroupMode::Max),
            "tasks" => Some(CgroupMode::Tasks),
            "up" => Some(CgroupMode::Up),
            _ => None,
        }
    }

    /// What a group weighs that has on average so many runnable tasks, on so many CPUs. `None` where that depends on where
    /// its tasks are.
    pub(super) fn weight(self, weight: Weight, tasks: f64, cpus: usize) -> Option<f64> {
        let weight = f64::from(weight.get()) / 100.0 * NICE_0;
        // `tg_tasks` and `tg_cpus`: at least one.
        let (tasks, cpus) = (tasks.max(1.0), (cpus as f64).max(1.0));
        match self {
            CgroupMode::Smp => Some(weight),
            CgroupMode::Concur => Some(weight * tasks.min(cpus)),
            // On no CPU more than a task of nice -20.
            CgroupMode::Max => Some((weight * cpus).min(f64::from(NICE_WEIGHTS[0]) * tasks.min(cpus))),
            CgroupMode::Tasks => Some(weight * tasks),
            CgroupMode::Up => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_weighs_a_group_by_its_cpus_and_tasks() {
        let check = |mode: &str, expected: Option<f64>| {
            let weight = CgroupMode::named(mode).unwrap().weight(Weight::DEFAULT, 8.0, 4);
            assert_eq!(weight.map(|weight| weight / NICE_0), expected, "{mode}");
        };
        check("smp", Some(1.0));
        check("concur", Some(4.0));
        check("max", Some(4.0));
        check("tasks", Some(8.0));
        check("up", None);
        assert_eq!(CgroupMode::named("flat"), None);
    }

    #[test]
    fn no_group_weighs_more_on_a_cpu_than_nice_minus_20_in_mode_max() {
        let heaviest = 10_000.try_into().unwrap();
        assert_eq!(CgroupMode::Max.weight(heaviest, 1.0, 4), Some(88_761.0));
        assert_eq!(CgroupMode::Max.weight(heaviest, 9.0, 4), Some(4.0 * 88_761.0));
    }
}
