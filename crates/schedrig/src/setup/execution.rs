//! One execution of a setup: fork, session, body, and the record of it.

use std::sync::Arc;
use std::time::Instant;

use observe::call_history::Sites;
use record::{Attach, HostFacts, KernelFacts, Lineage, Plan, Record, ReplayInputs};
use session::{GuestClock, Session, Status};

use super::Setup;
use crate::machines::{Begin, Begun, Hooks, Running};
use crate::rig::{CheckOverrides, Origin};
use crate::run::{self, Exactly, Executed, RunBody};
use crate::{Outcome, Progress, Rig, RigError, backend, scheduler};

/// How an execution is made; by default as any run is.
#[derive(Default)]
pub(crate) struct How {
    /// Set before the first instruction.
    pub(crate) hooks: Hooks,
    /// On a machine that was never duplicated.
    pub(crate) cold: bool,
}

/// What an execution came to.
pub(crate) struct Made {
    pub(crate) record: Record,
    /// Where a second execution can record the calls that led to a detected failure.
    pub(crate) sites: Option<Sites>,
    /// Its machine was a duplicate.
    pub(crate) warm: bool,
}

impl Setup {
    /// Makes one execution and judges it.
    pub(crate) fn make<F>(
        &self,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
        body: RunBody<'_, F>,
        how: How,
    ) -> Result<Made, RigError>
    where
        F: FnOnce(&mut Rig) -> Outcome,
    {
        let started = Instant::now();
        let begin = Begin {
            clock: self.clock(),
            limits: self.spec.limits,
            status: Arc::<Status>::default(),
            warm: self.spec.warm && !how.cold,
        };
        let begun = self.machines.begin(&begin, how.hooks, progress)?;
        let boot_seconds = started.elapsed().as_secs_f64();
        let (mut executed, attach, warm) = match begun {
            Begun::Dead(evidence) => (Executed::without_a_body(evidence), self.spec.attach, false),
            Begun::Run(running) => {
                let Running {
                    session,
                    attached,
                    warm,
                } = *running;
                let attach = match self.spec.attach {
                    Attach::Once if attached => Attach::Once,
                    Attach::Once | Attach::Fresh => Attach::Fresh,
                    Attach::Step => Attach::Step,
                };
                let origin = Origin {
                    setup: self.clone(),
                    seed,
                    fork_seed: seed,
                    attach,
                };
                let scheduler = self.scheduler.as_ref().filter(|_| attach == Attach::Fresh);
                let executed = run::execute(session, &origin, scheduler, body);
                (executed, attach, warm)
            }
        };
        let host = self.host_facts(seed, started, boot_seconds);
        let sites = executed.observed.sites.take();
        Ok(Made {
            record: self.judge(seed, executed, attach, host),
            sites,
            warm,
        })
    }

    /// Makes the execution that goes on where the session stands, which is a duplicate of another run's.
    pub(crate) fn make_from(
        &self,
        mut session: Session,
        origin: &Origin,
        lineage: Lineage,
        overrides: CheckOverrides,
        body: impl FnOnce(&mut Rig) -> Outcome,
    ) -> Result<Made, RigError> {
        let started = Instant::now();
        session.go_on_within(self.spec.limits, Arc::default());
        let origin = Origin {
            setup: self.clone(),
            ..origin.clone()
        };
        let mut executed = run::go_on(session, &origin, overrides, body);
        let host = self.host_facts(origin.seed, started, 0.0);
        let sites = executed.observed.sites.take();
        let mut record = self.judge(origin.seed, executed, origin.attach, host);
        if let Some(inputs) = &mut record.replay_inputs {
            inputs.lineage = Some(lineage);
        }
        Ok(Made {
            record,
            sites,
            warm: true,
        })
    }

    fn host_facts(&self, seed: u64, started: Instant, boot_seconds: f64) -> HostFacts {
        HostFacts {
            schedrig: env!("CARGO_PKG_VERSION").to_owned(),
            backend: format!("{}, {}", self.identity.backend, self.identity.executor),
            seconds: started.elapsed().as_secs_f64(),
            boot_seconds,
            replay: (self.spec.replay)(&Exactly {
                seed,
                kernel: &self.kernel.files.exact,
                scheduler: &scheduler::absolute(&self.spec.scheduler),
            }),
        }
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

    /// The evidence first, then the judgement.
    fn judge(&self, seed: u64, executed: Executed, attach: Attach, host: HostFacts) -> Record {
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
            attach,
            begin_seed: spec.begin_seed,
            lineage: None,
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
