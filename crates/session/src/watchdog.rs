//! Is the guest silent? Asked at guest times, so that a slow host is never taken for a stuck guest.
//!
//! A hook on the kernel's own tick (`update_process_times`, once per tick and busy CPU) reports every few
//! hundred ticks; the session then reads `jiffies_64`. The guest's clock decides how long a command may take.

use guestmem::{GuestVirt, PhysMem, VirtError};
use kimage::Symbols;
use machine::{HookId, HookSpec, Instrument, Machine, MachineError, Registers};
use spec::{GuestTime, Nanos};

/// `update_process_times` of `kernel/time/timer.c` runs in every tick, on the CPU that takes it.
const TICK: &str = "update_process_times";
/// Ticks between two looks: fewer than a handful of looks per guest second.
const TICKS_PER_LOOK: u64 = 256;
/// Ticks of all CPUs together between two samples of the monitor.
const TICKS_PER_SAMPLE: u64 = 32;
/// The kernel starts `jiffies` this many seconds before it wraps at 32 bits (`INITIAL_JIFFIES`).
const INITIAL_SECONDS_BEFORE_WRAP: u64 = 300;

/// What is needed to read the guest's clock from outside.
#[derive(Debug, Clone, Copy)]
pub struct GuestClock {
    tick: GuestVirt,
    jiffies_64: GuestVirt,
    hz: u64,
    /// Ticks between two looks.
    every: u64,
}

/// The guest's clock cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum WatchdogError {
    /// The kernel lacks a symbol.
    #[error("the kernel has no symbol `{0}`, by which guest time is watched")]
    Symbol(&'static str),
    /// The configuration does not tell the tick rate.
    #[error("the kernel's configuration has no CONFIG_HZ line")]
    Hz,
}

impl GuestClock {
    /// The clock whose tick and jiffies lie at these kernel addresses.
    pub fn at(tick: GuestVirt, jiffies_64: GuestVirt, hz: u64) -> GuestClock {
        GuestClock {
            tick,
            jiffies_64,
            hz: hz.max(1),
            every: TICKS_PER_LOOK,
        }
    }

    /// The clock of a kernel with these symbols (link addresses) and this configuration text.
    pub fn find(symbols: &Symbols, config: &str) -> Result<GuestClock, WatchdogError> {
        let address = |name| {
            symbols
                .address_of(name)
                .map(GuestVirt)
                .ok_or(WatchdogError::Symbol(name))
        };
        let hz = config
            .lines()
            .find_map(|line| line.strip_prefix("CONFIG_HZ="))
            .and_then(|hz| hz.trim().parse().ok())
            .filter(|hz| *hz > 0)
            .ok_or(WatchdogError::Hz)?;
        Ok(GuestClock {
            tick: address(TICK)?,
            jiffies_64: address("jiffies_64")?,
            hz,
            every: TICKS_PER_LOOK,
        })
    }

    /// The same clock, looked at in every tick: it costs a stop of the machine each time.
    #[must_use]
    pub fn finely(self) -> GuestClock {
        self.every(1)
    }

    /// The same clock, looked at whenever the monitor samples.
    #[must_use]
    pub fn sampled(self) -> GuestClock {
        self.every(TICKS_PER_SAMPLE)
    }

    /// The same clock, looked at in every n-th tick of all CPUs together.
    #[must_use]
    pub fn every(self, ticks: u64) -> GuestClock {
        GuestClock {
            every: ticks.max(1),
            ..self
        }
    }

    fn since_boot(&self, jiffies: u64) -> GuestTime {
        let initial = (1 << 32) - INITIAL_SECONDS_BEFORE_WRAP * self.hz;
        let ticks = jiffies.saturating_sub(initial);
        GuestTime(Nanos(ticks.saturating_mul(1_000_000_000 / self.hz)))
    }
}

/// A guest's clock that a machine looks at.
///
/// `jiffies` stands still until the kernel has a timer, and so is behind `CLOCK_MONOTONIC` by as much as that took: what
/// the guest tells of its time puts it right.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    clock: GuestClock,
    hook: HookId,
    /// Ticks so far, as far as it has looked.
    ticks: u64,
    /// How far `jiffies` is behind; the tick that is not over yet is no part of it.
    behind: Option<Nanos>,
}

impl Clock {
    /// Asks the machine for a look now and then.
    pub(crate) fn set(clock: GuestClock, machine: &mut dyn Machine) -> Result<Clock, MachineError> {
        let hook = machine.hook(clock.tick, HookSpec { every: clock.every })?;
        Ok(Clock {
            clock,
            hook,
            ticks: 0,
            behind: None,
        })
    }

    /// Looks no more.
    pub(crate) fn unset(self, machine: &mut dyn Machine) -> Result<(), MachineError> {
        machine.remove(Instrument::Hook(self.hook))
    }

    /// From now on, has a look in every tick.
    pub(crate) fn refine(&mut self, machine: &mut dyn Machine) -> Result<(), MachineError> {
        if self.clock.every > 1 {
            let fine = machine.hook(self.clock.tick, HookSpec::ALWAYS)?;
            machine.remove(Instrument::Hook(self.hook))?;
            self.hook = fine;
            self.clock = self.clock.finely();
        }
        Ok(())
    }

    /// Counts a look; is it one at which the monitor samples? These are the same ticks however finely the clock is looked at.
    pub(crate) fn samples(&mut self) -> bool {
        self.ticks += self.clock.every;
        self.ticks.is_multiple_of(TICKS_PER_SAMPLE.max(self.clock.every))
    }

    /// Is it this clock's hook?
    pub(crate) fn is(&self, hook: HookId) -> bool {
        self.hook == hook
    }

    /// The guest, frozen with these registers, has told its time.
    pub(crate) fn calibrate(&mut self, memory: &dyn PhysMem, registers: &Registers, at: GuestTime) {
        let Ok(ticked) = self.ticked(memory, registers) else {
            return;
        };
        let behind = Nanos(at.0.0.saturating_sub(ticked.0.0));
        self.behind = Some(self.behind.map_or(behind, |least| least.min(behind)));
    }

    /// Guest time since boot, to the tick, of a guest that is frozen with these registers.
    pub(crate) fn now(&self, memory: &dyn PhysMem, registers: &Registers) -> Result<GuestTime, VirtError> {
        Ok(self.right(self.ticked(memory, registers)?))
    }

    /// Guest time since boot, to the tick, of a kernel that stands still.
    pub(crate) fn read(&self, kernel: &introspect::GuestKernel<'_>) -> Option<GuestTime> {
        let jiffies = kernel.read_u64(self.clock.jiffies_64).ok()?;
        Some(self.right(self.clock.since_boot(jiffies)))
    }

    fn ticked(&self, memory: &dyn PhysMem, registers: &Registers) -> Result<GuestTime, VirtError> {
        let space = registers.address_space(memory);
        let jiffies = space.read_u64(self.clock.jiffies_64)?;
        Ok(self.clock.since_boot(jiffies))
    }

    fn right(&self, ticked: GuestTime) -> GuestTime {
        let behind = self.behind.unwrap_or(Nanos::ZERO);
        GuestTime(Nanos(ticked.0.0.saturating_add(behind.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jiffies_count_from_five_minutes_before_the_wrap() {
        let clock = GuestClock {
            tick: GuestVirt(0),
            jiffies_64: GuestVirt(0),
            hz: 250,
            every: TICKS_PER_LOOK,
        };
        let initial = (-300i32 * 250) as u32;
        assert_eq!(clock.since_boot(initial.into()), GuestTime::default());
        assert_eq!(
            clock.since_boot(u64::from(initial) + 250),
            GuestTime(Nanos::from_secs(1))
        );
        assert_eq!(
            clock.since_boot(0),
            GuestTime::default(),
            "before the kernel has set it up"
        );
    }
}
