//! The monitor's rounds: a sample of the runqueues now and then, and what they show.

use introspect::GuestKernel;
use observe::monitor::{Counters, Limits, Monitor, Sample};
use record::{Finding, Monitored, Value};
use spec::GuestTime;

/// Takes samples.
#[derive(Debug)]
pub(crate) struct MonitorSampler {
    monitor: Monitor,
    /// What the kernel had counted when the window opened, and what it has counted in all windows so far.
    opened: Counters,
    counted: Counters,
    /// Findings that were told.
    reported: usize,
    /// Samples that could not be read, and why the last one could not.
    unread: u64,
    why: Option<String>,
}

impl MonitorSampler {
    pub(crate) fn new() -> MonitorSampler {
        MonitorSampler {
            monitor: Monitor::new(Limits::default()),
            opened: Counters::default(),
            counted: Counters::default(),
            reported: 0,
            unread: 0,
            why: None,
        }
    }

    /// A window opens.
    pub(crate) fn open(&mut self, kernel: &GuestKernel<'_>) {
        self.opened = Counters::read(kernel);
    }

    /// It is over.
    pub(crate) fn close(&mut self, kernel: &GuestKernel<'_>) {
        self.counted.add(&self.opened, &Counters::read(kernel));
    }

    /// Takes a sample; tells what it shows for the first time.
    pub(crate) fn tick(&mut self, now: GuestTime, kernel: &GuestKernel<'_>) -> Vec<Finding> {
        match Sample::read(kernel, now) {
            Ok(sample) => self.monitor.take(&sample),
            Err(error) => {
                self.unread += 1;
                self.why = Some(error.to_string());
            }
        }
        let findings = self.monitor.findings();
        let new = findings.get(self.reported..).unwrap_or_default();
        self.reported = findings.len();
        new.to_vec()
    }

    /// All that was found.
    pub(crate) fn into_monitored(self) -> Monitored {
        let summary = self.monitor.summary();
        let incomplete = summary.incomplete + self.unread;
        let imbalance = summary.imbalance;
        Monitored {
            samples: summary.samples,
            incomplete,
            unread: summary.unread.clone().or(self.why),
            findings: self.monitor.findings().to_vec(),
            unlisted: summary.unlisted,
            numbers: Value::tree([
                (
                    "imbalance",
                    imbalance.map_or_else(none, |most| Value::from(format!("{:.1}", most.ratio()))),
                ),
                (
                    "most_running",
                    imbalance.map_or_else(none, |most| Value::from(most.most)),
                ),
                (
                    "dsq",
                    Value::tree(
                        summary
                            .dsqs
                            .iter()
                            .map(|(name, most)| (name.clone(), Value::from(*most))),
                    ),
                ),
                ("counted", self.counted.value()),
                (
                    "local_dsq",
                    Value::Tree(
                        summary
                            .local_dsq
                            .iter()
                            .map(|(cpu, most)| (format!("cpu{cpu}").into(), Value::from(*most)))
                            .collect(),
                    ),
                ),
            ]),
        }
    }
}

fn none() -> Value {
    Value::Missing("no sample was taken".to_owned())
}
