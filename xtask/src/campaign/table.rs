//! What a campaign runs, and what is to come out.

use crate::published::Published;

/// A scheduler on a kernel, with what is run under it.
pub(crate) struct Entry {
    pub(crate) scheduler: Scheduler,
    /// The kernel's request.
    pub(crate) kernel: &'static str,
    pub(crate) scenarios: &'static [Scenario],
    /// The verdict that is to come out of each.
    pub(crate) expect: &'static str,
}

/// A scheduler under test.
#[derive(Clone, Copy)]
pub(crate) enum Scheduler {
    Eevdf,
    /// With its options.
    Published(Published, &'static str),
}

/// A machine and what runs on it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Of `cargo schedrig run`.
    pub(crate) arguments: &'static str,
}

impl Entry {
    /// `scx_bpfland 1.1.4 on apt:sid`.
    pub(crate) fn name(&self) -> String {
        let scheduler = match self.scheduler {
            Scheduler::Eevdf => "EEVDF".to_owned(),
            Scheduler::Published(Published { name, version }, options) => {
                format!("{name} {version} {options}").trim_end().to_owned()
            }
        };
        format!("{scheduler} on {}", self.kernel)
    }
}

/// Spinners, bursts, pairs, nice values and a pinned worker; and groups that are pinned and overloaded: on three machines.
const LOADS: &[Scenario] = &[
    Scenario {
        name: "mixed, 1n1l3c1t",
        arguments: "--for 1s --seed 3 --topology 1n1l3c1t --group a:spin:3 --group b:burst:3 --group c:pingpong:2 --group d:spin:2,nice=5 --group e:spin:1@0",
    },
    Scenario {
        name: "pinned, 1n1l3c1t",
        arguments: "--for 1s --seed 3 --topology 1n1l3c1t --group a:spin:2@0-1 --group b:burst/2ms/3ms/20%:4 --group c:spin:8@2,weight=300",
    },
    Scenario {
        name: "mixed, 1n2l2c1t",
        arguments: "--for 1s --seed 3 --topology 1n2l2c1t --group a:spin:3 --group b:burst:3 --group c:pingpong:2 --group d:spin:2,nice=5 --group e:spin:1@0",
    },
    Scenario {
        name: "pinned, 1n2l2c1t",
        arguments: "--for 1s --seed 3 --topology 1n2l2c1t --group a:spin:2@0-1 --group b:burst/2ms/3ms/20%:4 --group c:spin:8@2,weight=300",
    },
    Scenario {
        name: "mixed, 2n4l2c1t",
        arguments: "--for 1s --seed 3 --topology 2n4l2c1t --group a:spin:6 --group b:burst:6 --group c:pingpong:4 --group d:spin:3,nice=5 --group e:spin:1@0",
    },
    Scenario {
        name: "pinned, 2n4l2c1t",
        arguments: "--for 1s --seed 3 --topology 2n4l2c1t --group a:spin:4@0-3 --group b:burst/2ms/3ms/20%:8 --group c:spin:8@5,weight=300",
    },
];

/// Four spinners that have four CPUs to themselves, outside of the primary domain (docs/findings).
const DOMAIN: &[Scenario] = &[Scenario {
    name: "four on four, 1n1l8c1t",
    arguments: "--for 2s --topology 1n1l8c1t --group a:spin:4@4-7",
}];

/// All scenarios.
pub(crate) fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    LOADS.iter().chain(DOMAIN)
}

const fn eevdf(kernel: &'static str) -> Entry {
    Entry {
        scheduler: Scheduler::Eevdf,
        kernel,
        scenarios: LOADS,
        expect: "pass",
    }
}

const fn published(name: &'static str, version: &'static str) -> Entry {
    Entry {
        scheduler: Scheduler::Published(Published { name, version }, ""),
        kernel: "apt:sid",
        scenarios: LOADS,
        expect: "pass",
    }
}

const fn domain(version: &'static str, expect: &'static str) -> Entry {
    let name = "scx_bpfland";
    Entry {
        scheduler: Scheduler::Published(Published { name, version }, "-m 0x3"),
        kernel: "apt:trixie-backports=6.16.12",
        scenarios: DOMAIN,
        expect,
    }
}

/// The campaign.
pub(crate) const CAMPAIGN: &[Entry] = &[
    eevdf("apt:bookworm-backports"),
    eevdf("apt:sid"),
    eevdf("apt:trixie-backports"),
    published("scx_bpfland", "1.1.4"),
    published("scx_flash", "1.1.4"),
    published("scx_cosmos", "1.1.7"),
    published("scx_tickless", "1.1.4"),
    published("scx_p2dq", "1.1.4"),
    published("scx_rusty", "1.1.4"),
    domain("1.0.16", "fail"),
    domain("1.0.17", "pass"),
    domain("1.1.4", "pass"),
];
