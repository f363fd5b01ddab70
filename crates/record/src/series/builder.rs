//! A series that grows, within bounds.

use spec::GuestTime;

use super::{Counts, Sample, Series, Unread, WindowCounts};

/// Rows that a series keeps: one for each CPU, waiting task, DSQ and unreadable queue of a sample. Of 40 to 70 bytes in
/// the file, so a series is below 10 MB, however long the run is.
pub const MAX_ROWS: usize = 1 << 17;

/// Waiting tasks that a sample has.
pub const MAX_WAITING: usize = 1 << 10;

/// Windows the counts of which are kept.
pub const MAX_READINGS: usize = 64;

/// Takes samples and counts, and keeps as many as a series may have.
#[derive(Debug, Clone, Default)]
pub struct SeriesBuilder {
    series: Series,
    /// Rows of the samples that are kept.
    rows: usize,
    /// The sample before, kept or not: which CPUs it found idle, and since when.
    idle: Vec<(u32, GuestTime)>,
    /// The window that is open.
    open: Option<(GuestTime, Counts)>,
}

impl SeriesBuilder {
    /// Takes the next sample and returns it as the series has it: each CPU's [`idle_since`](super::CpuSample::idle_since)
    /// counts all samples, also those that are not kept.
    pub fn take(&mut self, mut sample: Sample) -> Sample {
        for cpu in sample.cpus.iter_mut().filter(|cpu| cpu.idle_since.is_some()) {
            let before = self.idle.iter().find(|(other, _)| *other == cpu.cpu);
            cpu.idle_since = before.map(|(_, since)| *since).or(cpu.idle_since);
        }
        let idle = sample.cpus.iter().filter(|cpu| cpu.could_run());
        self.idle = idle.filter_map(|cpu| Some((cpu.cpu, cpu.idle_since?))).collect();
        if sample.waiting.len() > MAX_WAITING {
            let cpu = sample.waiting[MAX_WAITING].cpu;
            let why = format!("more than {MAX_WAITING} tasks wait; the others are not in the sample");
            sample.waiting.truncate(MAX_WAITING);
            sample.unread.push(Unread { cpu, why });
        }
        if self.series.taken.is_multiple_of(self.series.every) {
            self.rows += rows(&sample);
            self.series.samples.push(sample.clone());
        }
        self.series.taken = self.series.taken.saturating_add(1);
        while self.rows > MAX_ROWS && self.series.samples.len() > 1 {
            self.thin_out();
        }
        sample
    }

    /// Leaves every other sample out, for the future too.
    fn thin_out(&mut self) {
        let mut number = 0;
        self.series.samples.retain(|_| {
            number += 1;
            number % 2 == 1
        });
        self.series.every = self.series.every.saturating_mul(2);
        self.rows = self.series.samples.iter().map(rows).sum();
    }

    /// No sample could be taken.
    pub fn fail(&mut self, why: String) {
        self.series.failed = self.series.failed.saturating_add(1);
        self.series.failure = Some(why);
    }

    /// A window opens, with these counts since boot.
    pub fn open(&mut self, at: GuestTime, counts: Counts) {
        self.open = Some((at, counts));
    }

    /// The window closes.
    pub fn close(&mut self, at: GuestTime, counts: Counts) {
        let Some((from, before)) = self.open.take() else {
            return;
        };
        if self.series.counts.len() >= MAX_READINGS {
            self.series.uncounted = self.series.uncounted.saturating_add(1);
            return;
        }
        self.series.counts.push(WindowCounts {
            from,
            to: at,
            before,
            after: counts,
        });
    }

    /// The series so far.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// The series.
    pub fn into_series(self) -> Series {
        self.series
    }
}

fn rows(sample: &Sample) -> usize {
    sample.cpus.len() + sample.waiting.len() + sample.dsqs.len() + sample.unread.len()
}
