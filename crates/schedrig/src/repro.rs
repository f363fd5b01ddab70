//! How a run came to its failure: the same execution again, with hooks at the calls that lead there.

use std::sync::{Arc, Mutex, PoisonError};

use guestmem::GuestVirt;
use observe::call_history::{About, CallRecorder, Sites};
use record::{Dump, Record, ReplayInputs, Repro, Trace};
use session::{HitAction, HitKind, ScriptPlayer, chain};

use crate::run::RunBody;
use crate::setup::{How, Setup};
use crate::{Outcome, Progress, Rig};

impl Setup {
    /// Makes the record's run again and sees the last calls before its first failure that is about somebody.
    pub(crate) fn trace(&self, record: &Record, sites: &Sites, progress: &mut dyn FnMut(Progress)) -> Repro {
        let made = self.try_to_trace(record, sites, progress);
        made.unwrap_or_else(|reason| Repro::Not { reason })
    }

    fn try_to_trace(
        &self,
        record: &Record,
        sites: &Sites,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Repro, String> {
        let caught = record.dumps.iter().find(|dump| !dump.tasks.is_empty());
        let caught = caught.ok_or("what failed is no single task's, so there are no calls to follow")?;
        let replay_inputs = record.replay_inputs.as_ref();
        let ReplayInputs { script, .. } =
            replay_inputs.ok_or("the record does not hold what the test did")?;
        let player = ScriptPlayer::prepare(script, true).map_err(|error| chain(&error))?;
        let recorder = Arc::new(Mutex::new(CallRecorder::new(sites.clone(), about(caught))));
        let body: RunBody<'_, fn(&mut Rig) -> Outcome> = RunBody::Script(&player, &record.plan.expectations);
        let how = How {
            hooks: hooks(sites, &recorder),
            cold: true,
        };
        let second = self.make(record.plan.seed, progress, body, how);
        let second = second.map_err(|error| chain(&error))?.record;
        let recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Repro::Traced(Trace {
            hash: second.hash,
            of: caught.trigger.to_string(),
            histories: recorder.histories(),
            seen: recorder.seen(),
        }))
    }
}

fn about(caught: &Dump) -> About {
    About {
        tasks: caught.tasks.clone(),
        cpus: caught.cpus.clone(),
        until: caught.snapshot.at,
    }
}

/// Where each call begins, and where it is back.
fn hooks(sites: &Sites, recorder: &Arc<Mutex<CallRecorder>>) -> Vec<(GuestVirt, HitAction)> {
    let mut hooks = Vec::new();
    for (nth, site) in sites.all.iter().enumerate() {
        let entered = Arc::clone(recorder);
        let act = HitAction::call(move |hit, kernel| {
            if let (Some(cpu), HitKind::Entered { registers, .. }) = (hit.cpu, &hit.what) {
                let registers = registers.arguments();
                let mut recorder = entered.lock().unwrap_or_else(PoisonError::into_inner);
                recorder.entered(nth, hit.at, cpu, registers, kernel);
            }
        });
        hooks.push((site.at(), act));
        let Some(back) = site.back else { continue };
        let left = Arc::clone(recorder);
        let act = HitAction::call(move |hit, kernel| {
            if let Some(cpu) = hit.cpu {
                let mut recorder = left.lock().unwrap_or_else(PoisonError::into_inner);
                recorder.left(nth, cpu, kernel);
            }
        });
        hooks.push((back, act));
    }
    hooks
}
