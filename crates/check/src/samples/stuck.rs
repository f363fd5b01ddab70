//! Stuck CPUs: busy ones the clock of which stands, so that they neither tick nor schedule.

use std::collections::BTreeMap;

use record::{CpuSample, Sample};
use spec::{GuestTime, Nanos};

use super::Violation;
use super::violation::{Handle, Violations};

/// So many samples in a row that find a busy CPU's clock where it was make it stuck.
pub(super) const STUCK_SAMPLES: u32 = 5;

/// The busy CPUs.
#[derive(Debug, Clone, Default)]
pub(super) struct Stuck(BTreeMap<u32, Stand>);

/// A busy CPU with its clock where it stands.
#[derive(Debug, Clone)]
struct Stand {
    mark: (Nanos, u64),
    from: GuestTime,
    /// The last sample that counts, and how many in a row found the clock where it was.
    last: GuestTime,
    samples: u32,
    reported: Option<Handle>,
}

impl Stuck {
    pub(super) fn take(&mut self, sample: &Sample, violations: &mut Violations) {
        let mut before = std::mem::take(&mut self.0);
        let busy = sample.cpus.iter().filter(|cpu| cpu.curr != 0 && !cpu.preempted);
        for cpu in busy {
            let mut stand = Stand::after(before.remove(&cpu.cpu), cpu, sample.at);
            if stand.last == sample.at && stand.samples >= STUCK_SAMPLES {
                let violation = Violation::Stuck {
                    cpu: cpu.cpu,
                    pid: cpu.curr,
                    clock: cpu.clock,
                    samples: stand.samples,
                    from: stand.from,
                    lasted: sample.at.since(stand.from),
                };
                stand.reported = Some(violations.report(stand.reported, violation));
            }
            self.0.insert(cpu.cpu, stand);
        }
    }
}

impl Stand {
    fn after(before: Option<Stand>, cpu: &CpuSample, now: GuestTime) -> Stand {
        let mark = (cpu.clock, cpu.switches);
        match before {
            Some(mut stand) if stand.mark == mark => {
                // At one instant no clock advances, however many samples are taken.
                if now > stand.last {
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
