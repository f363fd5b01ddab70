//! A run of a warm machine that did not pass is made again cold: only what both execute is told.

use record::{End, Evidence, Record, Repro};
use session::{ScriptPlayer, chain};

use super::{How, Setup};
use crate::run::RunBody;
use crate::{Outcome, Progress, Rig, RigError};

impl Setup {
    /// Makes the record's run again on a machine that was never duplicated, and takes over what that one could see and a
    /// duplicate could not: the memory of a machine that has ended.
    ///
    /// # Errors
    /// [`RigError::WarmDiffers`] where that is another execution, and it is not the script that makes it one.
    pub(super) fn confirm(
        &self,
        record: &mut Record,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RigError> {
        let traced = match &record.repro {
            // The second execution of a failure is cold, too.
            Some(Repro::Traced(trace)) => Some(trace.hash == record.hash),
            _ => None,
        };
        if ended_by_the_host(&record.evidence) || traced == Some(true) {
            return Ok(());
        }
        let Some(cold) = self.again(record, true, progress) else {
            return Ok(());
        };
        if cold.hash == record.hash {
            if cold.dumps.len() > record.dumps.len() {
                record.dumps = cold.dumps;
                record.observations = cold.observations;
            }
            return Ok(());
        }
        // A body can do what no script holds, and then no second execution is the first.
        let Some(warm) = self.again(record, false, progress) else {
            return Ok(());
        };
        if warm.hash == cold.hash {
            tracing::warn!("the script of this run is not all that its body did, so it cannot be made again");
            return Ok(());
        }
        let save = |record: &Record| record::save(record, &self.spec.records);
        Err(RigError::WarmDiffers {
            warm: warm.hash.to_string(),
            cold: cold.hash.to_string(),
            places: [&warm, &cold].into_iter().flat_map(save).collect(),
        })
    }

    /// The script of the record, executed again; `None` where that says nothing.
    fn again(&self, record: &Record, cold: bool, progress: &mut dyn FnMut(Progress)) -> Option<Record> {
        let script = &record.replay_inputs.as_ref()?.script;
        let player = ScriptPlayer::prepare(script, true).ok()?;
        let expectations = &record.plan.expectations;
        let body: RunBody<'_, fn(&mut Rig) -> Outcome> = RunBody::Script(&player, expectations);
        progress(Progress::Confirming);
        let how = How {
            cold,
            ..How::default()
        };
        match self.make(record.plan.seed, progress, body, how) {
            Ok(made) if !ended_by_the_host(&made.record.evidence) => Some(made.record),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "a run that did not pass was not made again"
                );
                None
            }
        }
    }
}

/// Where the host or the test's own stop ended a run, the next one ends elsewhere.
fn ended_by_the_host(evidence: &Evidence) -> bool {
    matches!(
        evidence.end,
        End::HostDeadline { .. } | End::MachineDied { .. } | End::Stopped { .. }
    )
}
