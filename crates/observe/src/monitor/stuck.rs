//! Stuck CPUs: busy ones the clock of which stands, so that they neither tick nor schedule.

use std::collections::BTreeMap;

use spec::GuestTime;

use super::finding::{Findings, Handle};
use super::{CpuSample, Finding, Limits, Sample};

/// The busy CPUs.
#[derive(Debug, Clone, Default)]
pub(super) struct Stuck(BTreeMap<u32, Stand>);

/// A busy CPU with its clock where it stands.
#[derive(Debug, Clone)]
struct Stand {
    mark: (u64, u64),
    from: GuestTime,
    /// The last sample that counts, and how many in a row found the clock where it was.
    last: GuestTime,
    samples: u32,
    reported: Option<Handle>,
}

impl Stuck {
    pub(super) fn take(&mut self, sample: &Sample, limits: &Limits, findings: &mut Findings) {
        let mut before = std::mem::take(&mut self.0);
        let busy = sample.cpus.iter().filter(|cpu| cpu.curr != 0 && !cpu.preempted);
        for cpu in busy {
            let mut stand = Stand::after(before.remove(&cpu.cpu), cpu, sample.at, limits);
            if stand.last == sample.at && stand.samples >= limits.stuck_samples.max(1) {
                let finding = Finding::Stuck {
                    cpu: cpu.cpu,
                    pid: cpu.curr,
                    clock: cpu.clock,
                    samples: stand.samples,
                    from: stand.from,
                    lasted: sample.at.since(stand.from),
                };
                stand.reported = Some(findings.tell(stand.reported, finding));
            }
            self.0.insert(cpu.cpu, stand);
        }
    }
}

impl Stand {
    fn after(before: Option<Stand>, cpu: &CpuSample, now: GuestTime, limits: &Limits) -> Stand {
        let mark = (cpu.clock.0, cpu.switches);
        match before {
            Some(mut stand) if stand.mark == mark => {
                // At one instant no clock advances, however often one looks.
                if now > stand.last && now.since(stand.last) >= limits.stuck_apart {
                    stand.last = now;
                    stand.samples = stand.samples.saturating_add(1);
                }
                stand
            }
            _ => Stand {
                mark,
                from: now,
                last: now,
                samples: 0,
                reported: None,
            },
        }
    }
}
