//! Work as a test writes it: `Spin.workers(8).nice(5)`.

use spec::{Jitter, JitterError, Nanos, Work, Workers};

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
workers!(Burst, work => Work::SleepBurst { sleep: work.sleep, burst: work.burst, jitter: Jitter::NONE });
workers!(JitteredBurst, work => Work::SleepBurst {
    sleep: work.burst.sleep,
    burst: work.burst.burst,
    jitter: work.jitter,
});
workers!(PingPong, _work => Work::PingPong);
workers!(Program, work => Work::Program { argv: work.argv });

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
