//! Work as a test writes it: `Spin.workers(8).nice(5)`.
//!
//! Any work can be given to [`Workers::new`]; the types here are shorter ways to write some of them.

use spec::work::SleepBurst;
use spec::{Jitter, JitterError, Nanos, Work, Workers, work};

/// Computes without end.
#[derive(Debug, Clone, Copy)]
pub struct Spin;

/// Sleeps, then computes, in turn.
///
/// All lengths are the same unless [`Burst::jitter`] is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    /// How long it sleeps.
    pub sleep: Nanos,
    /// How long it computes.
    pub burst: Nanos,
}

impl Burst {
    /// Gives each sleep and each burst a length of its own, drawn evenly from at most `percent` below to
    /// `percent` above the given one, 0 to 100. What a worker draws is decided by the run's seed.
    ///
    /// ```no_run
    /// use schedrig::prelude::*;
    ///
    /// #[schedrig::test(topology = "1n1l2c1t")]
    /// fn sleepers_out_of_step(rig: &mut Rig) -> Outcome {
    ///     let burst = Burst { sleep: millis(4), burst: millis(1) };
    ///     rig.cgroup("a").spawn(burst.jitter(20)?.workers(4))?;
    ///     rig.run_for(secs(1))?;
    ///     rig.finish()
    /// }
    /// # fn main() {}
    /// ```
    pub fn jitter(self, percent: u8) -> Result<JitteredBurst, JitterError> {
        Ok(JitteredBurst {
            burst: self,
            jitter: percent.try_into()?,
        })
    }

    fn jittered(self, jitter: Jitter) -> SleepBurst {
        let Burst { sleep, burst } = self;
        SleepBurst { sleep, burst, jitter }
    }
}

/// A [`Burst`] whose lengths vary; see [`Burst::jitter`].
#[derive(Debug, Clone, Copy)]
pub struct JitteredBurst {
    burst: Burst,
    jitter: Jitter,
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

macro_rules! short_ways {
    ($($short:pat => $name:ident: $work:expr,)+) => {$(
        impl From<$name> for Work {
            fn from($short: $name) -> Work {
                $work.into()
            }
        }

        impl $name {
            /// That many of them.
            pub fn workers(self, count: u32) -> Workers {
                Workers::new(self, count)
            }
        }
    )+};
}

short_ways! {
    Spin => Spin: work::Spin,
    burst => Burst: burst.jittered(Jitter::NONE),
    JitteredBurst { burst, jitter } => JitteredBurst: burst.jittered(jitter),
    PingPong => PingPong: work::PingPong,
    Program { argv } => Program: work::Program { argv },
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: Burst = Burst {
        sleep: Nanos::from_millis(4),
        burst: Nanos::from_millis(1),
    };

    #[test]
    fn a_burst_has_the_jitter_that_is_asked_for() {
        assert_eq!(BURST.workers(3).work, Work::BURST);
        let jittered = BURST.jitter(20).unwrap().workers(3);
        assert_eq!(
            (jittered.work.to_string().as_str(), jittered.count),
            ("burst/4ms/1ms/20%", 3)
        );
    }

    #[test]
    fn an_impossible_jitter_is_an_error_where_it_is_asked_for() {
        let error = BURST.jitter(101).unwrap_err().to_string();
        assert!(
            error.contains("`101`") && error.contains("from 0 to 100"),
            "{error}"
        );
    }
}
