//! The monitor: samples the runqueues of a kernel that stands still, and detects what they show (contract F9).
//!
//! ```text
//!  a window opens, closes ─► counts ─────────────┐
//!  a tick ─► read: a sample ─┬─► SeriesBuilder ──┴─► Series, in the record: judged when the run is over
//!                            └─► check::Detector ──► violations that are new: dumped at this instant
//! ```
//! Both use the same detectors, which are in `check`.

mod counts;
mod read;

use check::{Detector, Violation};
use introspect::GuestKernel;
use record::{Series, SeriesBuilder};
use spec::GuestTime;

use counts::read_counts;
pub use read::read_sample;

/// Samples the runqueues while the workers run.
#[derive(Debug, Clone, Default)]
pub struct Monitor {
    series: SeriesBuilder,
    detector: Detector,
}

impl Monitor {
    /// A window of the workers opens.
    pub fn open(&mut self, now: GuestTime, kernel: &GuestKernel<'_>) {
        self.series.open(now, read_counts(kernel));
    }

    /// The window closes.
    pub fn close(&mut self, now: GuestTime, kernel: &GuestKernel<'_>) {
        self.series.close(now, read_counts(kernel));
    }

    /// Takes a sample and returns the violations that it is the first to show.
    pub fn tick(&mut self, now: GuestTime, kernel: &GuestKernel<'_>) -> &[Violation] {
        match read_sample(kernel, now) {
            Ok(sample) => self.detector.take(&self.series.take(sample)),
            Err(error) => {
                self.series.fail(error.to_string());
                &[]
            }
        }
    }

    /// The series so far.
    pub fn series(&self) -> &Series {
        self.series.series()
    }

    /// The series.
    pub fn into_series(self) -> Series {
        self.series.into_series()
    }
}
