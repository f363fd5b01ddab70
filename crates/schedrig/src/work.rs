//! Work as a test writes it: `Spin.workers(8).nice(5)`.

use spec::{Nanos, Work};

/// Computes without end.
#[derive(Debug, Clone, Copy)]
pub struct Spin;

/// Sleeps, then computes, in turn.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    /// How long it sleeps.
    pub sleep: Nanos,
    /// How long it computes.
    pub burst: Nanos,
}

/// Pairs of workers that wake each other over a futex.
#[derive(Debug, Clone, Copy)]
pub struct PingPong;

/// A program that was put into the guest.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path in the guest and its arguments.
    pub argv: Vec<String>,
}

/// A number of workers that do the same.
#[derive(Debug, Clone)]
pub struct Workers {
    pub(crate) work: Work,
    pub(crate) count: u32,
    pub(crate) nice: i8,
}

impl Workers {
    /// `count` workers that do `work`.
    pub fn new(work: Work, count: u32) -> Workers {
        Workers { work, count, nice: 0 }
    }

    /// Their nice value, -20 … 19.
    #[must_use]
    pub fn nice(self, nice: i8) -> Workers {
        Workers { nice, ..self }
    }
}

macro_rules! workers {
    ($name:ident, $value:ident => $work:expr) => {
        impl $name {
            /// That many of them.
            pub fn workers(self, count: u32) -> Workers {
                let $value = self;
                Workers::new($work, count)
            }
        }
    };
}

workers!(Spin, _work => Work::Spin);
workers!(Burst, work => Work::SleepBurst { sleep: work.sleep, burst: work.burst });
workers!(PingPong, _work => Work::PingPong);
workers!(Program, work => Work::Program { argv: work.argv });
