//! A run of a warm machine that did not pass is made again cold: only what both execute is told.

use record::{End, Record, Repro};
use session::ScriptPlayer;

use super::{How, Setup};
use crate::run::RunBody;
use crate::{Outcome, Progress, Rig, RigError};

impl Setup {
    /// Makes the record's run again on a machine that was never duplicated.
    ///
    /// # Errors
    /// [`RigError::WarmDiffers`] where that is another execution.
    pub(super) fn confirm(
        &self,
        record: &Record,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RigError> {
        // The second execution of a failure is cold, too.
        let cold = match &record.repro {
            Some(Repro::Traced(trace)) => trace.hash.clone(),
            _ => {
                let Some(replay_inputs) = &record.replay_inputs else {
                    return Ok(());
                };
                // Where the host ended a run, the next one ends elsewhere.
                if matches!(
                    record.evidence.end,
                    End::HostDeadline { .. } | End::MachineDied { .. } | End::Stopped { .. }
                ) {
                    return Ok(());
                }
                let Ok(player) = ScriptPlayer::prepare(&replay_inputs.script, true) else {
                    return Ok(());
                };
                let expectations = &record.plan.expectations;
                let body: RunBody<'_, fn(&mut Rig) -> Outcome> = RunBody::Script(&player, expectations);
                progress(Progress::Confirming);
                let how = How {
                    cold: true,
                    ..How::default()
                };
                let again = self.make(record.plan.seed, progress, body, how)?.record;
                if again.hash != record.hash {
                    return Err(self.differs(record, &again));
                }
                return Ok(());
            }
        };
        if cold == record.hash {
            return Ok(());
        }
        Err(RigError::WarmDiffers {
            warm: record.hash.to_string(),
            cold: cold.to_string(),
            places: record::save(record, &self.spec.records).into_iter().collect(),
        })
    }

    fn differs(&self, warm: &Record, cold: &Record) -> RigError {
        let save = |record| record::save(record, &self.spec.records);
        RigError::WarmDiffers {
            warm: warm.hash.to_string(),
            cold: cold.hash.to_string(),
            places: [warm, cold].into_iter().flat_map(save).collect(),
        }
    }
}
