//! Runs that go on from the instant at which another run stands, each with a seed of its own.
//!
//! ```text
//! script so far ──┬── seed s0 ── body(0) ── record
//!                 ├── seed s1 ── body(1) ── record
//!                 └── the run itself, which does not notice
//! ```
//!
//! A continuation's record is a record like any other: its script begins with that of the run that it was forked from, and the
//! op that seeds it. So it is replayed without that run, and without a fork.

use std::panic::resume_unwind;
use std::thread;
use std::time::Instant;

use record::{Lineage, Verdict};
use session::{ScriptPlayer, Session, chain};
use spec::op::Seed;
use spec::{GuestTime, Op};

use super::{CheckOverrides, Origin, Rig};
use crate::run::RunBody;
use crate::setup::{Finished, How};
use crate::{CannotReplay, Outcome, RigError};

/// The continuations of a run, in their order.
#[derive(Debug)]
#[must_use = "a continuation that failed is an error only by `passed`"]
pub struct Forks {
    /// Each with its record.
    pub all: Vec<Finished>,
}

impl Forks {
    /// The continuations, if all of them passed.
    ///
    /// # Errors
    /// [`RigError::Forks`], with those that did not.
    pub fn passed(self) -> Result<Vec<Finished>, RigError> {
        let not_passed = self.all.iter().enumerate().filter(|(_, fork)| {
            let verdict = fork.record.verdict();
            verdict != Verdict::Pass && verdict != Verdict::Skip
        });
        let mut words = Vec::new();
        for (nth, fork) in not_passed {
            let place = fork.place.as_deref();
            let place = place.map_or_else(String::new, |place| format!(", record in {}", place.display()));
            words.push(format!("fork {nth}: {}{place}", fork.record.verdict()));
        }
        match words.is_empty() {
            true => Ok(self.all),
            false => Err(RigError::Forks { failed: words }),
        }
    }
}

impl Rig {
    /// Makes `count` runs that go on from this instant, as many at a time as this host has CPUs; this run goes on afterwards as if
    /// there had been none. `body` gets a rig of its own, and which one it is, from 0. Each has a seed of its own, which
    /// depends on this run's seed and its number; each is judged as this run is, and has a record of its own.
    ///
    /// Where the backend or the host does not duplicate machines, each is made from its beginning: the same run, and slower.
    ///
    /// # Errors
    /// [`RigError`] where there is no run to judge. One that fails is no error here: see [`Forks::passed`].
    pub fn fork(
        &mut self,
        count: u32,
        body: impl Fn(&mut Rig, u32) -> Outcome + Sync,
    ) -> Result<Forks, RigError> {
        let began = Instant::now();
        let forks = self.make_forks(count, &body);
        // The limit is for this run, which stood still meanwhile.
        self.session.forgive(began.elapsed());
        forks
    }

    fn make_forks(
        &mut self,
        count: u32,
        body: &(impl Fn(&mut Rig, u32) -> Outcome + Sync),
    ) -> Result<Forks, RigError> {
        let at_a_time = thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
        let mut all = Vec::new();
        for first in (0..count).step_by(at_a_time as usize) {
            let numbers = first..count.min(first.saturating_add(at_a_time));
            let starts: Vec<(u32, Option<Session>)> = numbers.map(|nth| (nth, self.twin())).collect();
            let (script, at) = (self.session.script().to_vec(), self.session.now());
            let (origin, overrides) = (&self.origin, &self.overrides);
            let made = thread::scope(|scope| {
                let threads: Vec<_> = starts
                    .into_iter()
                    .map(|(nth, session)| {
                        let script = &script;
                        scope.spawn(move || {
                            let start = Continuation {
                                nth,
                                at,
                                script,
                                overrides,
                            };
                            start.make(origin, session, |rig| body(rig, nth))
                        })
                    })
                    .collect();
                let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
                joined
                    .map(|made| made.unwrap_or_else(|panic| resume_unwind(panic)))
                    .collect::<Vec<_>>()
            });
            for finished in made {
                all.push(finished?);
            }
        }
        Ok(Forks { all })
    }

    /// A session that stands where this one stands; `None` where there can be none.
    fn twin(&mut self) -> Option<Session> {
        match self.session.twin() {
            Ok(session) => Some(session),
            Err(error) => {
                tracing::warn!(error = chain(&error), "a fork is made from the run's beginning");
                None
            }
        }
    }
}

/// A run that goes on where another stands.
struct Continuation<'c> {
    nth: u32,
    at: GuestTime,
    script: &'c [Op],
    overrides: &'c CheckOverrides,
}

impl Continuation<'_> {
    fn make(
        &self,
        origin: &Origin,
        session: Option<Session>,
        body: impl FnOnce(&mut Rig) -> Outcome,
    ) -> Result<Finished, RigError> {
        let seed = seed_of(origin.fork_seed, self.script.len(), self.nth);
        let go_on = |rig: &mut Rig| -> Outcome {
            rig.apply(Seed { seed })?;
            body(rig)
        };
        let name = &origin.setup.spec.name;
        let setup = origin.setup.named(format!("{name}-fork{}", self.nth));
        let lineage = Lineage {
            of: name.clone(),
            ops: self.script.len(),
            at: self.at,
            nth: self.nth,
        };
        let overrides = self.overrides.clone();
        let made = match session {
            Some(session) => {
                let origin = Origin {
                    fork_seed: seed,
                    ..origin.clone()
                };
                setup.make_from(session, &origin, lineage, overrides, go_on)?
            }
            None => {
                let player = ScriptPlayer::prepare(self.script, true).map_err(CannotReplay::from)?;
                let body = move |rig: &mut Rig| -> Outcome {
                    player.play(&mut rig.session);
                    rig.overrides = overrides;
                    rig.origin.fork_seed = seed;
                    go_on(rig)
                };
                let mut made = setup.make(origin.seed, &mut |_| {}, RunBody::Test(body), How::default())?;
                if let Some(inputs) = &mut made.record.replay_inputs {
                    inputs.lineage = Some(lineage);
                }
                made
            }
        };
        setup.conclude(made, &mut |_| {})
    }
}

/// The seed of the fork with that number, of a run that was seeded so and has applied so many ops: the finaliser of splitmix64,
/// so that neighbours have nothing in common.
fn seed_of(seed: u64, ops: usize, nth: u32) -> u64 {
    let which = ((ops as u64) << 32) + u64::from(nth) + 1;
    let mut mixed = seed.wrapping_add(which.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_have_seeds_of_their_own() {
        let mut seeds: Vec<u64> = (0..100)
            .flat_map(|nth| [seed_of(1, 4, nth), seed_of(2, 4, nth), seed_of(1, 5, nth)])
            .collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 300);
        assert_eq!(seed_of(7, 2, 3), seed_of(7, 2, 3));
    }
}
