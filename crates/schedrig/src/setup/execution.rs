//! One execution of a setup: fork, session, body, and the record of it.

use std::sync::Arc;
use std::time::Instant;

use guestmem::GuestVirt;
use observe::call_history::Sites;
use record::{HostFacts, KernelFacts, Plan, Record, ReplayInputs};
use session::{GuestClock, HitAction, Session, Start, Status};

use super::Setup;
use crate::fork_source::Forked;
use crate::run::{self, Exactly, Executed, RunBody};
use crate::{Progress, RigError, backend};

impl Setup {
    /// Makes one execution and judges it; returns its record, and the sites at which a second execution can record the
    /// calls that led to a detected failure. `hooks` are set before the first instruction.
    pub(crate) fn make<F>(
        &self,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
        body: RunBody<'_, F>,
        hooks: Vec<(GuestVirt, HitAction)>,
    ) -> Result<(Record, Option<Sites>), RigError>
    where
        F: FnOnce(&mut crate::Rig) -> crate::Outcome,
    {
        let started = Instant::now();
        let forked = self.fork_source.fork(seed, self.spec.limits, progress)?;
        if self.spec.warm && self.fork_source.forks() > 1 {
            self.fork_source.prepare(seed);
        }
        let (mut executed, boot_seconds) = match forked {
            Forked::Dead(evidence) => (
                Executed::without_a_body(evidence),
                started.elapsed().as_secs_f64(),
            ),
            Forked::Machine(machine) => {
                let status = Arc::<Status>::default();
                progress(Progress::Guest(Arc::clone(&status)));
                let start = Start {
                    clock: self.clock(),
                    limits: self.spec.limits,
                    hooks,
                    status,
                };
                let begun = Session::start_with(machine, start);
                let boot_seconds = started.elapsed().as_secs_f64();
                let executed = match begun {
                    Err(failed) => Executed::without_a_body(failed.evidence),
                    Ok((session, _hello)) => self.execute(session, seed, body),
                };
                (executed, boot_seconds)
            }
        };
        let host = HostFacts {
            schedrig: env!("CARGO_PKG_VERSION").to_owned(),
            backend: format!("{}, {}", self.identity.backend, self.identity.executor),
            seconds: started.elapsed().as_secs_f64(),
            boot_seconds,
            replay: (self.spec.replay)(&Exactly {
                seed,
                kernel: &self.kernel.files.exact,
                scheduler: &self.spec.scheduler.absolute(),
            }),
        };
        let sites = executed.observed.sites.take();
        Ok((self.judge(seed, executed, host), sites))
    }

    /// The guest's clock, read as often as the run needs.
    fn clock(&self) -> Option<GuestClock> {
        let clock = self.kernel.clock;
        if self.spec.snapshots > 0 || self.spec.looks.iter().any(|look| look.at.is_some()) {
            clock.map(GuestClock::finely)
        } else if self.spec.monitor {
            clock.map(GuestClock::sampled)
        } else {
            clock
        }
    }

    fn execute<F>(&self, session: Session, seed: u64, body: RunBody<'_, F>) -> Executed
    where
        F: FnOnce(&mut crate::Rig) -> crate::Outcome,
    {
        run::execute(
            session,
            &self.spec,
            seed,
            &self.kernel,
            self.scheduler.as_ref(),
            body,
        )
    }

    /// The evidence first, then the judgement.
    fn judge(&self, seed: u64, executed: Executed, host: HostFacts) -> Record {
        let Executed {
            evidence,
            expectations,
            script,
            observed,
        } = executed;
        let run = check::Run {
            evidence: &evidence,
            series: observed.series.as_ref(),
        };
        let judgement = check::judge(run, &expectations);
        let spec = &self.spec;
        let plan = Plan {
            name: spec.name.clone(),
            topology: spec.topology,
            memory_mib: self.manifest.memory_mib,
            shift: backend::shift(&self.manifest),
            kernel_args: spec.kernel_args.clone(),
            kernel: KernelFacts {
                request: spec.kernel.to_string(),
                release: self.kernel.files.release.clone(),
                build_id: self.kernel.files.build_id.clone(),
            },
            scheduler: self.scheduler.as_ref().map(|scheduler| scheduler.plan.clone()),
            seed,
            expectations,
        };
        let replay_inputs = ReplayInputs {
            manifest: self.manifest.clone(),
            scheduler: self.scheduler.as_ref().map(|scheduler| scheduler.program.sums()),
            limits: spec.limits.of_guest(),
            script,
        };
        Record {
            replay_inputs: Some(replay_inputs),
            observations: observed.observations,
            snapshots: observed.snapshots,
            dumps: observed.dumps,
            series: observed.series,
            ..Record::new(plan, evidence, judgement, host)
        }
    }
}
