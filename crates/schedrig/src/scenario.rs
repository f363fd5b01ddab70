//! Runs of scenarios: what a scenario says, as a run's specification and as its body.

use scenario::{Scenario, Step, sysctl_path};
use spec::op::{MakeCgroup, Seed, Write};

use crate::rig::Group;
use crate::{Outcome, Rig, RigError, RunSpec};

impl RunSpec {
    /// The run that a scenario describes; its body is [`Rig::play`].
    ///
    /// # Errors
    /// [`RigError::Scenario`] for one that breaks a rule; [`RigError`] as for [`RunSpec::new`].
    pub fn of(scenario: &Scenario) -> Result<RunSpec, RigError> {
        scenario.check().map_err(|(_, error)| error)?;
        let machine = &scenario.machine;
        let defaults = RunSpec::new(&scenario.name, machine.topology)?;
        let mut limits = defaults.limits;
        if let Some(within) = scenario.scheduler.attach_within {
            limits.scheduler = within;
        }
        Ok(RunSpec {
            memory_mib: machine.memory_mib,
            kernel: machine.kernel.clone().unwrap_or(defaults.kernel),
            kernel_args: machine.kernel_args.clone(),
            shift: machine.shift,
            scheduler: scenario.scheduler.program.clone(),
            attach: scenario.scheduler.attach,
            limits,
            ..defaults
        })
    }
}

impl Rig {
    /// Does what the scenario says: sysctls, groups with their workers, steps. The run is held to its checks whatever comes of
    /// that.
    ///
    /// # Errors
    /// The first op's that fails.
    pub fn play(&mut self, scenario: &Scenario) -> Outcome {
        for check in &scenario.verdicts.checks {
            self.instead(check.clone());
        }
        for name in &scenario.verdicts.without {
            self.without(name);
        }
        for (name, value) in &scenario.machine.sysctls {
            self.apply(Write::new(&sysctl_path(name), value))?;
        }
        for group in &scenario.groups {
            self.apply(MakeCgroup {
                group: group.cgroup.clone(),
            })?;
            let made = Group {
                name: group.cgroup.name.clone(),
            };
            for workers in &group.workers {
                self.spawn(&made, workers)?;
            }
        }
        let mut seeds = self.seeds_later();
        for step in &scenario.steps {
            for _ in 0..step.times {
                self.make_step(step, &mut seeds)?;
            }
        }
        Ok(())
    }

    fn make_step(&mut self, step: &Step, seeds: &mut bool) -> Outcome {
        if let Some(name) = &step.name {
            self.note("step", name);
        }
        if step.attach {
            self.attach()?;
        }
        for op in &step.ops {
            self.apply(op.clone())?;
        }
        // What comes before is the same for all seeds.
        if std::mem::take(seeds) {
            let seed = self.seed();
            self.apply(Seed { seed })?;
        }
        if let Some(span) = step.run {
            self.run_for(span)?;
        }
        Ok(())
    }
}
